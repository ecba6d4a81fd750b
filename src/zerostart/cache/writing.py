"""The one pass of the frozen detector over a split that fills the feature cache."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import Deimv2ForObjectDetection

from zerostart.detector.mirror import mirrored
from zerostart.detector.model import look
from zerostart.detector.pixels import image_batches, pixel_values
from zerostart.outputs import reserve, write_array
from zerostart.prefetch import in_order

AT_ONCE = 8
"""Batches in memory at most, on a CPU with as many cores."""


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
    write_array(folder / "image_id.npy", image_id)
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
        mirrored_batches = (mirrored(batch, flip) for batch in image_batches(coco, images, size, batch_size))
        for found in _looks(model, mirrored_batches, device):
            seen = len(found["boxes"])
            for name, tensor in found.items():
                arrays[name][start : start + seen] = tensor.numpy()
            start += seen
            progress.update(seen)
    for array in arrays.values():
        array.flush()


def _looks(model: Deimv2ForObjectDetection, batches: Iterator[Tensor], device: torch.device) -> Iterator[dict[str, Tensor]]:
    """`look` at uint8 batches, in their order. On a CPU they pass side by side, each on one thread.

    With several threads on one batch oneDNN and MKL choose other kernels and cut other sums, by their number: the bytes would
    depend on the number of cores.
    """

    def forward(batch: Tensor) -> dict[str, Tensor]:
        with torch.inference_mode():
            return {name: tensor.cpu() for name, tensor in look(model, pixel_values=pixel_values(batch.to(device))).items()}

    workers = min(os.cpu_count() or 1, AT_ONCE) if device.type == "cpu" else 1
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from in_order(pool, forward, batches, ahead=workers)
