"""What the frozen backbone and encoder say of the training images, computed once: all that the decoder ever reads of them.

Where only the decoder learns (phase 3), every epoch starts from here.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import Deimv2ForObjectDetection
from transformers.models.deimv2.modeling_deimv2 import Deimv2EncoderOutput

from zerostart.detector.mirror import mirrored
from zerostart.detector.pixels import image_batches, pixel_values
from zerostart.outputs import reserve


class StoredMaps(nn.Module):
    """Takes the place of a detector's encoder: cuts stored outputs (B×L×C) into its feature maps (B×C×H×W of each level)."""

    def __init__(self, shapes: list[tuple[int, int]]):
        super().__init__()
        self.shapes = shapes

    def forward(self, stored: Tensor, **_: object) -> Deimv2EncoderOutput:
        """Feature maps of `inputs_embeds`."""
        levels = stored.mT.split([height * width for height, width in self.shapes], dim=2)
        return Deimv2EncoderOutput(
            feature_maps=[level.unflatten(2, shape) for level, shape in zip(levels, self.shapes, strict=True)]
        )


def without_encoder(model: Deimv2ForObjectDetection) -> Deimv2ForObjectDetection:
    """Turn a detector, in place, into one that reads stored outputs: `model(pixel_values=None, inputs_embeds=stored)`."""
    model.model.encoder = StoredMaps([tuple(feature_map.shape[-2:]) for feature_map in _encode(model, _black(model))])
    model.model.conv_encoder = nn.Identity()
    return model


@torch.inference_mode()
def write_encoder_outputs(
    path: Path,
    model: Deimv2ForObjectDetection,
    coco: dict,
    images: str | Path,
    flip: tuple[bool, bool] = (False, False),
    batch_size: int = 16,
) -> np.ndarray:
    """Run backbone and encoder over a split; returns the outputs, N×L×C float32, memory-mapped from the new file `path`.

    L positions of all levels, one level after another. model: in eval mode, on the device to use. flip: (horizontal,
    vertical) mirroring of every image. Raises InputError for an unreadable image.
    """
    device = next(model.parameters()).device
    size, count = model.config.eval_size[0], len(coco["images"])
    maps = _encode(model, _black(model))
    shape = (count, sum(level[0, 0].numel() for level in maps), maps[0].shape[1])
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    reserve(path)
    start = 0
    with tqdm(total=count, desc=f"encoder, {path.stem}", unit="image", disable=None) as progress:
        for batch in image_batches(coco, images, size, batch_size):
            maps = _encode(model, pixel_values(mirrored(batch.to(device), flip)))
            stored[start : start + len(batch)] = torch.cat([level.flatten(2) for level in maps], dim=2).mT.cpu().numpy()
            start += len(batch)
            progress.update(len(batch))
    return np.load(path, mmap_mode="r")


def _encode(model: Deimv2ForObjectDetection, pixels: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        return list(model.model.encoder(model.model.conv_encoder(pixels)).feature_maps)


def _black(model: Deimv2ForObjectDetection) -> Tensor:
    """One black image: the shapes of the feature maps do not depend on what is seen."""
    side = model.config.eval_size[0]
    return torch.zeros(1, 3, side, side, device=next(model.parameters()).device)
