"""Train a tagger: base training on academic pictures, or adaptation on photos with academic ones replayed.

A loop over epochs. Every epoch draws from a generator of its own, so that a killed training that goes on from its last finished
epoch ends with the same weights.
"""

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from timm.data.mixup import Mixup
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from zerostart.prefetch import in_order
from zerostart.resume import load_training, save_training
from zerostart.tagging.engine.batches import augmented, model_input, photometric
from zerostart.tagging.judging.scores import accuracy_and_f1
from zerostart.tagging.params import PhaseParams
from zerostart.tagging.pictures.store import ImageStore

WARMUP = 0.05
"""Share of the steps over which the learning rate rises."""
CLIP_NORM = 1.0
EVAL_BATCH = 128

Measure = Callable[[nn.Module], dict[str, float]]
"""Scores on val; `score` among them picks the epoch."""


@dataclass
class TrainingState:
    """Everything a killed training needs to go on as if it had not been killed."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    history: list[dict[str, float]] = field(default_factory=list)
    """One row per epoch, the untrained (or not adapted) model first: epoch, loss and the scores on val."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the epoch with the highest score."""

    @property
    def best_epoch(self) -> int:
        return max(self.history, key=lambda row: row["score"])["epoch"]

    def note(self, row: dict[str, float]) -> None:
        """Add an epoch, and keep its weights if it is the best so far."""
        self.history.append(row)
        if self.best_epoch == row["epoch"]:
            self.best = copy.deepcopy(self.model.state_dict())

    def parts(self, scaler: torch.amp.GradScaler) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "scaler": scaler}


def make_state(model: nn.Module, phase: PhaseParams) -> TrainingState:
    """A model and its AdamW; biases, norms and layer scales are not decayed."""
    layer_decay = phase.layer_decay if phase.layer_decay < 1 else None
    # fused: its square root is PyTorch's own; the other one is MKL's, which is not the same on Intel and AMD
    rates = {"lr": phase.lr, "weight_decay": phase.weight_decay, "layer_decay": layer_decay}
    optimizer = create_optimizer_v2(model, "adamw", fused=True, **rates)
    return TrainingState(model, optimizer)


def epoch_pictures(
    main: ImageStore, replayed: ImageStore | None, phase: PhaseParams, rng: np.random.Generator
) -> list[tuple[ImageStore, int]]:
    """All training pictures of `main`, and so many of `replayed` that they are the share `replay`, shuffled."""
    chosen = [(main, int(index)) for index in main.of_split("train")]
    if replayed is not None and phase.replay:
        others = replayed.of_split("train")
        count = min(round(len(chosen) * phase.replay / (1 - phase.replay)), len(others))
        chosen += [(replayed, int(index)) for index in rng.choice(others, count, replace=False)]
    return [chosen[index] for index in rng.permutation(len(chosen))]


