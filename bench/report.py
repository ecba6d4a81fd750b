"""What every benchmark shares: a fair way to time two ways against each other, and a file that names the machine."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def alternating(first: Callable[[], Any], second: Callable[[], Any], repeats: int = 5) -> tuple[float, float]:
    """Median seconds of two ways, run in turns so that a busy moment of the machine meets both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for way, times in zip((first, second), seconds, strict=True):
            started = time.perf_counter()
            way()
            times.append(time.perf_counter() - started)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def report(name: str, sentence: str, **numbers: Any) -> None:
    """Print the sentence and write bench/results/<name>.json."""
    print(f"{name}: {sentence}")
    machine = {"processor": _processor(), "cores": os.cpu_count(), "cuda": torch.cuda.is_available()}
    content = json.dumps({"sentence": sentence, "machine": machine} | numbers, indent=2)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(content + "\n")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()
