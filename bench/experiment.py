"""A whole experiment, as after a change of alpha_init, against one that computes all features again."""

import os
import subprocess
import sys
import time

from report import report

CACHED = ("warmup", "head_tuning", "evaluate")
ENVIRONMENT = os.environ | {"PYTHONPATH": "src"}


def seconds(stages: tuple[str, ...]) -> float:
    started = time.perf_counter()
    for stage in stages:
        subprocess.run([sys.executable, "-m", f"stages.{stage}"], check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


cached = seconds(CACHED)  # the stages write what they wrote before, byte for byte
features = seconds(("features",))
report(
    "experiment",
    f"an experiment takes {cached:.0f} s, {(cached + features) / cached:.1f} times less than with features of its own",
    ratio=(cached + features) / cached,
    experiment_seconds=cached,
    features_seconds=features,
)
