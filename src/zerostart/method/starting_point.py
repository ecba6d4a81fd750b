"""The fusion before any training: built from the parameters, the text embeddings and the size of the cached features."""

from pathlib import Path

import numpy as np
import torch

from zerostart.cache.views import load_view
from zerostart.errors import InputError
from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.params import Params
from zerostart.records import read_json

TEXT = Path("data/text_embeddings")


def starting_fusion(params: Params, classes: list[str]) -> Fusion:
    """Raises InputError when the embeddings are missing, damaged or of other classes."""
    text = _read_text_embeddings(classes)
    visual_dim = load_view("data/features", "train").hidden.shape[2]
    return Fusion(FusionConfig.from_params(params, classes, visual_dim, text.shape[1]), text).initialize(params)


def _read_text_embeddings(classes: list[str]) -> torch.Tensor:
    embedded = read_json(TEXT / "classes.json", "the stage `text_embeddings` writes it")
    try:
        text = np.load(TEXT / "embeddings.npy")
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{TEXT}: not readable ({error}); the stage `text_embeddings` writes it") from None
    if embedded != classes:
        raise InputError(f"{TEXT / 'classes.json'}: {embedded}, but the data set has the classes {classes}")
    if text.ndim != 2 or len(text) != len(classes):
        raise InputError(f"{TEXT / 'embeddings.npy'}: shape {text.shape}; a row for each of {len(classes)} classes is expected")
    return torch.from_numpy(text)
