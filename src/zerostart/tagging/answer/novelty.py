"""How unlike the academic pictures is a picture? The Mahalanobis distance of its features from the training pictures'.

Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples" (arXiv 1807.03888), with one Gaussian
for all classes, on the features that the `standard` engine's last layer sees.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.covariance import ledoit_wolf
from timm.models.convnext import ConvNeXt
from torch import Tensor

from zerostart.tagging.engine.batches import model_input
from zerostart.tagging.engine.model import features_and_logits
from zerostart.tagging.pictures.store import ImageStore

PICTURES_AT_ONCE = 128


class Home(NamedTuple):
    """The distribution of the academic pictures' features."""

    mean: np.ndarray
    """D float64."""
    precision: np.ndarray
    """D×D float64, the inverse covariance."""


def fit_home(features: np.ndarray) -> Home:
    """Mean and precision of features N×D, the covariance shrunk after Ledoit and Wolf 2004."""
    covariance, _ = ledoit_wolf(features)
    return Home(features.mean(axis=0), np.linalg.inv(covariance))


def novelty(home: Home, features: np.ndarray) -> np.ndarray:
    """N distances, divided by √D so that about 1 is usual whatever the number of features."""
    away = features - home.mean
    return np.sqrt(np.einsum("nd,de,ne->n", away, home.precision, away).clip(0) / features.shape[1])


def picture_features(model: ConvNeXt, images: Sequence[Tensor], size: int) -> np.ndarray:
    """Features N×D float64 of 3×H×W uint8 pictures."""
    device = next(model.parameters()).device
    found = [
        features_and_logits(model, model_input(images[start : start + PICTURES_AT_ONCE], size, device))[0].double().cpu()
        for start in range(0, len(images), PICTURES_AT_ONCE)
    ]
    return torch.cat(found).numpy()


def stored_features(model: ConvNeXt, store: ImageStore, indices: np.ndarray, size: int) -> np.ndarray:
    """Features N×D of stored pictures, of which a few are in memory at a time."""
    parts = np.array_split(indices, -(-len(indices) // PICTURES_AT_ONCE))
    return np.concatenate([picture_features(model, store.images(part), size) for part in parts])


def best_limit(home_novelty: np.ndarray, away_novelty: np.ndarray) -> float:
    """The limit with the best balanced accuracy of "above it is not from home", halfway between two values."""
    values = np.unique(np.concatenate([home_novelty, away_novelty]))
    limits = (values[1:] + values[:-1]) / 2
    right = (home_novelty[:, None] <= limits).mean(axis=0) + (away_novelty[:, None] > limits).mean(axis=0)
    return float(limits[right.argmax()])
