"""Outputs of the official implementation, where they lie beside the repository."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from zerostart.detector.official.checkpoint import read_official_checkpoint
from zerostart.detector.official.config import read_official_config
from zerostart.detector.official.conversion import convert, settle

SIX = [f"class{k}" for k in range(6)]
OFFICIAL = Path(__file__).parents[2].parent / "shared/data/deimv2-official"


needs_official = pytest.mark.skipif(
    not (OFFICIAL / "atto.npz").is_file(), reason="the official implementation's outputs are not beside the repository"
)


def official(variant: str):
    """The official weights, converted, with the official input and the official outputs."""
    weights = read_official_checkpoint(OFFICIAL / f"{variant}.pth")
    config, _ = settle(read_official_config(OFFICIAL / f"{variant}.yml"), weights)
    reference = np.load(OFFICIAL / f"{variant}.npz")
    pixels = torch.from_numpy(reference["x_uint8"]).repeat_interleave(8, 2).repeat_interleave(8, 3) / 255
    model = convert(config, weights, SIX, f"{variant}.pth")
    return model, pixels, torch.from_numpy(reference["logits"]), torch.from_numpy(reference["boxes"])


@torch.no_grad()
def distance(model, pixels, logits, boxes) -> float:
    """Largest difference in a logit or a coordinate, queries matched by box: equal scores may come in any order."""
    output = model(pixel_values=pixels)
    ours, theirs = linear_sum_assignment(torch.cdist(output.pred_boxes[0], boxes[0], p=1).numpy())
    differences = output.logits[0, ours] - logits[0, theirs], output.pred_boxes[0, ours] - boxes[0, theirs]
    return max(difference.abs().max().item() for difference in differences)
