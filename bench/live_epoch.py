"""An epoch on the cache against the live epoch, in which the frozen detector runs at every step; same batches, same run."""

import statistics
import time
from pathlib import Path

import numpy as np
import torch
from report import report

from zerostart.cache.views import load_view
from zerostart.datasets.splits import class_names, read_split, split_targets
from zerostart.detector.model import load_detector
from zerostart.device import default_device
from zerostart.method.cached_images import CachedImages, TrainingImages
from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.method.live_images import LiveImages
from zerostart.method.run_stack import RunStack
from zerostart.method.training import batch_losses
from zerostart.params import load_params

LIVE_STEPS = 4
"""The live loop is timed on so many steps."""

params, coco = load_params(), read_split("train")
classes, dataset = class_names(coco), coco["info"]["dataset"]
objects = [split_targets(coco)]
view = load_view("data/features", "train")
model = load_detector("data/baseline", classes)
model.to(default_device())
text = torch.from_numpy(np.load("data/text_embeddings/embeddings.npy"))
fusion = Fusion(FusionConfig.from_params(params, classes, view.hidden.shape[2], text.shape[1]), text).initialize(params)
rates = dict.fromkeys([*fusion.fusion_parameters(), *fusion.head_parameters()], 1e-4)
count = len(coco["images"])
batches = np.array_split(np.random.default_rng(0).permutation(count), -(-count // params.batch_size))


def seconds_per_step(images: TrainingImages, steps: int, threads: int) -> float:
    torch.set_num_threads(threads)
    stack = RunStack(fusion, [fusion.state_dict()], [rates], params.weight_decay)
    times = []
    for step in range(steps):
        started = time.perf_counter()
        stack.step(batch_losses(stack, images.batch(batches[step % len(batches)])))
        times.append(time.perf_counter() - started)
    return statistics.median(times)


threads = torch.get_num_threads()
live = seconds_per_step(LiveImages(model, coco, Path("data/raw") / dataset, objects, 0.0, 0), LIVE_STEPS, threads)
cached = seconds_per_step(CachedImages([view], objects), 20 * len(batches), 1)
report(
    "live_epoch",
    f"a cached epoch is {live / cached:.0f} times as fast as a live one ({cached * len(batches):.3f} s against"
    f" {live * len(batches):.1f} s for {count} images of {view.hidden.shape[1]} queries, batch {params.batch_size})",
    ratio=live / cached,
    cached_epoch_seconds=cached * len(batches),
    live_epoch_seconds=live * len(batches),
    images=count,
    live_steps=LIVE_STEPS,
)
