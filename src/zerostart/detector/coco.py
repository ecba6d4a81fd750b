"""The 80 classes of COCO, and the official detectors that were trained on them."""

from pathlib import Path

import torch
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
from transformers import Deimv2ForObjectDetection

from zerostart.detector.model import build_detector
from zerostart.detector.official.buffers import with_buffers
from zerostart.detector.official.checkpoint import read_official_checkpoint
from zerostart.detector.variants import LIGHT_VARIANTS, variant_config
from zerostart.errors import InputError
from zerostart.weights import copy_weights

# COCO's 80 classes in the order of their ids, out of the 91 names that torchvision knows.
COCO_CLASSES = tuple(
    name for name in FasterRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"] if name not in ("__background__", "N/A")
)


INPUT_SIZE = {"atto": 320, "femto": 416}
QUERIES = {"atto": 100, "femto": 150}
"""num_queries of the official configurations deimv2_hgnetv2_*_coco.yml."""


def load_official_detector(path: str | Path) -> Deimv2ForObjectDetection:
    """The detector of an official Atto or Femto COCO checkpoint, with the anchors that it stores.

    Raises InputError when it is another file, or one that was trained with another image size.
    """
    weights = read_official_checkpoint(path)
    width = weights.get("model.enc_score_head.weight", torch.empty(0, 0)).shape[1]
    variant = next((name for name, preset in LIGHT_VARIANTS.items() if preset["width"] == width), None)
    if variant is None:
        raise InputError(f"{path}: neither DEIMv2-Atto nor -Femto, the variants that are read here")
    config = variant_config(variant, list(COCO_CLASSES), INPUT_SIZE[variant], QUERIES[variant])
    config.official_buffers = True
    detector = build_detector(config)
    copy_weights(detector, with_buffers(detector, weights, path), path)
    return detector.eval().requires_grad_(False)
