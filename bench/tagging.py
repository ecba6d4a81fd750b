"""Tagging: does preparing pictures hold training up, what do six windows cost, what memory do stored pictures save?

Needs `make tagging` first; `python bench/tagging.py DATASET` for another data set than the drawn one.
"""

import subprocess
import sys
from collections.abc import Callable, Iterable

import numpy as np
import torch
from report import alternating, report
from torch import Tensor
from torch.nn import functional

from zerostart.device import default_device
from zerostart.tagging.answer.windows import window_scores
from zerostart.tagging.engine.model import build_tagger
from zerostart.tagging.engine.phases import open_domains
from zerostart.tagging.engine.training import batches, epoch_pictures, make_state
from zerostart.tagging.params import PhaseParams, load_tagging_params

PICTURES = 192
"""Pictures of a timed piece of an epoch."""
PEAK = """
import resource, sys
import numpy as np
from zerostart.tagging.image_store import open_store
store = open_store(sys.argv[1], sys.argv[2].split(","))
count = min(len(store.names), 2000)
kept = np.ones((count, 3, 224, 224), np.float32) if sys.argv[3] == "float" else None
for start in range(0, count, 64):
    store.images(range(start, min(start + 64, count)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
"""Peak memory of a process that reads at most 2,000 pictures of a store, and keeps them as float arrays as well if told."""

dataset = sys.argv[1] if len(sys.argv) > 1 else "toolbox"
params, stores = load_tagging_params(dataset), open_domains(dataset)
tags = stores["real"].tags
torch.set_num_threads(params.threads)
device = default_device()


def train_steps(phase: PhaseParams) -> Callable[[Iterable[tuple[Tensor, Tensor]]], None]:
    state = make_state(build_tagger(params.model, len(tags)).to(device), phase)

    def run(source: Iterable[tuple[Tensor, Tensor]]) -> None:
        for inputs, targets in source:
            state.optimizer.zero_grad(set_to_none=True)
            functional.binary_cross_entropy_with_logits(state.model(inputs), targets).backward()
            state.optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


def speed(name: str) -> dict[str, float]:
    """Images/s of training with real pictures, and as a share of the same model on random tensors in memory."""
    phase = {"base": params.base, "adaptation": params.adaptation}[name]
    domains = (stores["academic"], None) if name == "base" else (stores["real"], stores["academic"])
    pictures = epoch_pictures(*domains, phase, np.random.default_rng(0))
    pictures = pictures[: PICTURES // phase.batch_size * phase.batch_size]
    shape = (phase.batch_size, 3, phase.input_size, phase.input_size)
    one = torch.randn(shape, device=device), torch.zeros(phase.batch_size, len(tags), device=device)
    random = [one] * (len(pictures) // phase.batch_size)
    run = train_steps(phase)
    run(random)
    fed, bare = alternating(lambda: run(batches(pictures, phase, device, torch.Generator())), lambda: run(random))
    return {"images_per_s": len(pictures) / fed, "of_bare_model": bare / fed}


def latency() -> dict[str, float]:
    """Milliseconds of one photo, seen whole and in six windows."""
    model = build_tagger(params.model, len(tags)).eval().requires_grad_(False).to(device)
    photo, size = stores["real"].images([0]), params.adaptation.input_size

    def look(windows: int) -> np.ndarray:
        return window_scores(model, photo, size, windows, params.tiling.overlap)

    look(6)
    whole, six = alternating(lambda: look(1), lambda: look(6), repeats=15)
    return {"windows_1": 1000 * whole, "windows_6": 1000 * six}


def peak_memory(kind: str) -> float:
    """MB."""
    command = [sys.executable, "-c", PEAK, str(stores["academic"].folder), ",".join(tags), kind]
    return int(subprocess.check_output(command)) / 1024


speeds = {name: speed(name) for name in ("base", "adaptation")}
ms = latency()
peaks = {kind: peak_memory(kind) for kind in ("stored", "float")}
base, adapted = (speeds[name]["of_bare_model"] for name in ("base", "adaptation"))
report(
    f"tagging_{dataset}",
    f"with pictures, training runs at {base:.2f} (base) and {adapted:.2f} (adaptation) of the bare model's speed;"
    f" six windows take {ms['windows_6'] / ms['windows_1']:.1f} times as long as one;"
    f" peak memory {peaks['stored']:.0f} MB, with 224-pixel float arrays {peaks['float']:.0f} MB",
    input_pipeline=speeds,
    latency_ms=ms,
    peak_memory_mb=peaks,
)
