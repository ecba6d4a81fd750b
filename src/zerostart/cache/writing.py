"""The one pass of the frozen detector over a split that fills the feature cache."""

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import Deimv2ForObjectDetection

from zerostart.detector.mirror import mirrored
from zerostart.detector.model import look
from zerostart.detector.pixels import image_batches, pixel_values
from zerostart.outputs import reserve


@torch.inference_mode()
def write_view(
    folder: Path,
    model: Deimv2ForObjectDetection,
    coco: dict,
    images: str | Path,
    flip: tuple[bool, bool] = (False, False),
    batch_size: int = 16,
) -> None:
    """Run the detector over a split and write the four arrays of a :class:`zerostart.cache.views.View` into `folder`.

    model: a frozen detector in eval mode, on the device to use. flip: (horizontal, vertical) mirroring of every image.
    Memory does not grow with the split. Raises InputError for an unreadable image.
    """
    folder.mkdir(parents=True)
    device = next(model.parameters()).device
    size, count = model.config.eval_size[0], len(coco["images"])
    image_id = np.array([image["id"] for image in coco["images"]], dtype=np.int64)
    np.save(folder / "image_id.npy", image_id)
    shapes = {"hidden": model.config.d_model, "logits": model.config.num_labels, "boxes": 4}
    arrays = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(count, model.config.num_queries, width)
        )
        for name, width in shapes.items()
    }
    for name in shapes:
        reserve(folder / f"{name}.npy")
    start = 0
    with tqdm(total=count, desc=folder.name, unit="image", disable=None) as progress:
        for batch in image_batches(coco, images, size, batch_size):
            for name, tensor in look(model, pixel_values=pixel_values(mirrored(batch.to(device), flip))).items():
                arrays[name][start : start + len(batch)] = tensor.cpu().numpy()
            start += len(batch)
            progress.update(len(batch))
    for array in arrays.values():
        array.flush()
