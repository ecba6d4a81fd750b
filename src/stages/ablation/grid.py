"""grid: train and judge every arm of a data set: `python -m stages.ablation.grid DATASET`.

A killed grid goes on where it was: finished arms wait in a folder that is named after all that they depend on.
"""

import shutil
from pathlib import Path

import numpy as np
import torch

from zerostart.ablation.cells import Problem, TestJudge
from zerostart.ablation.grid import all_cells, digest, run_grid
from zerostart.ablation.label_fractions import label_subset
from zerostart.ablation.params import AblationParams, load_ablation_params
from zerostart.cache.views import load_view, view_name
from zerostart.datasets.splits import class_names, read_split, split_targets
from zerostart.detector.mirror import FLIPS, flip_targets
from zerostart.errors import dataset_argument, run_stage
from zerostart.method.cached_images import CachedImages
from zerostart.method.training import ValidationScore
from zerostart.outputs import stage_folder


def main() -> str:
    torch.set_num_threads(1)  # the processes share the cores, and one thread gives the same sums everywhere
    dataset = dataset_argument()
    params = load_ablation_params()
    folder = Path("data/ablation") / dataset
    problem = load_problem(folder / "inputs", params)
    for fraction in params.fractions:
        for seed in range(params.seeds):
            label_subset(problem.objects, problem.classes, fraction, seed)  # refuses a fraction before anything is trained
    finished = folder / f".finished-{digest(folder / 'inputs', params)}"
    finished.mkdir(exist_ok=True)
    run_grid(problem, params, finished)
    with stage_folder(folder / "cells") as cells:
        for cell in all_cells(params):
            shutil.copy(finished / f"{cell.name}.npz", cells)
        baseline = problem.test(np.asarray(problem.test.view.logits))
        np.savez(cells / "baseline.npz", **{f"test_{metric}": values for metric, values in baseline.items()})
    for left in folder.glob(".finished-*"):
        shutil.rmtree(left)
    return f"{folder}/cells: {len(all_cells(params))} cells of {len(params.lr_scales)} rates and {params.seeds} seeds"


def load_problem(folder: Path, params: AblationParams) -> Problem:
    """Open what the stage `ablation_inputs` has written."""
    train, val, test = (read_split(split, folder / "coco") for split in ("train", "val", "test"))
    views = range(1 + params.experiment.augment_views)
    cached = [load_view(folder / "features", view_name("train", view)) for view in views]
    objects, lambdas = split_targets(train), params.experiment.lambdas
    return Problem(
        classes=class_names(train),
        objects=objects,
        images=CachedImages(cached, [flip_targets(objects, FLIPS[view]) for view in views]),
        val=ValidationScore(load_view(folder / "features", "val"), val, lambdas),
        test=TestJudge(load_view(folder / "features", "test"), test, lambdas, params.experiment.bootstrap_samples),
        texts={path.stem: np.load(path) for path in sorted((folder / "texts").glob("*.npy"))},
    )


if __name__ == "__main__":
    run_stage(main)
