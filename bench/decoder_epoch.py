"""An epoch of phase 3 on stored encoder outputs against one with backbone and encoder in every step; and one of phase 2."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from report import alternating, report

from zerostart.cache.views import load_view
from zerostart.datasets.splits import class_names, read_split, split_targets
from zerostart.decoder.encoder_outputs import write_encoder_outputs
from zerostart.decoder.tuned_decoder import TunedDecoder, make_optimizer
from zerostart.decoder.tuning import StoredImages
from zerostart.detector.model import load_detector
from zerostart.device import default_device
from zerostart.method.cached_images import CachedImages
from zerostart.method.checkpoint import load_fusion
from zerostart.method.run_stack import RunStack
from zerostart.method.training import batch_losses
from zerostart.params import load_params

STEPS = 6
"""Steps of phase 3 in one measurement."""

params, coco = load_params(), read_split("train")
count, raw = len(coco["images"]), Path("data/raw") / coco["info"]["dataset"]
classes, targets = class_names(coco), split_targets(coco)
fusion = load_fusion("models/head_tuning", classes)
device = default_device()
frozen = load_detector("data/baseline", classes).to(device)
decoder = TunedDecoder(load_detector("data/baseline", classes), fusion).to(device).train()
optimizer = make_optimizer(decoder, params)
size = params.decoder.batch_size
order = np.random.default_rng(0).permutation(count)
batches = [order[start : start + size] for start in range(0, count - size + 1, size)]


def steps(batch: Callable[[np.ndarray], tuple]) -> None:
    for items in batches[:STEPS]:
        optimizer.zero_grad()
        decoder(*batch(items)).backward()
        optimizer.step()


def through_the_encoder(folder: Path, items: np.ndarray) -> tuple:
    chosen = {"images": [coco["images"][index] for index in items]}
    path = folder / "batch.npy"
    stored = write_encoder_outputs(path, frozen, chosen, raw, batch_size=size)
    return StoredImages([stored], [[targets[index] for index in items]]).batch(np.arange(len(items)), device)


with tempfile.TemporaryDirectory(dir="data", prefix=".tmp-") as name:
    folder = Path(name)
    started = time.perf_counter()
    images = StoredImages([write_encoder_outputs(folder / "all.npy", frozen, coco, raw)], [targets])
    once = time.perf_counter() - started
    stored, live = alternating(
        lambda: steps(lambda items: images.batch(items, device)),
        lambda: steps(lambda items: through_the_encoder(folder, items)),
        3,
    )
per_epoch = len(batches) / STEPS

torch.set_num_threads(1)  # as the stage does
cached = CachedImages([load_view("data/features", "train")], [targets])
head = RunStack(fusion.cpu(), [fusion.state_dict()], [dict.fromkeys(fusion.head_parameters(), 1e-6)], 0.0)
started = time.perf_counter()
for start in range(0, count, params.batch_size):
    head.step(batch_losses(head, cached.batch(order[start : start + params.batch_size])))
phase_2 = time.perf_counter() - started

report(
    "decoder_epoch",
    f"an epoch of phase 3 takes {stored * per_epoch:.1f} s, {live / stored:.2f} times as fast as with backbone and encoder in"
    f" every step ({live * per_epoch:.1f} s; the outputs are stored in {once:.1f} s, once); an epoch of phase 2 takes"
    f" {phase_2:.2f} s ({count} images of {decoder.detector.config.num_queries} queries)",
    ratio=live / stored,
    stored_epoch_seconds=stored * per_epoch,
    live_epoch_seconds=live * per_epoch,
    store_seconds=once,
    phase_2_epoch_seconds=phase_2,
    images=count,
    steps=STEPS,
)
