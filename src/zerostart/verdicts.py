"""The verdicts of inspectors as a data set: `python -m zerostart.verdicts NAME [--store FOLDER --like CARD --with-base]`."""

import argparse
import re
from pathlib import Path

import yaml

from zerostart.datasets.cards import Card, load_card
from zerostart.datasets.checks import SPLITS
from zerostart.errors import InputError, run_stage
from zerostart.outputs import check_output_folder, output_file, output_folder
from zerostart.params import load_params
from zerostart.serving.labelled import Labelled, check, collect, write
from zerostart.serving.store import Store

FIRST_LINE = "# Written by `python -m zerostart.verdicts`, which replaces it; under another name it is yours.\n"


def card_text(name: str, like: Card) -> str:
    """The card of the new data set: classes, critical ones and prompts are those of another."""
    card = {
        "name": name,
        "format": "coco",
        "obtain": f"run `python -m zerostart.verdicts {name}`, which takes it from the store of the inspection page",
        "prompts": like.prompts,
        "classes": list(like.classes),
        "critical": list(like.critical),
        "splits": {split: {"annotations": f"{split}.json", "images": "."} for split in SPLITS},
    }
    return FIRST_LINE + yaml.safe_dump(card, sort_keys=False, allow_unicode=True)


def _check_card(path: Path) -> None:
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(FIRST_LINE):
        raise InputError(f"{path}: exists, and was not written by this command; another name is expected")


def _sentence(name: str, labelled: Labelled, like: Card) -> str:
    counts = "; ".join("{} {} pictures, {} objects".format(split, *labelled.counts(split)) for split in SPLITS)
    twice = f"\n{labelled.twice} objects were kept of both engines, and are there once" if labelled.twice else ""
    left = labelled.undecided
    undecided = f"\n{left} detections at or above the threshold were neither accepted nor rejected: no objects" if left else ""
    baseline = "" if Path("data/baselines", name).is_dir() else f" -S baseline=data/baselines/{like.name}"
    return (
        f"data/raw/{name}, data/datasets/{name}.yaml: {counts}{twice}{undecided}\n"
        f"next: dvc add data/raw/{name} && git add data && dvc exp run -S dataset={name}{baseline}"
    )


def main() -> str:
    parser = argparse.ArgumentParser(prog="python -m zerostart.verdicts", description="Verdicts of inspectors as a data set.")
    parser.add_argument("name", help="of the new data set: data/raw/NAME and data/datasets/NAME.yaml")
    parser.add_argument("--store", type=Path, default=Path("inspections"), help="of `python -m zerostart.serve`")
    parser.add_argument("--like", help="the data set whose classes it has; default: that of params.yaml")
    parser.add_argument("--with-base", action="store_true", help="add the verdicts to that data set's own pictures")
    args = parser.parse_args()
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,60}", args.name):
        raise InputError(f"the name is '{args.name}'; small letters, digits, - and _ are expected")
    like = load_card(args.like or load_params().dataset)
    folder, card = Path("data/raw", args.name), Path("data/datasets", f"{args.name}.yaml")
    if args.name == like.name:
        raise InputError(f"'{args.name}' is the data set that was learned from; a new name is expected")
    check_output_folder(folder)
    _check_card(card)
    store = Store(args.store, create=False)
    labelled = collect(store, like, Path("data/raw", like.name) if args.with_base else None)
    check(labelled)
    with output_folder(folder) as temporary:
        write(labelled, temporary)
    with output_file(card) as temporary:
        temporary.write_text(card_text(args.name, like), encoding="utf-8")
    return _sentence(args.name, labelled, like)


if __name__ == "__main__":
    run_stage(main)
