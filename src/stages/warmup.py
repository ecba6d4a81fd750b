"""warmup: phase 1, the fusion alone is trained; detector and class head stay as they are."""

from zerostart.errors import run_stage
from zerostart.params import load_params
from zerostart.phases import run_phase
from zerostart.splits import class_names, read_split
from zerostart.starting_point import starting_fusion


def main() -> str:
    params = load_params()
    fusion = starting_fusion(params, class_names(read_split("train")))
    rates = dict.fromkeys(fusion.fusion_parameters(), params.lr.warmup)
    return run_phase("warmup", fusion, rates, params.epochs.warmup, params)


if __name__ == "__main__":
    run_stage(main)
