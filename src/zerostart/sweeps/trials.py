"""Many experiments on the same cached features in one go: trials of one structure are the rows of one stack.

A trial is exactly what the stages `warmup` and `head_tuning` do with its parameters; what they leave on val is its score.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch

from zerostart.datasets.splits import class_names, read_split
from zerostart.method.cached_images import TrainingImages
from zerostart.method.fusion import Fusion
from zerostart.method.phase import open_view, training_images
from zerostart.method.starting_point import starting_fusion
from zerostart.method.training import PhaseResult, Run, Schedule, ValidationScore, train_phase
from zerostart.params import Params

SWEPT = {
    *("mode", "alpha_init", "alpha_per_class", "sigma", "weight_init", "tau", "projector", "dropout", "center_similarity"),
    *("batch_size", "weight_decay", "patience", "seed", "lr.warmup", "lr.fusion", "lr.head", "epochs.warmup", "epochs.head"),
}
"""The parameters that change nothing frozen: trials that differ in these only share everything that is computed once."""


class Inputs(NamedTuple):
    """What all trials share."""

    classes: list[str]
    images: TrainingImages
    score: ValidationScore


def load_inputs(params: Params) -> Inputs:
    """Open the cached features that `dvc repro` left; raises InputError when they are missing or do not belong together."""
    train, val = read_split("train"), read_split("val")
    fusion = starting_fusion(params, class_names(train))
    images = training_images(train, fusion, params)
    return Inputs(class_names(train), images, ValidationScore(open_view("val", 0, val, fusion), val, params.lambdas))


def run_trials(trials: list[Params], inputs: Inputs) -> list[dict[str, float]]:
    """mAP, AR_critical and composite on val that each trial ends with; trials may differ in `SWEPT` only."""
    torch.set_num_threads(1)  # as the stages do: the same sums, and the fastest for tiny tensors
    fusions = [starting_fusion(params, inputs.classes) for params in trials]
    groups: dict[str, list[int]] = {}
    for index, (fusion, params) in enumerate(zip(fusions, trials, strict=True)):
        alone = index if params.projector == "mlp" and params.dropout else None  # one draw of dropout serves a whole stack
        groups.setdefault(f"{fusion.config} {_schedule(params, 0)} {params.epochs} {alone}", []).append(index)
    found: dict[int, dict[str, float]] = {}
    for members in groups.values():
        results = _run_alike([fusions[index] for index in members], [trials[index] for index in members], inputs)
        found.update(zip(members, results, strict=True))
    return [found[index] for index in range(len(trials))]


def _run_alike(fusions: list[Fusion], trials: list[Params], inputs: Inputs) -> list[dict[str, float]]:
    """Both phases of trials that share structure and schedule."""
    fusion, first = fusions[0], trials[0]
    warmup = [dict.fromkeys(fusion.fusion_parameters(), params.lr.warmup) for params in trials]
    tuning = [
        dict.fromkeys(fusion.fusion_parameters(), params.lr.fusion) | dict.fromkeys(fusion.head_parameters(), params.lr.head)
        for params in trials
    ]

    def phase(states: Iterable[dict], rates: list[dict[str, float]], epochs: int) -> list[PhaseResult]:
        runs = [Run(state, rate, params.seed) for state, rate, params in zip(states, rates, trials, strict=True)]
        return train_phase(fusion, runs, inputs.images, inputs.score, _schedule(first, epochs))

    warmed = phase((fusion.state_dict() for fusion in fusions), warmup, first.epochs.warmup)
    tuned = phase((result.best_state for result in warmed), tuning, first.epochs.head)
    return [result.best for result in tuned]


def _schedule(params: Params, epochs: int) -> Schedule:
    return Schedule(epochs, params.patience, params.batch_size, params.weight_decay)
