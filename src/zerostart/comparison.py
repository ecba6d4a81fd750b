"""The comparison of baseline and refined detector in words: `python -m zerostart.comparison` prints the last evaluation."""

import json
from pathlib import Path

from zerostart.errors import InputError, run_stage
from zerostart.evaluation.verdict import table, verdict


def main() -> str:
    path = Path("metrics/evaluate.json")
    if not path.is_file():
        raise InputError(f"{path}: no such file; `dvc repro` writes it")
    metrics = json.loads(path.read_text())
    return f"{table(metrics)}\n{verdict(metrics)}"


if __name__ == "__main__":
    run_stage(main)
