"""Train refinements of a frozen detector, several at once, and choose the epoch of each by the composite score."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from zerostart.cache.views import View
from zerostart.errors import InputError
from zerostart.method.cached_images import Batch, TrainingImages
from zerostart.method.matching import match, matchability_aware_loss
from zerostart.method.run_stack import RunStack
from zerostart.metrics.coco import composite
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator, mean_over_classes
from zerostart.params import Lambdas


class Run(NamedTuple):
    """One training: where it starts, what it trains, and in which order it sees which images."""

    state: dict[str, Tensor]
    """State dictionary of the module at epoch 0."""
    rates: dict[str, float]
    """Learning rate of every parameter that is trained, by name."""
    seed: int
    """Of the order of the images."""
    images: np.ndarray | None = None
    """Indices of the training images that it may see; all by default."""


class Schedule(NamedTuple):
    """What all runs of a phase share."""

    epochs: int
    patience: int
    """Epochs without a better composite before a run stops."""
    batch_size: int
    weight_decay: float


@dataclass
class PhaseResult:
    """What one training leaves: its choice and its history."""

    best_state: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=lambda: {"composite": -1.0})
    history: list[dict[str, float]] = field(default_factory=list)
    """One row per epoch, epoch 0 (before any step) first: epoch, loss, mAP, AR_critical, composite, alpha, tau."""


class ValidationScore:
    """mAP, AR_critical and their weighted sum (the composite) of refined logits on the val split."""

    def __init__(self, view: View, coco: dict, lambdas: Lambdas):
        self.view, self.lambdas = view, lambdas
        self.evaluator = FrozenBoxEvaluator(view.boxes, view.image_id, coco)
        names = [category["name"] for category in coco["categories"]]
        self.critical = [names.index(name) for name in coco["info"]["critical"]]

    def __call__(self, logits: np.ndarray) -> dict[str, float]:
        """Scores of refined logits (N×Q×K)."""
        precision, recall = self.evaluator.evaluate(logits)
        mean_ap, ar_critical = mean_over_classes(precision), mean_over_classes(recall, self.critical)
        return {"mAP": mean_ap, "AR_critical": ar_critical, "composite": composite(mean_ap, ar_critical, self.lambdas)}


def train_phase(
    module: nn.Module, runs: list[Run], images: TrainingImages, score: ValidationScore, schedule: Schedule
) -> list[PhaseResult]:
    """Train all runs together; the result of each is what it would be alone, but for an MLP's dropout, whose draws they share.

    module: maps (hidden, base logits) to refined logits; its own weights are not touched. All runs see equally many images.
    Epoch 0, the starting point, is a candidate, so the choice is never worse than it on val. The earliest of equals wins.
    Raises InputError when a loss is not finite.
    """
    stack = RunStack(module, [run.state for run in runs], [run.rates for run in runs], schedule.weight_decay)
    generators = [torch.Generator().manual_seed(run.seed) for run in runs]
    torch.manual_seed(runs[0].seed)  # dropout
    results = [PhaseResult() for _ in runs]
    losses = _mean_losses(stack, _batches(runs, images, schedule.batch_size, None), train=False)
    for epoch in (progress := tqdm(range(schedule.epochs + 1), unit="epoch", disable=None)):
        if epoch > 0:
            losses = _mean_losses(stack, _batches(runs, images, schedule.batch_size, generators), train=True)
        _check(losses, epoch)
        values = {name: value.detach().cpu() for name, value in stack.parameters().items()}
        stack.module.eval()
        refined = refined_logits(stack, score.view, stack.values.device)
        for index, (result, logits) in enumerate(zip(results, refined, strict=True)):
            if epoch - result.best_epoch > schedule.patience:
                continue  # it would have stopped
            scores = score(logits)
            alpha, tau = (values[name][index].mean().item() if name in values else 0.0 for name in ("alpha", "log_tau"))
            result.history.append({"epoch": epoch, "loss": losses[index], **scores, "alpha": alpha, "tau": float(np.exp(tau))})
            if scores["composite"] > result.best["composite"]:
                result.best, result.best_epoch, result.best_state = scores, epoch, stack.state(index)
        progress.set_postfix(composite=max(result.best["composite"] for result in results))
        if all(epoch - result.best_epoch >= schedule.patience for result in results):
            break
    return results


def _check(losses: list[float], epoch: int) -> None:
    for loss in losses:
        if not np.isfinite(loss):
            remedy = "lower the learning rates in params.yaml or raise `tau`"
            if epoch == 0:
                remedy = "finite cached features and logits are expected; run the stage `features` again"
            raise InputError(f"epoch {epoch}: the loss is {loss}; {remedy}")


def _mean_losses(stack: RunStack, batches: Iterator[Batch], train: bool) -> list[float]:
    """The mean loss of every run over the batches, which are learned from or only looked at."""
    stack.module.train(train)
    total, count = torch.zeros(len(stack)), 0
    for batch in batches:
        with torch.set_grad_enabled(train):
            losses = batch_losses(stack, batch.to(stack.values.device))
        if train:
            stack.step(losses)
        total += losses.detach().cpu()
        count += 1
    return (total / count).tolist()


def batch_losses(stack: RunStack, batch: Batch) -> Tensor:
    """MAL of every run (R) on its part of a batch of R·B images, matched by DEIMv2's matcher with the refined logits."""
    hidden, base_logits, targets = batch
    rows = (len(stack), -1)
    logits = stack(hidden.view(*rows, hidden.shape[-1]), base_logits.view(*rows, base_logits.shape[-1]))
    logits = logits.view_as(base_logits)
    if not torch.isfinite(logits).all():
        return logits.view(rows).sum(dim=1) * torch.nan  # the matcher would hide it
    return matchability_aware_loss(logits, targets, match(logits.detach(), targets), len(stack))


def _batches(
    runs: list[Run], images: TrainingImages, batch_size: int, generators: list[torch.Generator] | None
) -> Iterator[Batch]:
    """Batches of `batch_size` images of each run, one run after another; every item once, shuffled by the generators."""
    orders = []
    for index, run in enumerate(runs):
        seen = np.arange(images.images) if run.images is None else run.images
        items = (np.arange(images.views)[:, None] * images.images + seen).ravel()
        orders.append(items if generators is None else items[torch.randperm(len(items), generator=generators[index]).numpy()])
    order = np.stack(orders)
    for start in range(0, order.shape[1], batch_size):
        yield images.batch(order[:, start : start + batch_size].ravel())


@torch.inference_mode()
def refined_logits(
    refine: Callable[[Tensor, Tensor], Tensor], view: View, device: torch.device | str = "cpu", chunk: int = 512
) -> np.ndarray:
    """Refined logits (N×Q×K float32) of a cached view, `chunk` images at a time; R×N×Q×K when `refine` is a RunStack.

    refine: a module in eval mode, from features (M×D_v) and baseline logits (M×K) to refined logits.
    """
    parts = []
    for start in range(0, len(view.logits), chunk):
        part = slice(start, start + chunk)
        hidden, logits = (torch.from_numpy(np.array(array[part])).to(device) for array in (view.hidden, view.logits))
        parts.append(refine(hidden.flatten(0, 1), logits.flatten(0, 1)).unflatten(-2, logits.shape[:2]).cpu())
    return torch.cat(parts, dim=-3).numpy()
