"""features: one pass of the frozen detector over every split and over mirrored views of it, to the cache."""

import time
from pathlib import Path

from zerostart.cache.views import view_name
from zerostart.cache.writing import write_view
from zerostart.datasets.splits import class_names, read_split
from zerostart.detector.mirror import FLIPS, TEST_VIEWS
from zerostart.detector.model import load_detector
from zerostart.device import default_device
from zerostart.errors import run_stage
from zerostart.outputs import stage_folder
from zerostart.params import load_params


def main() -> str:
    params = load_params()
    started = time.monotonic()
    cocos = {split: read_split(split) for split in ("train", "val", "test")}
    classes = class_names(cocos["train"])
    detector = load_detector("data/baseline", classes)
    detector.to(default_device())
    images = Path("data/raw") / params.dataset
    passes = 0
    with stage_folder("data/features") as folder:
        for split, coco in cocos.items():
            for view in range(1 + params.augment_views) if split == "train" else TEST_VIEWS[params.test_flips]:
                write_view(folder / view_name(split, view), detector, coco, images, FLIPS[view])
                passes += len(coco["images"])
    seconds = time.monotonic() - started
    return f"data/features: {passes} images seen in {seconds:.0f} s ({passes / seconds:.0f} images/s)"


if __name__ == "__main__":
    run_stage(main)
