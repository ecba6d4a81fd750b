"""Cells of the ablation: arms, trained from several seeds at several learning rates in one batch, and judged on test."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zerostart.ablation.arms import ARMS, build, rates
from zerostart.ablation.label_fractions import label_subset
from zerostart.ablation.params import AblationParams
from zerostart.cache.views import View
from zerostart.device import default_device
from zerostart.method.cached_images import CachedImages
from zerostart.method.run_stack import RunStack
from zerostart.method.training import PhaseResult, Run, Schedule, ValidationScore, refined_logits, train_phase
from zerostart.metrics.bootstrap import resampled_scores
from zerostart.metrics.coco import class_indices
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator
from zerostart.metrics.resampling import resample_weights
from zerostart.params import Lambdas

TEXT_OF_SIZE = "descriptive"
"""Embeddings whose size an arm without text takes."""


class Cell(NamedTuple):
    """One arm on one share of the training images."""

    arm: str
    fraction: float

    @property
    def name(self) -> str:
        """File name without its ending."""
        return f"{self.arm}@{self.fraction:g}"


class TestJudge:
    """mAP, AR_critical and composite on test, and on resamples of its images that are the same for all detectors."""

    __test__ = False  # no test case, whatever pytest thinks of its name

    def __init__(self, view: View, coco: dict, lambdas: Lambdas, samples: int):
        self.view, self.lambdas = view, lambdas
        self.evaluator = FrozenBoxEvaluator(view.boxes, view.image_id, coco)
        self.critical = class_indices(self.evaluator.classes, coco["info"]["critical"])
        images = len(view.image_id)
        self.weights = np.hstack([np.ones((images, 1)), resample_weights(images, samples, np.random.default_rng(0))])

    def __call__(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        """By metric, 1 + B numbers: on the test images themselves, then on B resamples. logits: N×Q×K."""
        return resampled_scores(self.evaluator.match(logits), self.critical, self.lambdas, self.weights)


@dataclass(frozen=True)
class Problem:
    """A data set with everything frozen computed, ready for any arm."""

    classes: list[str]
    objects: list[dict[str, Tensor]]
    """Ground truth of each training image."""
    images: CachedImages
    val: ValidationScore
    test: TestJudge
    texts: dict[str, np.ndarray]
    """Class embeddings K×D_t by prompt set, controls S×K×D_t by name: another one for each seed."""


def run_cells(cells: list[Cell], problem: Problem, params: AblationParams) -> list[dict[str, np.ndarray]]:
    """Train and judge cells of one structure and one fraction as a single batch: cells × L rate scales × S seeds.

    Of each cell: val_composite (L×S, of the chosen epochs); scale, the one with the best mean of these; alpha (S×E, its path
    through both phases); test_mAP, test_AR_critical, test_composite (S×(1+B): the test images, then B resamples of them).
    """
    keys = [(cell, scale, seed) for cell in cells for scale in params.lr_scales for seed in range(params.seeds)]
    modules = [new_module(cell.arm, problem, params, seed) for cell, _, seed in keys]
    trained = [
        rates(cell.arm, module, params.experiment, scale) for (cell, scale, _), module in zip(keys, modules, strict=True)
    ]
    subsets = {seed: _subset(cells[0].fraction, problem, seed) for seed in range(params.seeds)}
    states, phases = [module.state_dict() for module in modules], []
    for phase, epochs in enumerate((params.experiment.epochs.warmup, params.experiment.epochs.head)):
        runs = [Run(state, trained[i][phase], keys[i][2], subsets[keys[i][2]]) for i, state in enumerate(states)]
        schedule = Schedule(epochs, params.experiment.patience, params.experiment.batch_size, params.experiment.weight_decay)
        phases.append(train_phase(modules[0], runs, problem.images, problem.val, schedule))
        states = [result.best_state for result in phases[-1]]
    shape = (len(cells), len(params.lr_scales), params.seeds)
    results = np.array([list(pair) for pair in zip(*phases, strict=True)], dtype=object).reshape(*shape, 2)
    return [_judge(modules[0], of_cell, problem, params) for of_cell in results]


def _judge(module: nn.Module, results: np.ndarray, problem: Problem, params: AblationParams) -> dict[str, np.ndarray]:
    """Choose the learning rate of a cell on val and judge its seeds on test; results: L×S×2 phases."""
    val = np.array([[phases[1].best["composite"] for phases in row] for row in results])
    best = int(val.mean(axis=1).argmax())
    stack = RunStack(module.eval(), [phases[1].best_state for phases in results[best]], [{}] * params.seeds, 0.0)
    judged = [problem.test(logits) for logits in refined_logits(stack, problem.test.view, stack.values.device)]
    return {
        "val_composite": val,
        "scale": np.array(float(params.lr_scales[best])),
        "alpha": np.array([_alpha_path(phases, params) for phases in results[best]]),
    } | {f"test_{metric}": np.stack([scores[metric] for scores in judged]) for metric in judged[0]}


def new_module(arm: str, problem: Problem, params: AblationParams, seed: int) -> nn.Module:
    """An arm's module at the starting point of a seed, on the GPU if there is one."""
    text = problem.texts[ARMS[arm].text or TEXT_OF_SIZE]
    embeddings = torch.from_numpy(text[seed] if text.ndim == 3 else text)
    visual_dim = problem.val.view.hidden.shape[2]
    of_run = params.experiment.model_copy(update={"seed": seed})
    module = build(arm, of_run, problem.classes, visual_dim, embeddings)
    return module.to(default_device())


def _subset(fraction: float, problem: Problem, seed: int) -> np.ndarray:
    """The images of an epoch: all, or those of the fraction as often as it takes to make equally many steps."""
    if fraction == 1:
        return np.arange(problem.images.images)
    return np.resize(label_subset(problem.objects, problem.classes, fraction, seed), problem.images.images)


def _alpha_path(phases: tuple[PhaseResult, PhaseResult], params: AblationParams) -> list[float]:
    """alpha after every epoch of both phases; constant after a stop."""
    path = []
    for result, epochs in zip(phases, (params.experiment.epochs.warmup, params.experiment.epochs.head), strict=True):
        values = [row["alpha"] for row in result.history]
        path += values + [values[-1]] * (epochs + 1 - len(values))
    return path
