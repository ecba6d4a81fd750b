"""DEIMv2 detectors of the 80 COCO classes, and the vehicle that such a detector finds in a photo."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import Deimv2ForObjectDetection

from zerostart.detector.baselines import HUB_ID, find_baseline, write_baseline
from zerostart.detector.coco import COCO_CLASSES, load_official_detector
from zerostart.detector.model import load_detector
from zerostart.detector.pixels import pixel_values
from zerostart.errors import InputError
from zerostart.retrieval.crops.photos import Box

VEHICLES = [COCO_CLASSES.index(name) for name in ("car", "bus", "truck")]
LEAST_SCORE = 0.3

FindVehicle = Callable[[Image.Image], Box | None]


def load_vehicle_detector(source: str | None) -> FindVehicle | None:
    """A function from a photo to the box of its largest vehicle (None: it finds none); None when there is no detector.

    `source`: an official checkpoint file, a baseline folder or a hub id of a COCO detector, or None. A hub that does not
    give it counts as none; raises InputError for a file or folder that is missing or no COCO detector.
    """
    if source is None:
        return None
    if source.endswith(".pth"):
        detector = load_official_detector(source)
    else:
        try:
            folder = find_baseline(source, "coco")
        except InputError:
            if HUB_ID.fullmatch(source):
                return None
            raise
        with tempfile.TemporaryDirectory() as temporary:
            write_baseline(folder, COCO_CLASSES, Path(temporary))
            detector = load_detector(temporary, list(COCO_CLASSES))
    return lambda photo: find_vehicle(detector, photo)


def find_vehicle(detector: Deimv2ForObjectDetection, photo: Image.Image) -> Box | None:
    """The largest box of a car, bus or truck with a score of at least 0.3, in pixels of the photo."""
    size = detector.config.eval_size[0] if detector.config.eval_size else 640
    resized = np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    with torch.inference_mode():
        output = detector(pixel_values=pixel_values(torch.from_numpy(resized.copy())[None]))
    return largest_vehicle(output.logits[0], output.pred_boxes[0], photo.size)


def largest_vehicle(logits: Tensor, boxes: Tensor, size: tuple[int, int]) -> Box | None:
    """The largest vehicle among detections: logits Q×80, boxes Q×4 (cxcywh as fractions); None below the least score."""
    found = boxes[(logits[:, VEHICLES].sigmoid() >= LEAST_SCORE).any(dim=1)]
    if len(found) == 0:
        return None
    cx, cy, width, height = found[found[:, 2:].prod(dim=1).argmax()].tolist()
    edges = np.clip([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2], 0, 1) * (*size, *size)
    left, top, right, bottom = edges.tolist()
    return left, top, right, bottom
