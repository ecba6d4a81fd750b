"""Stage `dataset`: check data/raw/<dataset> and write it as COCO JSON, one file per split."""

from pathlib import Path

from zerostart.datasets.cards import load_card
from zerostart.datasets.checks import build_splits
from zerostart.errors import run_stage
from zerostart.outputs import stage_folder, write_json
from zerostart.params import load_params


def main() -> str:
    params = load_params()
    card = load_card(params.dataset)
    splits = build_splits(card, Path("data/raw") / card.name)
    with stage_folder("data/coco") as folder:
        for split, coco in splits.items():
            write_json(folder / f"{split}.json", coco)
    counts = (f"{split} {len(coco['images'])} images, {len(coco['annotations'])} objects" for split, coco in splits.items())
    return f"dataset {card.name}: {'; '.join(counts)}"


if __name__ == "__main__":
    run_stage(main)
