"""What do the pinned kernels cost? Each piece of work pinned and with ZEROSTART_KERNELS=native, in processes of their own.

`python bench/kernels.py` needs no data: it draws its images. One thread, as the stages train.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import zerostart  # noqa: F401  first: it pins the kernels

# isort: split
import numpy as np
import torch

PIECES = ("features", "warmup", "tagging")
ROUNDS, REPEATS = 3, 5
"""Processes of each kind, in turns; timed repetitions in each."""
DETECTOR = "data/baselines/synthetic"


def features() -> Callable[[], object]:
    """The features stage over 48 images."""
    from zerostart.cache.writing import write_view
    from zerostart.datasets.splits import class_names, read_split
    from zerostart.detector.model import load_detector
    from zerostart.drawing.synthetic import generate

    raw = Path("raw")
    raw.mkdir()
    generate(raw, seed=0, images=80, workers=1)
    coco = read_split("train", raw / "annotations")
    model = load_detector(ROOT / DETECTOR, class_names(coco))
    return lambda: write_view(Path(tempfile.mkdtemp(dir=".")) / "view", model, coco, raw)


def warmup() -> Callable[[], object]:
    """Ten epochs of the warm-up on random features of 720 images in two views."""
    from zerostart.cache.views import View
    from zerostart.method.cached_images import CachedImages
    from zerostart.method.fusion import Fusion, FusionConfig
    from zerostart.method.run_stack import RunStack
    from zerostart.method.training import Run, _batches, _mean_losses
    from zerostart.params import load_params

    params, rng = load_params(ROOT / "params.yaml"), np.random.default_rng(0)
    images, queries, width, names = 720, 30, 64, ["a", "b", "c", "d", "e", "f"]

    def boxes(*shape: int) -> np.ndarray:
        return np.concatenate([rng.uniform(0.2, 0.8, (*shape, 2)), rng.uniform(0.05, 0.4, (*shape, 2))], -1).astype(np.float32)

    views, objects = [], []
    for _ in range(2):
        hidden, logits = (rng.standard_normal((images, queries, size), np.float32) for size in (width, len(names)))
        views.append(View(hidden, logits, boxes(images, queries), np.arange(images)))
        counts = rng.integers(1, 5, images)
        objects.append(
            [
                {"class_labels": torch.from_numpy(rng.integers(0, len(names), n)), "boxes": torch.from_numpy(boxes(n))}
                for n in counts
            ]
        )
    text = torch.from_numpy(rng.standard_normal((len(names), 384), np.float32))
    fusion = Fusion(FusionConfig.from_params(params, names, width, 384), text).initialize(params)
    rates = dict.fromkeys(fusion.fusion_parameters(), params.lr.warmup)
    runs = [Run(fusion.state_dict(), rates, 0)]
    stack = RunStack(fusion, [runs[0].state], [rates], params.weight_decay)
    cached, generators = CachedImages(views, objects), [torch.Generator().manual_seed(0)]

    def epochs() -> None:
        for _ in range(10):
            _mean_losses(stack, _batches(runs, cached, params.batch_size, generators), train=True)

    return epochs


def tagging() -> Callable[[], object]:
    """Eight training steps of the drawn parts' tagger, forward, backward and AdamW."""
    from torch.nn import functional

    from zerostart.tagging.engine.model import build_tagger
    from zerostart.tagging.engine.training import make_state
    from zerostart.tagging.params import load_tagging_params

    params = load_tagging_params("toolbox", ROOT / "pipelines/tagging/params.yaml")
    phase, state = params.base, make_state(build_tagger(params.model, 4), params.base)
    inputs, targets = torch.randn(phase.batch_size, 3, phase.input_size, phase.input_size), torch.zeros(phase.batch_size, 4)

    def steps() -> None:
        for _ in range(8):
            state.optimizer.zero_grad(set_to_none=True)
            functional.binary_cross_entropy_with_logits(state.model(inputs), targets).backward()
            state.optimizer.step()

    return steps


ROOT = Path(__file__).resolve().parents[1]


def seconds_here(piece: str) -> float:
    """Least processor seconds of a piece in this process: other work on the machine counts less than with a wall clock."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        work = {"features": features, "warmup": warmup, "tagging": tagging}[piece]()
        work()
        times = []
        for _ in range(REPEATS):
            started = time.process_time()
            work()
            times.append(time.process_time() - started)
        os.chdir(ROOT)
    return min(times)


def seconds(piece: str, kernels: str) -> float:
    """The same in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name not in {*PINS, "NPY_DISABLE_CPU_FEATURES"}}
    environment = inherited | {"ZEROSTART_KERNELS": kernels, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, __file__, piece]
    return float(subprocess.check_output(command, env=environment, stderr=subprocess.DEVNULL))


def main() -> None:
    found = {}
    for piece in PIECES:
        pairs = [(seconds(piece, "pinned"), seconds(piece, "native")) for _ in range(ROUNDS)]
        pinned, native = (min(times) for times in zip(*pairs, strict=True))
        found[piece] = {"ratio": pinned / native, "pinned_seconds": pinned, "native_seconds": native}
    sentence = ", ".join(f"{piece} {numbers['ratio']:.2f}" for piece, numbers in found.items())
    report("kernels", f"pinned kernels take so many times as long as the machine's own: {sentence}", **found)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(seconds_here(sys.argv[1]))
    else:
        from report import report

        from zerostart.kernels import PINS

        main()
