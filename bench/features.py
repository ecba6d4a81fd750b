"""Does the features stage keep the detector busy? Its images per second against those of the bare forward pass."""

import tempfile
from pathlib import Path

import torch
from report import alternating, report

from zerostart.cache.writing import write_view
from zerostart.datasets.splits import class_names, read_split
from zerostart.detector.model import load_detector
from zerostart.detector.pixels import image_batches, pixel_values
from zerostart.device import default_device

IMAGES, BATCH = 240, 16

coco = read_split("train")
coco = coco | {"images": coco["images"][:IMAGES]}
raw = Path("data/raw") / coco["info"]["dataset"]
model = load_detector("data/baseline", class_names(coco))
model.to(default_device())
device = next(model.parameters()).device
ready = [pixel_values(batch.to(device)) for batch in image_batches(coco, raw, model.config.eval_size[0], BATCH)]


@torch.inference_mode()
def bare() -> None:
    for batch in ready:
        model(pixel_values=batch).logits.cpu()


def stage() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_view(Path(folder) / "view", model, coco, raw, batch_size=BATCH)


forward, written = alternating(bare, stage)
ratio = forward / written
report(
    "features",
    f"the stage runs at {ratio:.2f} of the bare forward's speed"
    f" ({IMAGES / written:.0f} against {IMAGES / forward:.0f} images/s)",
    ratio=ratio,
    forward_seconds=forward,
    stage_seconds=written,
    images=IMAGES,
)
