"""One detector training from its parameters: the data in memory, the starting weights, the score on val."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import Deimv2ForObjectDetection

from zerostart.config import explain_problems
from zerostart.datasets.splits import split_targets
from zerostart.detector.model import build_detector
from zerostart.detector.official.checkpoint import load_official, read_official_checkpoint
from zerostart.detector.pixels import image_batches
from zerostart.detector.variants import variant_config
from zerostart.detector_training.training import TrainingParams, TrainingState, make_optimizer, predict
from zerostart.drawing.synthetic import generate
from zerostart.errors import InputError
from zerostart.metrics.coco import CocoMetrics, detections, evaluate_coco, image_sizes
from zerostart.params import Lambdas
from zerostart.records import check_regular, read_yaml

EXTRA_SEED = 1_000_003
"""Seed of the further synthetic training images; the data set itself has seed 0."""


def load_training_params(path: str | Path, dataset: str) -> TrainingParams:
    """The block of `dataset`; raises InputError naming the key that is unknown, missing or of a wrong type."""
    raw = read_yaml(path, "the parameters of the detectors are expected there")
    blocks = raw.get("datasets") if isinstance(raw, dict) else None
    if not isinstance(blocks, dict):
        raise InputError(f"{path}: 'datasets' with a block for each data set is expected")
    if dataset not in blocks:
        raise InputError(f"{path}: no block for the data set '{dataset}'; there are {', '.join(blocks)}")
    try:
        return TrainingParams.model_validate(blocks[dataset])
    except ValidationError as error:
        raise InputError(f"{path}, block '{dataset}': {explain_problems(error)}") from None


def load_images(coco: dict, folder: Path, size: int) -> Tensor:
    """All images of a split in memory, N×3×size×size uint8."""
    return torch.cat(list(image_batches(coco, folder, size, batch_size=64)))


def extra_images(count: int, size: int) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """`count` further synthetic images (N×3×size×size uint8) and their targets; none of them is in the data set."""
    images, targets = [], []
    with TemporaryDirectory() as folder:
        generate(Path(folder), EXTRA_SEED, count, os.cpu_count() or 1)
        for split in ("train", "val", "test"):
            coco = json.loads(Path(folder, "annotations", f"{split}.json").read_text())
            images.append(load_images(coco, Path(folder), size))
            targets += split_targets(coco)
    return torch.cat(images), targets


def starting_weights(init: str | Path) -> dict[str, Tensor]:
    """The weights of a baseline folder of any classes, or of an official checkpoint; raises InputError when not readable."""
    if not Path(init).is_dir():
        return read_official_checkpoint(init)
    check_regular(Path(init) / "model.safetensors")
    try:
        weights = load_file(Path(init) / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise InputError(f"{init}: no readable model.safetensors: {str(error).splitlines()[0]}") from None
    # Frozen batch norms have no such counter, and others do not need it.
    return {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}


def new_state(params: TrainingParams, classes: list[str], device: torch.device) -> TrainingState:
    """The detector at the start of its training (random, or from `init` with new class heads), its EMA and optimiser."""
    torch.manual_seed(params.seed)
    config = variant_config(params.variant, classes, params.image_size, params.num_queries)
    config.num_denoising = params.num_denoising
    config.freeze_backbone_batch_norms = params.freeze_batch_norm
    if not params.local_loss:
        config.weight_loss_fgl = config.weight_loss_ddf = 0.0
    model = build_detector(config)
    if params.init is not None:
        load_official(model, starting_weights(params.init), params.init)
    if params.freeze_batch_norm:
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.requires_grad_(False)
    ema = build_detector(config)
    ema.load_state_dict(model.state_dict())
    model, ema = (m.to(device, memory_format=torch.channels_last) for m in (model, ema.requires_grad_(False)))
    return TrainingState(model, ema, make_optimizer(model, params))


def judge(model: Deimv2ForObjectDetection, images: Tensor, coco: dict, device: torch.device) -> CocoMetrics:
    """COCO metrics of a detector on a split that is in memory."""
    logits, boxes = predict(model, images, batch_size=32, device=device)
    ids = np.array([image["id"] for image in coco["images"]])
    found = detections(logits.numpy(), boxes.clamp(0, 1).numpy(), image_sizes(coco, ids), ids)
    return evaluate_coco(coco, found, coco["info"]["critical"], Lambdas(map=0.7, ar_critical=0.3))
