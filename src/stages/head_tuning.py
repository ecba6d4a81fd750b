"""head_tuning: phase 2, the fusion and the class head's difference to the frozen one are trained together."""

from zerostart.coco_metrics import class_names
from zerostart.errors import run_stage
from zerostart.fusion_checkpoint import load_fusion
from zerostart.params import load_params
from zerostart.phases import run_phase
from zerostart.splits import read_split


def main() -> str:
    params = load_params()
    fusion = load_fusion("models/warmup", class_names(read_split("train")))
    groups = [
        {"params": fusion.fusion_parameters(), "lr": params.lr.fusion},
        {"params": fusion.head_parameters(), "lr": params.lr.head},
    ]
    return run_phase("head_tuning", fusion, groups, params.epochs.head, params)


if __name__ == "__main__":
    run_stage(main)
