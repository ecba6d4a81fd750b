"""warmup: phase 1, the fusion alone is trained; detector and class head stay as they are."""

import json
from pathlib import Path

import numpy as np
import torch

from zerostart.coco_metrics import class_names
from zerostart.errors import InputError, run_stage
from zerostart.feature_cache import load_view
from zerostart.fusion import Fusion, FusionConfig
from zerostart.params import load_params
from zerostart.phases import run_phase
from zerostart.splits import read_split

TEXT = Path("data/text_embeddings")


def main() -> str:
    params = load_params()
    classes = class_names(read_split("train"))
    text = _read_text_embeddings(classes)
    visual_dim = load_view("data/features", "train").hidden.shape[2]
    config = FusionConfig.from_params(params, classes, visual_dim, text.shape[1])
    fusion = Fusion(config, text).initialize(params)
    rates = dict.fromkeys(fusion.fusion_parameters(), params.lr.warmup)
    return run_phase("warmup", fusion, rates, params.epochs.warmup, params)


def _read_text_embeddings(classes: list[str]) -> torch.Tensor:
    try:
        text = np.load(TEXT / "embeddings.npy")
        embedded = json.loads((TEXT / "classes.json").read_text())
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{TEXT}: not readable ({error}); the stage `text_embeddings` writes it") from None
    if embedded != classes:
        raise InputError(f"{TEXT / 'classes.json'}: {embedded}, but the data set has the classes {classes}")
    if text.ndim != 2 or len(text) != len(classes):
        raise InputError(f"{TEXT / 'embeddings.npy'}: shape {text.shape}; a row for each of {len(classes)} classes is expected")
    return torch.from_numpy(text)


if __name__ == "__main__":
    run_stage(main)
