"""Is this checkout ready, and what comes next? `python -m zerostart.doctor` looks and changes nothing."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from packaging.requirements import Requirement

from zerostart.checkup.findings import Finding, listed
from zerostart.checkup.locks import look_at_locks
from zerostart.checkup.outputs import look_at_outputs
from zerostart.checkup.queue import look_at_queue
from zerostart.datasets.cards import load_card
from zerostart.detector.baseline_config import read_baseline_config
from zerostart.detector.baselines import FILES, find_baseline
from zerostart.errors import InputError, run_stage
from zerostart.language.text_encoders import load_text_encoder
from zerostart.params import Params, load_params

OLDEST_PYTHON = (3, 11)
DRAWN = "synthetic"
"""The data set that the pipeline makes itself."""


def examine() -> Iterator[Finding]:
    """Look at Python, packages, GPU, parameters, data, baseline, text encoder and DVC's state, one after the other."""
    yield python()
    lock = Path("requirements.lock")
    if not lock.is_file():
        raise InputError(f"{lock}: no such file here; the root of a checkout is expected")
    yield packages(lock.read_text(encoding="utf-8").splitlines())
    yield gpu()
    try:
        params = load_params()
        card = load_card(params.dataset)
    except InputError as error:
        yield Finding("params.yaml", str(error), "mend it, then run this again")
        yield from leavings()
        return
    yield Finding(
        "params.yaml", f"data set {params.dataset}, {len(card.classes)} classes, critical: {', '.join(card.critical)}"
    )
    yield data(params)
    yield baseline(params)
    yield text_encoder(params)
    yield from dvc()


def python() -> Finding:
    """The interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", version, "make PYTHON=python3.11 repro")
    return Finding("Python", version)


def packages(lock: list[str]) -> Finding:
    """What is installed, against the lines of a lock file."""
    wrong = []
    for line in lock:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            version = "missing"
        if version == "missing" or not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} is {version}, {wanted.specifier} is locked")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return Finding("packages", "; ".join(wrong[:3]) + more, "make repro installs requirements.lock into .venv")
    return Finding("packages", f"as in requirements.lock ({len(lock)} lines)")


def gpu() -> Finding:
    """The GPUs that torch sees; none is fine."""
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding("GPU", ", ".join(names) or f"none: {os.cpu_count()} CPU cores do everything")


def data(params: Params) -> Finding:
    """The raw data set."""
    folder = Path("data/raw") / params.dataset
    if folder.is_dir():
        return Finding("data", f"{folder}: {sum(1 for path in folder.rglob('*') if path.is_file())} files")
    if params.dataset == DRAWN:
        return Finding("data", f"{folder}: not drawn yet, `dvc repro` does it")
    return Finding(
        "data", f"{folder}: no such folder", f"{load_card(params.dataset).obtain}; put it there, then `dvc add {folder}`"
    )


def baseline(params: Params) -> Finding:
    """The frozen detector."""
    try:
        folder = find_baseline(params.baseline, params.dataset)
    except InputError as error:
        return Finding("baseline", str(error), "set `baseline` in params.yaml")
    if not (folder / FILES[0]).is_file():
        remedy = f"make baseline DATASET={params.dataset}, or python -m zerostart.convert for your own checkpoint"
        return Finding("baseline", f"{folder}: no {FILES[0]}", remedy)
    try:
        variant = read_baseline_config(folder)
    except InputError as error:
        return Finding("baseline", str(error), f"git checkout {folder}, or make baseline DATASET={params.dataset}")
    return Finding("baseline", f"{folder}: {variant.get('num_queries')} queries of {variant.get('d_model')} features")


def text_encoder(params: Params) -> Finding:
    """The frozen text encoder, loaded."""
    try:
        load_text_encoder(params.text_encoder)
    except InputError as error:
        return Finding("text encoder", str(error), "set `text_encoder` in params.yaml")
    return Finding("text encoder", params.text_encoder)


def dvc() -> Iterator[Finding]:
    """What was left behind, then what `dvc repro` would do."""
    yield from leavings()
    yield from stages()


def leavings() -> Iterator[Finding]:
    """What DVC and a full disk left behind."""
    locks = [path for path in (Path("dvc.lock"), *sorted(Path("pipelines").glob("*/dvc.lock"))) if path.is_file()]
    yield from look_at_locks(locks)
    yield from look_at_queue()
    yield from look_at_outputs(locks, cache_folder())


def cache_folder() -> Path:
    """Where DVC keeps what the outputs were."""
    done = _run_dvc("cache", "dir")
    return Path(done.stdout.strip() or ".dvc/cache")


def _run_dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")


def stages() -> Iterator[Finding]:
    """What `dvc repro` would do, and what is there once only because the cache had no room for it."""
    done = _run_dvc("status", "dvc.yaml", "--json")
    if done.returncode:
        reason = re.sub(r"\s+", " ", done.stderr).strip() or "no reason given"
        yield Finding("DVC", reason, "mend what DVC says, then run this again")
        return
    changed = json.loads(done.stdout)
    lost = {name: outs for name, reasons in changed.items() if (outs := not_in_cache(reasons))}
    if lost:
        outs = [out for several in lost.values() for out in several]
        found = f"{listed(outs)}: not in the cache, as after a full disk"
        yield Finding("DVC's cache", found, f"make room, then dvc commit -f {' '.join(lost)}")
    if to_run := [name for name in changed if name not in lost]:
        yield Finding("DVC", f"to be run: {', '.join(to_run)}", "make repro")
    elif not lost:
        yield Finding("DVC", "all stages are up to date with dvc.lock")


def not_in_cache(reasons: list) -> list[str]:
    """The outputs of a stage that are there and for which nothing else is wrong: a new clone lacks both, and is to be run."""
    entries = [entry for reason in reasons for entry in (reason.values() if isinstance(reason, dict) else [{reason: "other"}])]
    states = {path: state for entry in entries for path, state in entry.items()}
    # The state of a parameter is a mapping: what became of each of its keys.
    lost = states and all(state == "not in cache" and Path(path).exists() for path, state in states.items())
    return list(states) if lost else []


def main() -> str:
    remedies = []
    for subject, found, remedy in examine():
        print(f"{'!' if remedy else ' '} {subject:<13} {found}")
        if remedy:
            remedies.append(f"{subject}: {remedy}")
    return f"next: {remedies[0]}" if remedies else "next: dvc exp run -S alpha_init=0.1, then dvc exp show"


if __name__ == "__main__":
    run_stage(main)
