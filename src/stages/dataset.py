"""Stage `dataset`: check data/raw/<dataset> and write it as COCO JSON, one file per split."""

from pathlib import Path

from zerostart.datasets.cards import load_card
from zerostart.datasets.checks import import_dataset
from zerostart.errors import run_stage
from zerostart.outputs import stage_folder, write_json
from zerostart.params import load_params


def main() -> str:
    params = load_params()
    card = load_card(params.dataset)
    imported = import_dataset(card, Path("data/raw") / card.name)
    splits = imported.splits
    with stage_folder("data/coco") as folder:
        for split, coco in splits.items():
            write_json(folder / f"{split}.json", coco)
    counts = (f"{split} {len(coco['images'])} images, {len(coco['annotations'])} objects" for split, coco in splits.items())
    return "\n".join([f"dataset {card.name}: {'; '.join(counts)}", *imported.said])


if __name__ == "__main__":
    run_stage(main)
