"""Train the fusion on cached features and choose the epoch by the composite score."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from zerostart.coco_metrics import composite
from zerostart.errors import InputError
from zerostart.feature_cache import View
from zerostart.frozen_box_metrics import FrozenBoxEvaluator, mean_over_classes
from zerostart.fusion import Fusion
from zerostart.matching import Targets, match, matching_aware_loss, prepare_targets
from zerostart.params import Lambdas


class TrainingView:
    """One cached view of the training split with its targets; features stay memory-mapped."""

    def __init__(self, view: View, targets: list[dict[str, Tensor]]):
        self.view = view
        self.targets: Targets = prepare_targets(torch.from_numpy(np.array(view.boxes)), targets)

    def __len__(self) -> int:
        return len(self.view.image_id)


class ValidationScore:
    """mAP, AR_critical and their weighted sum (the composite) of refined logits on the val split."""

    def __init__(self, view: View, coco: dict, lambdas: Lambdas):
        self.view, self.lambdas = view, lambdas
        self.evaluator = FrozenBoxEvaluator(view.boxes, view.image_id, coco)
        names = [category["name"] for category in coco["categories"]]
        self.critical = [names.index(name) for name in coco["info"]["critical"]]

    def __call__(self, fusion: Fusion) -> dict[str, float]:
        precision, recall = self.evaluator.evaluate(refined_logits(fusion, self.view.hidden, self.view.logits))
        mean_ap, ar_critical = mean_over_classes(precision), mean_over_classes(recall, self.critical)
        return {"mAP": mean_ap, "AR_critical": ar_critical, "composite": composite(mean_ap, ar_critical, self.lambdas)}


@torch.inference_mode()
def refined_logits(fusion: Fusion, hidden: np.ndarray, logits: np.ndarray, chunk: int = 512) -> np.ndarray:
    """Refined logits (N×Q×K float32) of cached features (N×Q×D_v) and logits (N×Q×K), `chunk` images at a time.

    Raises InputError when one of them is not a finite number: it could not be ranked.
    """
    fusion.eval()
    parts = [
        fusion(torch.from_numpy(np.array(hidden[i : i + chunk])), torch.from_numpy(np.array(logits[i : i + chunk])))
        for i in range(0, len(hidden), chunk)
    ]
    refined = torch.cat(parts)
    if not torch.isfinite(refined).all():
        raise InputError("a refined logit is not a finite number; are the cached features, is a learning rate too high?")
    return refined.numpy()


@dataclass
class PhaseResult:
    """What a training phase leaves: its choice and its history."""

    best_state: dict[str, Tensor]
    best_epoch: int
    best: dict[str, float]
    history: list[dict[str, float]]
    """One row per epoch, epoch 0 (before any step) first: epoch, loss, mAP, AR_critical, composite, alpha, tau."""


def train_phase(
    fusion: Fusion,
    groups: list[dict],
    views: list[TrainingView],
    score: ValidationScore,
    epochs: int,
    patience: int,
    batch_size: int,
    weight_decay: float,
    seed: int,
) -> PhaseResult:
    """Train the parameters in `groups` (AdamW groups with their own `lr`); everything else of `fusion` stays as it is.

    Epoch 0, the starting point, is a candidate, so the choice is never worse than it on val. The earliest of equals wins.
    Raises InputError when the loss is not finite.
    """
    fusion.requires_grad_(False)
    for group in groups:
        for parameter in group["params"]:
            parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay)
    torch.manual_seed(seed)  # dropout
    generator = torch.Generator().manual_seed(seed)
    loss = mean_loss(fusion, views, batch_size)
    result = PhaseResult({}, 0, {"composite": -1.0}, [])
    for epoch in (progress := tqdm(range(epochs + 1), unit="epoch", disable=None)):
        if epoch > 0:
            loss = train_epoch(fusion, optimizer, views, batch_size, generator)
        if not math.isfinite(loss):
            raise InputError(f"epoch {epoch}: the loss is {loss}; {_remedy(epoch)}")
        scores = score(fusion)
        shown = {"alpha": fusion.alpha.mean().item(), "tau": fusion.tau.item()}
        result.history.append({"epoch": epoch, "loss": loss, **scores, **shown})
        progress.set_postfix(composite=scores["composite"])
        if scores["composite"] > result.best["composite"]:
            result.best, result.best_epoch = scores, epoch
            result.best_state = {name: tensor.clone() for name, tensor in fusion.state_dict().items()}
        elif epoch - result.best_epoch >= patience:
            break
    fusion.load_state_dict(result.best_state)
    return result


def _remedy(epoch: int) -> str:
    if epoch == 0:
        return "finite cached features and logits are expected; run the stage `features` again"
    return "lower the learning rates in params.yaml or raise `tau`"


def train_epoch(
    fusion: Fusion,
    optimizer: torch.optim.Optimizer,
    views: list[TrainingView],
    batch_size: int,
    generator: torch.Generator,
) -> float:
    """One shuffled pass over all views; returns the mean loss of its batches."""
    fusion.train()
    losses = []
    for batch in shuffled_batches(views, batch_size, generator):
        loss = batch_loss(fusion, *batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        fusion.clamp_tau()
        losses.append(loss.item())
    return float(np.mean(losses))


@torch.inference_mode()
def mean_loss(fusion: Fusion, views: list[TrainingView], batch_size: int) -> float:
    """The mean loss over all batches without training."""
    fusion.eval()
    generator = torch.Generator().manual_seed(0)
    return float(np.mean([batch_loss(fusion, *b).item() for b in shuffled_batches(views, batch_size, generator)]))


def batch_loss(fusion: Fusion, hidden: Tensor, base_logits: Tensor, targets: Targets) -> Tensor:
    """MAL of a batch of cached queries, matched by DEIMv2's matcher with the refined logits."""
    logits = fusion(hidden, base_logits)
    if not torch.isfinite(logits).all():
        return logits.sum() * math.nan  # the matcher would hide it
    return matching_aware_loss(logits, targets, match(logits.detach(), targets))


def shuffled_batches(
    views: list[TrainingView], batch_size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Targets]]:
    """Batches of (hidden B×Q×D_v, logits B×Q×K, targets), each of one view, in random order."""
    chunks = [(view, chunk) for view in views for chunk in torch.randperm(len(view), generator=generator).split(batch_size)]
    for index in torch.randperm(len(chunks), generator=generator).tolist():
        view, chunk = chunks[index]
        images = chunk.sort().values  # sequential reads of the memory map
        hidden, logits = (torch.from_numpy(array[images.numpy()]) for array in (view.view.hidden, view.view.logits))
        yield hidden, logits, view.targets.select(images)


def trainable_parameters(groups: list[dict]) -> int:
    """Number of scalars that a phase trains."""
    return sum(parameter.numel() for group in groups for parameter in group["params"])
