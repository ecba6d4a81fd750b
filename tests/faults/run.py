"""Kill every stage and command: `python tests/faults/run.py --kills 300 --seed 0`; exits with 1 if one does not recover.

Everything is imported once and each run is a fork, so that a kill costs about a second. Nothing is computed in the process that
forks: a fork does not inherit the threads of PyTorch or of BLAS. The project is imported in functions only: the processes that
stages start with `spawn` import this file again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[2]

if TYPE_CHECKING:
    from trials import Outcome, Trial, World

# One thread: as fast for pictures this small, and much faster where the cores are shared.
os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests/samples")]
_shared: tuple[World, Path]
LAZY = (
    "scipy.optimize",
    "pandas",
    "sklearn",
    "faiss",
    "optuna",
    "pyarrow.parquet",
    "transformers.models.deimv2.modeling_deimv2",
)
"""What stages import in functions, and costs seconds."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill every stage and command, and run it again.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="write each outcome there, one a line, as soon as it is known")
    parser.add_argument("--only", help="targets whose names contain this")
    options = parser.parse_args()
    from targets import TARGETS

    for name in [*LAZY, *(target.module for target in TARGETS)]:
        importlib.import_module(name)
    place, started = Path(tempfile.mkdtemp(prefix="zerostart-faults-")), time.monotonic()
    try:
        world = prepared(place)
        print(f"{len(world.usual)} targets run once in {time.monotonic() - started:.0f} s", flush=True)
        if options.only:
            world = world._replace(usual=[one for one in world.usual if options.only in one.target.name])
        from trials import draw

        outcomes = carried_out(world, list(draw(world, options.kills, options.seed)), place, options.at_once, options.json)
    finally:
        shutil.rmtree(place)
    return report(outcomes, time.monotonic() - started)


def prepared(place: Path) -> World:
    """The inputs are written in a process of their own, as they need PyTorch."""
    from targets import write_inputs
    from trials import build

    for name in ("world", "shared"):
        (place / name).mkdir()
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        pool.submit(write_inputs, place / "world", place / "shared").result()
    return build(place / "world")


def carried_out(world: World, trials: list[Trial], place: Path, at_once: int, path: Path | None) -> list[Outcome]:
    """The trials in order, some at once, each in a folder of its own."""
    outcomes = []
    with ProcessPoolExecutor(at_once, get_context("fork"), _inherit, (world, place)) as pool:
        for outcome in pool.map(_attempt, trials, range(len(trials))):
            outcomes.append(outcome)
            if path:
                with path.open("a") as file:
                    file.write(json.dumps(outcome._asdict()) + "\n")
            if outcome.problems:
                print(f"NOT RECOVERED {outcome.trial}\n  " + "\n  ".join(outcome.problems[:5]), flush=True)
    return outcomes


def _inherit(world: World, place: Path) -> None:
    """Forked processes have their arguments without a copy: the world holds every file."""
    global _shared
    _shared = world, place


def _attempt(trial: Trial, number: int) -> Outcome:
    from trials import attempt

    world, place = _shared
    return attempt(trial, place / f"trial-{number}", world)


def report(outcomes: list[Outcome], seconds: float) -> int:
    """Print the table; 1 if anything did not recover."""
    tried = Counter(outcome.kind for outcome in outcomes if outcome.struck)
    lost = Counter(outcome.kind for outcome in outcomes if outcome.problems)
    for kind, count in sorted(tried.items()):
        print(f"{kind:<20} {count:4d} tried, {count - lost[kind]:4d} recovered")
    idle = sum(not outcome.struck for outcome in outcomes)
    print(f"{tried.total()} faults, {lost.total()} not recovered, {idle} that met nothing, in {seconds:.0f} s")
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