def batches(
    pictures: list[tuple[ImageStore, int]], phase: PhaseParams, device: torch.device, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs B×3×S×S and targets B×K of an epoch; B is even. A thread prepares the next batch during the present one's step."""
    size = phase.batch_size
    chunks = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    chunks = [chunk[: len(chunk) // 2 * 2] for chunk in chunks if len(chunk) > 1]

    def prepare(chunk: list[tuple[ImageStore, int]]) -> tuple[Tensor, Tensor]:
        images = [store.images([index])[0] for store, index in chunk]
        inputs = model_input(augmented(images, phase, generator), phase.input_size, device)
        targets = torch.from_numpy(np.stack([store.targets[index] for store, index in chunk])).float().to(device)
        return photometric(inputs, phase.photometric, generator), targets

    with ThreadPoolExecutor(1) as pool:  # one thread: the generator's draws stay in order
        yield from in_order(pool, prepare, chunks, ahead=2)


def train(
    state: TrainingState,
    main: ImageStore,
    replayed: ImageStore | None,
    phase: PhaseParams,
    seed: int,
    precision: str,
    measure: Measure,
    resume: Path,
    inputs: dict[str, str],
) -> None:
    """Train until the epochs are over or `patience` of them brought nothing better; `state.best` holds the result.

    Writes `resume` after every epoch and goes on from it when it exists. Raises OtherTrainingError when that was written with
    other parameters, or with other `inputs` (name: digest).
    """
    device = next(state.model.parameters()).device
    settings = {"phase": phase.model_dump(), "seed": seed, "precision": precision, **inputs}
    cast, scaler = _precision(precision, device)
    if resume.exists():
        values = load_training(resume, settings, state.parts(scaler))
        state.history, state.best = values["history"], values["best"]
    else:
        state.note({"epoch": 0, "loss": 0.0} | measure(state.model))
    base_rates = [phase.lr * group.get("lr_scale", 1.0) for group in state.optimizer.param_groups]
    mixup = (
        Mixup(phase.mixup_alpha, label_smoothing=0.0, num_classes=len(main.tags), multi_label=True)
        if phase.mixup_alpha
        else None
    )
    done = len(state.history)
    for epoch in tqdm(range(done, phase.epochs + 1), "epochs", phase.epochs, unit="epoch", initial=done - 1):
        if epoch - state.best_epoch > phase.patience:
            break
        rng = np.random.default_rng((seed, epoch))
        np.random.seed(int(rng.integers(2**32)))  # timm's MixUp draws from numpy's global generator
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        torch.manual_seed(int(rng.integers(2**62)))
        pictures = epoch_pictures(main, replayed, phase, rng)
        steps = -(-len(pictures) // phase.batch_size)
        state.model.train()
        losses = []
        for step, (inputs, targets) in enumerate(batches(pictures, phase, device, generator)):
            if mixup is not None:
                inputs, targets = mixup(inputs, targets)
            factor = rate_factor((epoch - 1) * steps + step, phase.epochs * steps)
            for group, rate in zip(state.optimizer.param_groups, base_rates, strict=True):
                group["lr"] = rate * factor
            with cast():
                loss = functional.binary_cross_entropy_with_logits(state.model(inputs).float(), targets)
            state.optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.unscale_(state.optimizer)
            nn.utils.clip_grad_norm_(state.model.parameters(), CLIP_NORM)
            scaler.step(state.optimizer)
            scaler.update()
            losses.append(loss.detach())
        state.note({"epoch": epoch, "loss": float(torch.stack(losses).mean())} | measure(state.model))
        save_training(resume, settings, state.parts(scaler), {"history": state.history, "best": state.best})


def rate_factor(step: int, steps: int) -> float:
    """The learning rate of a step as a share of the highest: a linear rise, then half a cosine down to 0."""
    rise = max(round(WARMUP * steps), 1)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + cos(pi * (step - rise) / max(steps - rise, 1)))


def _precision(precision: str, device: torch.device):
    """A context for the forward pass, and the scaler of float16's gradients (which does nothing elsewhere)."""
    if device.type != "cuda" or precision == "float32":
        return nullcontext, torch.amp.GradScaler(enabled=False)
    kind = getattr(torch, precision)
    return lambda: torch.autocast(device.type, kind), torch.amp.GradScaler(enabled=kind is torch.float16)


@torch.inference_mode()
def predict(model: nn.Module, store: ImageStore, indices: np.ndarray, size: int) -> np.ndarray:
    """Scores N×K float64 of stored pictures, seen whole."""
    device = next(model.parameters()).device
    model.eval()
    found = [
        model(model_input(store.images(indices[start : start + EVAL_BATCH]), size, device)).double().sigmoid().cpu()
        for start in range(0, len(indices), EVAL_BATCH)
    ]
    return torch.cat(found).numpy() if found else np.zeros((0, len(store.tags)))


def val_scores(model: nn.Module, stores: dict[str, ImageStore], size: int) -> dict[str, float]:
    """mAP and macro F1 at 0.5 on the val split of each domain, as `<domain>_mAP` and `<domain>_F1`."""
    row = {}
    for name, store in stores.items():
        indices = store.of_split("val")
        scores, targets = predict(model, store, indices, size), store.targets[indices]
        judged = [k for k in range(len(store.tags)) if targets[:, k].any()]
        row[f"{name}_mAP"] = (
            float(np.mean([average_precision_score(targets[:, k], scores[:, k]) for k in judged])) if judged else 0.0
        )
        row[f"{name}_F1"] = accuracy_and_f1(scores >= 0.5, targets)["macro_F1"]
    return row
