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


def main() -> str:
    params = load_params()
    classes = class_names(read_split("train"))
    text = np.load("data/text_embeddings/embeddings.npy")
    embedded = json.loads(Path("data/text_embeddings/classes.json").read_text())
    if embedded != classes:
        raise InputError(f"data/text_embeddings/classes.json: {embedded}, but the data set has the classes {classes}")
    visual_dim = load_view("data/features", "train").hidden.shape[2]
    config = FusionConfig.from_params(params, classes, visual_dim, text.shape[1])
    fusion = Fusion(config, torch.from_numpy(text)).initialize(params)
    groups = [{"params": fusion.fusion_parameters(), "lr": params.lr.warmup}]
    return run_phase("warmup", fusion, groups, params.epochs.warmup, params)


if __name__ == "__main__":
    run_stage(main)
