"""warmup: phase 1, the fusion alone is trained; detector and class head stay as they are."""

from zerostart.datasets.splits import class_names, read_split
from zerostart.errors import run_stage
from zerostart.method.phase import run_phase
from zerostart.method.starting_point import starting_fusion
from zerostart.params import load_params


def main() -> str:
    params = load_params()
    fusion = starting_fusion(params, class_names(read_split("train")))
    rates = dict.fromkeys(fusion.fusion_parameters(), params.lr.warmup)
    return run_phase("warmup", fusion, rates, params.epochs.warmup, params)


if __name__ == "__main__":
    run_stage(main)
