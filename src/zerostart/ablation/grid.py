"""Run the cells of an ablation in parallel; what is finished survives a kill."""

import hashlib
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from zerostart.ablation.arms import same_structure
from zerostart.ablation.cells import Cell, Problem, new_module, run_cells
from zerostart.ablation.params import AblationParams
from zerostart.outputs import output_file

_job: tuple[Problem, AblationParams, Path]
"""What the worker processes inherit by forking: the problem is large, and mostly memory-mapped."""


def all_cells(params: AblationParams) -> list[Cell]:
    """Every arm on all images, then the chosen ones on each fraction."""
    few_labels = [Cell(arm, fraction) for fraction in params.fractions for arm in params.fraction_arms]
    return [Cell(arm, 1.0) for arm in params.arms] + few_labels


def run_grid(problem: Problem, params: AblationParams, folder: Path) -> None:
    """Write folder/<cell>.npz of every cell that is not there yet."""
    global _job
    _job = (problem, params, folder)
    missing = [cell for cell in all_cells(params) if not _path(folder, cell).is_file()]
    batches = list(_batches(missing, problem, params))
    with tqdm(total=len(missing), unit="arm", disable=None) as progress:
        if torch.cuda.is_available() or params.jobs == 1:
            for batch in batches:
                progress.update(_run(batch))
            return
        # One thread each: the processes share the cores, and a forked process would wait for threads that it did not inherit.
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(params.jobs, fork, torch.set_num_threads, (1,)) as pool:
            for finished in as_completed([pool.submit(_run, batch) for batch in batches]):
                progress.update(finished.result())


def read_cell(folder: Path, cell: Cell) -> dict[str, np.ndarray]:
    """The arrays of a finished cell (see `run_cells`)."""
    with np.load(_path(folder, cell)) as arrays:
        return dict(arrays)


def digest(folder: Path, params: AblationParams) -> str:
    """Identifies everything that a cell depends on: the inputs, the parameters, and the code, which is what is imported."""
    value = hashlib.sha256(params.model_dump_json(exclude={"jobs", "arms", "fraction_arms", "fractions"}).encode())
    code = {Path(module.__file__) for name, module in sys.modules.items() if name.startswith("zerostart.")}
    for path in [*sorted(folder.rglob("*.*")), *sorted(code)]:
        value.update(path.name.encode() + path.read_bytes())
    return value.hexdigest()[:12]


def _path(folder: Path, cell: Cell) -> Path:
    return folder / f"{cell.name}.npz"


def _batches(cells: list[Cell], problem: Problem, params: AblationParams) -> Iterator[list[Cell]]:
    """Neighbouring cells of one fraction and one structure, at most `arms_at_once`."""
    batch: list[Cell] = []
    modules = {cell: new_module(cell.arm, problem, params, 0) for cell in cells}
    for cell in cells:
        alike = batch and batch[0].fraction == cell.fraction and same_structure(modules[batch[0]], modules[cell])
        if batch and (not alike or len(batch) == params.arms_at_once):
            yield batch
            batch = []
        batch.append(cell)
    if batch:
        yield batch


def _run(batch: list[Cell]) -> int:
    problem, params, folder = _job
    for cell, arrays in zip(batch, run_cells(batch, problem, params), strict=True):
        with output_file(_path(folder, cell)) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
    return len(batch)
