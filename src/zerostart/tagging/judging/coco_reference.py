"""The reference without any training: an official DEIMv2 detector, and per tag its best score of the matching COCO classes."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Deimv2ForObjectDetection

from zerostart.detector.coco import COCO_CLASSES
from zerostart.detector.pixels import pixel_values
from zerostart.errors import InputError
from zerostart.tagging.cards import TagCard
from zerostart.tagging.pictures.store import ImageStore

BATCH = 16


def class_columns(card: TagCard) -> list[list[int]]:
    """Per tag the indices of its COCO classes; empty for a tag without any. Raises InputError for a name that COCO has not."""
    for tag, wanted in card.coco_names.items():
        if unknown := [name for name in wanted if name not in COCO_CLASSES]:
            raise InputError(f"data/tags/{card.name}.yaml: '{unknown[0]}', the COCO class of '{tag}', is none of COCO's 80")
    return [[COCO_CLASSES.index(name) for name in card.coco_names.get(tag, ())] for tag in card.tags]


@torch.inference_mode()
def detector_scores(
    detector: Deimv2ForObjectDetection, size: int, columns: list[list[int]], store: ImageStore, indices: np.ndarray
) -> np.ndarray:
    """N×K: the best score of any box for the classes of each tag; 0 for a tag without a COCO class."""
    scores = np.zeros((len(indices), len(columns)))
    for start in range(0, len(indices), BATCH):
        images = [_resized(image, size) for image in store.images(indices[start : start + BATCH])]
        best = detector(pixel_values=pixel_values(torch.stack(images))).logits.double().sigmoid().amax(dim=1).numpy()
        for k, classes in enumerate(columns):
            if classes:
                scores[start : start + BATCH, k] = best[:, classes].max(axis=1)
    return scores


def _resized(image: Tensor, size: int) -> Tensor:
    """3×H×W uint8 to 3×size×size uint8, bilinearly, as the detector's own reader does."""
    resized = functional.interpolate(image[None].float(), (size, size), mode="bilinear", antialias=True, align_corners=False)
    return resized[0].round().clamp(0, 255).to(torch.uint8)
