"""The comparison of baseline and refined detector in words: `python -m zerostart.comparison` prints the last evaluation."""

from pathlib import Path

from zerostart.errors import InputError, run_stage
from zerostart.evaluation.verdict import table, verdict
from zerostart.records import WRONG_SHAPE, read_json


def main() -> str:
    path = Path("metrics/evaluate.json")
    metrics = read_json(path, "`dvc repro` writes it")
    try:
        return f"{table(metrics)}\n{verdict(metrics)}"
    except WRONG_SHAPE as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: not the metrics that the stage `evaluate` writes ({reason})") from None


if __name__ == "__main__":
    run_stage(main)
