"""head_tuning: phase 2, the fusion and the class head's difference to the frozen one are trained together."""

from zerostart.errors import run_stage
from zerostart.fusion_checkpoint import load_fusion
from zerostart.params import load_params
from zerostart.phases import run_phase
from zerostart.splits import class_names, read_split


def main() -> str:
    params = load_params()
    fusion = load_fusion("models/warmup", class_names(read_split("train")))
    rates = dict.fromkeys(fusion.fusion_parameters(), params.lr.fusion)
    rates |= dict.fromkeys(fusion.head_parameters(), params.lr.head)
    return run_phase("head_tuning", fusion, rates, params.epochs.head, params)


if __name__ == "__main__":
    run_stage(main)
