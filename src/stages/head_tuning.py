"""head_tuning: phase 2, the fusion and the class head's difference to the frozen one are trained together."""

from zerostart.datasets.splits import class_names, read_split
from zerostart.errors import run_stage
from zerostart.method.checkpoint import load_fusion
from zerostart.method.phase import run_phase
from zerostart.params import load_params


def main() -> str:
    params = load_params()
    fusion = load_fusion("models/warmup", class_names(read_split("train")))
    rates = dict.fromkeys(fusion.fusion_parameters(), params.lr.fusion)
    rates |= dict.fromkeys(fusion.head_parameters(), params.lr.head)
    return run_phase("head_tuning", fusion, rates, params.epochs.head, params)


if __name__ == "__main__":
    run_stage(main)
