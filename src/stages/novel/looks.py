"""looks: what the frozen detector sees in the school and in the data set: `python -m stages.novel.looks DATASET`."""

from pathlib import Path

import torch

from zerostart.datasets.cards import load_card
from zerostart.datasets.checks import build_splits
from zerostart.detector.model import load_detector
from zerostart.errors import dataset_argument, run_stage
from zerostart.novel.params import load_novel_params, of_dataset
from zerostart.novel.regions import write_looks
from zerostart.outputs import stage_folder, write_json
from zerostart.records import read_json


def main() -> str:
    dataset, params = dataset_argument(), load_novel_params()
    card, pictures = load_card(dataset), Path(f"data/novel/{dataset}/pictures")
    raw = Path("data/raw") / dataset
    cocos = build_splits(card, raw)
    detector = load_detector(f"data/baselines/{dataset}", list(card.classes))
    torch.set_num_threads(1)  # the same sums on any number of cores; the detector sees batches side by side
    names = ["school", *(params.kind_images if of_dataset(params, dataset).kinds else [])]
    images = 0
    with stage_folder(f"data/novel/{dataset}/looks") as folder:
        for name in names:
            coco = read_json(pictures / name / "annotations.json", "the stage `school` writes it")
            write_looks(folder / name, detector, coco, pictures / name)
            write_json(folder / name / "coco.json", coco)
            images += len(coco["images"])
        for split in ("train", "val", "test"):
            write_looks(folder / f"own_{split}", detector, cocos[split], raw)
            write_json(folder / f"own_{split}" / "coco.json", cocos[split])
            images += len(cocos[split]["images"])
    return f"data/novel/{dataset}/looks: {images} pictures"


if __name__ == "__main__":
    run_stage(main)
