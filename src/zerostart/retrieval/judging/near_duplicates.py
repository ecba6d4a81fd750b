"""Photos that ask and have a near-duplicate on record: the same picture again, mirrored, or the same car from the same side."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from zerostart.datasets.pictures import open_rgb
from zerostart.detector.pixels import pixel_values
from zerostart.retrieval.embedding.backbone import PooledBackbone
from zerostart.retrieval.embedding.embedders import OpenCrop, embed_all_patches

SIDE, GRID = 224, 4
"""The whole photo as a square of SIDE pixels; the backbone's stages are pooled to GRID×GRID cells, so that places count."""
ALIKE = 0.65
"""Cosine of standardised features from which two photos count as near-duplicates. Chosen by looking at pairs of real photos of
cars: above it they show one car, or one model in one pose; not far below it they only share a colour."""


class Cells(nn.Module):
    """The last two stages of a backbone, each in GRID×GRID cells."""

    def __init__(self, backbone: PooledBackbone) -> None:
        super().__init__()
        self.stages = backbone.stages

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images (B×3×S×S) to features (B×F)."""
        levels = self.stages(pixel_values(images), output_hidden_states=True).hidden_states[-2:]
        return torch.cat([adaptive_avg_pool2d(level, GRID).flatten(1) for level in levels], dim=1)


def with_twin(record: Sequence[Path], queries: Sequence[Path], backbone: PooledBackbone) -> np.ndarray:
    """Which of the queries have a near-duplicate on record, as it is or mirrored; bool, one for each."""
    found = [features[0].numpy() for _, features in embed_all_patches(Cells(backbone), SIDE, _squares(record, queries))]
    return alike(*np.split(np.stack(found), [len(record), len(record) + len(queries)]))


def alike(record: np.ndarray, plain: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Of features (each n×F): whether a query has a cosine of ALIKE or more with one on record, as it is or mirrored.

    They are standardised by mean and deviation of those on record: what all photos share makes none of them alike.
    """
    mean, deviation = record.mean(axis=0), record.std(axis=0)
    used = deviation > 1e-6
    rows = [(features - mean)[:, used] / deviation[used] for features in (record, plain, mirrored)]
    unit = [row / np.maximum(np.linalg.norm(row, axis=1, keepdims=True), 1e-12) for row in rows]
    return np.maximum(unit[1] @ unit[0].T, unit[2] @ unit[0].T).max(axis=1) >= ALIKE


def _squares(record: Sequence[Path], queries: Sequence[Path]) -> Iterator[tuple[str, OpenCrop]]:
    turns = [(path, False) for path in record] + [(path, turned) for turned in (False, True) for path in queries]
    for path, turned in turns:
        yield str(path), lambda path=path, turned=turned: _square(path, turned)


def _square(path: Path, turned: bool) -> Image.Image:
    picture = open_rgb(path).resize((SIDE, SIDE), Image.Resampling.BOX)
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if turned else picture
