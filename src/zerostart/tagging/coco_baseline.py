"""The baseline without any training: an official DEIMv2 detector, and per tag its best score of the matching COCO classes."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
from transformers import Deimv2ForObjectDetection

from zerostart.detector import LIGHT_VARIANTS, build_detector, variant_config
from zerostart.errors import InputError
from zerostart.images import pixel_values
from zerostart.official import read_official_checkpoint
from zerostart.tagging.cards import TagCard
from zerostart.tagging.image_store import ImageStore
from zerostart.weights import copy_weights

SETTINGS = {"atto": (320, 100), "femto": (416, 150)}
"""Input side and number of queries of the official configurations deimv2_hgnetv2_*_coco.yml."""
BATCH = 16


def coco_class_names() -> list[str]:
    """The 80 classes in the order of their ids; torchvision keeps the eleven unused ids as N/A, and a background."""
    names = FasterRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]
    return [name for name in names if name not in ("N/A", "__background__")]


def load_coco_detector(path: str | Path) -> tuple[Deimv2ForObjectDetection, int]:
    """A frozen official Atto or Femto detector and the side of its input; raises InputError when it is another file."""
    weights = read_official_checkpoint(path)
    width = weights.get("model.enc_score_head.weight", torch.empty(0, 0)).shape[1]
    variant = next((name for name, preset in LIGHT_VARIANTS.items() if preset["width"] == width), None)
    if variant is None:
        raise InputError(f"{path}: neither DEIMv2-Atto nor -Femto, the variants that are read here")
    size, queries = SETTINGS[variant]
    detector = build_detector(variant_config(variant, coco_class_names(), size, queries))
    copy_weights(detector, weights, path)
    return detector.eval().requires_grad_(False), size


def class_columns(card: TagCard) -> list[list[int]]:
    """Per tag the indices of its COCO classes; empty for a tag without any. Raises InputError for a name that COCO has not."""
    names = coco_class_names()
    for tag, wanted in card.coco_names.items():
        if unknown := [name for name in wanted if name not in names]:
            raise InputError(f"data/tags/{card.name}.yaml: '{unknown[0]}', the COCO class of '{tag}', is none of COCO's 80")
    return [[names.index(name) for name in card.coco_names.get(tag, ())] for tag in card.tags]


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
