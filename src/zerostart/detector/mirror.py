"""Mirror images: which there are, and where boxes lie in them."""

import torch
from torch import Tensor

FLIPS = ((False, False), (True, False), (False, True), (True, True))
"""(horizontal, vertical) flips of the cached views, in the order in which `augment_views` adds them."""
TEST_VIEWS = {"none": (0,), "horizontal": (0, 1), "vertical": (0, 2), "both": (0, 3), "all": (0, 1, 2, 3)}
"""The views that are merged when an image is judged, by `test_flips`; `both` is a half turn."""


def mirrored(images: Tensor, flip: tuple[bool, bool]) -> Tensor:
    """Images (…×H×W) mirrored (horizontally, vertically); themselves where neither is wanted."""
    axes = [axis for axis, wanted in zip((-1, -2), flip, strict=True) if wanted]
    return images.flip(axes) if axes else images


def flip_targets(targets: list[dict[str, Tensor]], flip: tuple[bool, bool]) -> list[dict[str, Tensor]]:
    """The targets (cxcywh) of mirrored images."""
    flipped = []
    for target in targets:
        boxes = target["boxes"].clone()
        for axis, wanted in enumerate(flip):
            if wanted:
                boxes[:, axis] = 1 - boxes[:, axis]
        flipped.append({"class_labels": target["class_labels"], "boxes": boxes})
    return flipped


def unflip(boxes: Tensor, flip: tuple[bool, bool]) -> Tensor:
    """Boxes (…×4, cxcywh as fractions) of a mirrored image, where they are in the image itself."""
    centre = [1 - boxes[..., axis] if mirrored else boxes[..., axis] for axis, mirrored in enumerate(flip)]
    return torch.stack([*centre, boxes[..., 2], boxes[..., 3]], dim=-1)
