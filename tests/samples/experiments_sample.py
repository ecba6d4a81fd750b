"""A small repository of git and DVC with finished experiments, which have metrics, curves and a picture."""

import contextlib
import json
import subprocess
from pathlib import Path

from dvc.repo import Repo

PICTURE = bytes(range(256))
"""Not text: what git gives back must be these bytes."""


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout


def write_results(seed: int) -> None:
    """Numbers that no rounding of floats to fewer digits would leave alone, another set for each seed.

    Data set, mirror images, thresholds and temperatures are those of `refined_sample.settings`.
    """
    for folder in ("metrics/tagging", "plots/images", "pipelines/tagging"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    Path("params.yaml").write_text(
        f"dataset: parts\nseed: {seed}\nlive: false\ntest_flips: all\nmerge_iou: 0.8\nlr:\n  warmup: 0.00002\n"
    )
    Path("pipelines/tagging/params.yaml").write_text("epochs: 7\n")
    evaluate = {
        "composite": 0.9 + seed / 7e6,
        "interval": {"composite": {"low": -0.003194 - seed * 1e-6, "high": 0.029076}},
        "threshold": {"baseline": 0.3, "refined": 0.2},
        "temperature": {"baseline": 1.0, "refined": 1.0},
        "verdict": "better",
    }
    Path("metrics/evaluate.json").write_text(json.dumps(evaluate))
    Path("metrics/warmup.json").write_text(json.dumps({"best_epoch": seed % 3, "val": {"mAP": 1 / (seed + 3)}}))
    Path("metrics/tagging/evaluate.json").write_text(
        json.dumps({"mAP": 0.4, "intervals": {"mAP": [0.1, 0.7]}, "tried": [1, 2, 3]})
    )
    curve = "".join(f"{epoch},{1 / (epoch + seed + 1):.6f},{'' if epoch == 0 else 0.5}\n" for epoch in range(3))
    Path("plots/warmup.csv").write_text(f"epoch,loss,mAP\n{curve}")
    Path("plots/per_class.csv").write_text("class,AP\ndent,0.5\n")
    Path("plots/images/won.png").write_bytes(PICTURE)


def make_experiments(folder: Path, count: int) -> None:
    """A repository with a commit and so many experiments on it, `exp-0` and on."""
    with contextlib.chdir(folder):
        git("init", "-q", "-b", "main")
        with Repo.init(".") as repo:
            write_results(1000)
            git("add", "-A")
            git("commit", "-q", "-m", "main")
            for seed in range(count):
                write_results(seed)
                repo.experiments.save(name=f"exp-{seed}", include_untracked=[])
        git("checkout", "-q", "--", ".")
