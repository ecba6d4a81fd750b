"""baseline: the frozen detector of the experiment, checked against the data set, in one place."""

from pathlib import Path

from zerostart.datasets.cards import load_card
from zerostart.detector.baselines import SHIPPED, find_baseline, write_baseline
from zerostart.errors import run_stage
from zerostart.outputs import stage_folder
from zerostart.params import load_params


def main() -> str:
    params = load_params()
    source = find_baseline(params.baseline, params.dataset)
    with stage_folder("data/baseline") as folder:
        write_baseline(source, load_card(params.dataset).classes, folder)
    local = source.is_dir() and Path(params.baseline).is_dir()
    unseen = f"; DVC sees changes in {SHIPPED} only" if local and SHIPPED.resolve() not in source.resolve().parents else ""
    return f"data/baseline: from {params.baseline if params.baseline != 'auto' else source}{unseen}"


if __name__ == "__main__":
    run_stage(main)
