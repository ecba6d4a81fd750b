"""Time and memory of training as the number of images grows: tiled data of 1,000, 10,000 and 100,000 images.

Memory is what belongs to the process alone (RssAnon): pages of memory-mapped files are the system's to take back. Each size
runs in a process of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from report import report

from zerostart.cache.views import ARRAYS, load_view
from zerostart.datasets.splits import read_split, split_targets
from zerostart.method.cached_images import CachedImages
from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.method.run_stack import RunStack
from zerostart.method.training import batch_losses
from zerostart.params import load_params

SIZES = (1_000, 10_000, 100_000)
QUERIES = 30


def tile(folder: Path, images: int) -> None:
    """Write a view of `images` images, those of `train` over and over, 1,000 at a time."""
    view = load_view("data/features", "train")
    folder.mkdir()
    for array in ARRAYS:
        source = getattr(view, array)
        source = source[:, :QUERIES] if source.ndim > 1 else source
        target = np.lib.format.open_memmap(folder / f"{array}.npy", "w+", source.dtype, (images, *source.shape[1:]))
        for start in range(0, images, 1000):
            rows = np.arange(start, min(start + 1000, images))
            target[rows] = source[rows % len(source)]


def anonymous_mebibytes() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def train(folder: str, images: int) -> None:
    """One epoch; prints seconds per image and the highest memory."""
    torch.set_num_threads(1)
    params, given = load_params(), split_targets(read_split("train"))
    view = load_view(folder, "view")
    before = anonymous_mebibytes()
    source = CachedImages([view], [[given[i % len(given)] for i in range(images)]])
    fusion = Fusion(FusionConfig.from_params(params, list("abcdef"), view.hidden.shape[2], 384), torch.rand(6, 384))
    fusion.initialize(params)
    stack = RunStack(fusion, [fusion.state_dict()], [dict.fromkeys(fusion.fusion_parameters(), 1e-4)], 0.0)
    order = np.random.default_rng(0).permutation(images)
    peak, started = 0.0, time.perf_counter()
    for step, first in enumerate(range(0, images, params.batch_size)):
        stack.step(batch_losses(stack, source.batch(order[first : first + params.batch_size])))
        if step % 20 == 0:
            peak = max(peak, anonymous_mebibytes())
    print(json.dumps({"seconds_per_image": (time.perf_counter() - started) / images, "mebibytes": peak - before}))


if __name__ == "__main__" and len(sys.argv) > 1:
    train(sys.argv[1], int(sys.argv[2]))
elif __name__ == "__main__":
    found = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            tile(Path(folder) / "view", size)
            ran = subprocess.run([sys.executable, __file__, folder, str(size)], check=True, capture_output=True, text=True)
        found[size] = json.loads(ran.stdout)
    first, last = found[SIZES[0]], found[SIZES[-1]]
    slower = last["seconds_per_image"] / first["seconds_per_image"]
    report(
        "scaling",
        f"with {SIZES[-1] // SIZES[0]} times the images, an image takes {slower:.2f} times the time, and training"
        f" {last['mebibytes']:.0f} instead of {first['mebibytes']:.0f} MiB",
        ratio=slower,
        by_images={str(size): numbers for size, numbers in found.items()},
    )
