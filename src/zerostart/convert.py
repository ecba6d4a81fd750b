"""Official DEIMv2 checkpoints as baselines: `python -m zerostart.convert CHECKPOINT --config YAML --out FOLDER`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from zerostart.datasets.cards import load_card
from zerostart.datasets.coco_file import read_coco_file
from zerostart.detector.coco import COCO_CLASSES
from zerostart.detector.model import save_detector
from zerostart.detector.official.checkpoint import read_official_checkpoint
from zerostart.detector.official.config import DINOv3STAs, OfficialConfig, read_official_config
from zerostart.detector.official.conversion import convert, settle, without_first_outputs
from zerostart.errors import InputError, run_stage
from zerostart.outputs import check_output_folder, output_folder


def class_names(official: OfficialConfig, card: str | None, source: str | Path, first_id: int = 0) -> Sequence[str]:
    """The names of the head's outputs from `first_id` on: those of the card (data/datasets/<card>.yaml, or a path), or COCO's.

    Raises InputError when the card has another number of classes, or without a card when the classes are not COCO's.
    """
    count, remapped = official.task.num_classes - first_id, official.task.remap_mscoco_category
    if card is None:
        if count == len(COCO_CLASSES) and remapped:
            return COCO_CLASSES
        raise InputError(
            f"{source}: num_classes is {count}, not COCO's remapped 80; --card with the classes' names is expected"
        )
    classes = card_classes(card)
    if len(classes) == count:
        return classes
    if first_id == 0 and not remapped and len(classes) + 1 == count:
        raise InputError(
            f"{card}: the card has {len(classes)} classes, but num_classes in {source} is {count}; with category ids"
            f" that start at 1 the official head has one output more, without a class: --first-id 1, or --annotations with the"
            " training's COCO file, leaves it out"
        )
    raise InputError(f"{card}: the card has {len(classes)} classes, but num_classes in {source} is {official.task.num_classes}")


def card_classes(card: str) -> Sequence[str]:
    """The classes of a card, named or given as a path."""
    path = Path(card)
    return load_card(path.stem, path.parent).classes if path.suffix else load_card(card).classes


def first_id_of(annotations: Path, classes: Sequence[str], official: OfficialConfig) -> int:
    """The category id of the first class in the COCO file that the checkpoint was trained on; an id is the index of its output.

    Raises InputError unless its categories are the card's classes, in the order of their ids and without gaps.
    """
    if official.task.remap_mscoco_category:
        raise InputError(f"{annotations}: with remap_mscoco_category the outputs are COCO's 80, whatever the ids are")
    names = read_coco_file(annotations, sizes=False, boxes=False).names()
    ids = sorted(names)
    found = [names[index] for index in ids]
    if found != list(classes):
        raise InputError(
            f"{annotations}: its categories are, in the order of their ids, {', '.join(found)}; the card's {', '.join(classes)}"
            " are expected, as an id is the index of the official head's output"
        )
    if ids[0] not in (0, 1) or ids != list(range(ids[0], ids[0] + len(ids))):
        raise InputError(f"{annotations}: its category ids are {ids}; 0, 1, 2 ... or 1, 2, 3 ... are expected")
    return ids[0]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m zerostart.convert", description="An official DEIMv2 checkpoint as a baseline."
    )
    parser.add_argument("checkpoint", type=Path, help="best_stg1.pth, last.pth; EMA weights are taken where there are any")
    parser.add_argument(
        "--config", type=Path, required=True, help="the training's YAML; what it includes is looked for from there"
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write, data/baselines/NAME")
    parser.add_argument(
        "--card", help="the data set whose classes these are: its name, or a card's file; default: COCO's classes"
    )
    parser.add_argument("--first-id", type=int, choices=(0, 1), default=0, help="the first category id of the training data")
    parser.add_argument(
        "--annotations",
        type=Path,
        help="the COCO file of the training: its ids are compared with the card, and tell --first-id",
    )
    parser.add_argument("-u", "--update", nargs="+", default=[], metavar="KEY=VALUE", help="as given to the training's -u")
    return parser.parse_args()


def main() -> str:
    args = _arguments()
    check_output_folder(args.out)
    official = read_official_config(args.config, args.update)
    first_id = args.first_id
    if args.annotations is not None:
        if args.card is None:
            raise InputError("--annotations is compared with the classes of --card, which is missing")
        first_id = first_id_of(args.annotations, card_classes(args.card), official)
    classes = class_names(official, args.card, args.config, first_id)
    weights = without_first_outputs(read_official_checkpoint(args.checkpoint), first_id)
    official, notes = settle(official, weights)
    model = convert(official, weights, classes, f"{args.checkpoint} with {args.config}")
    if halves := sorted({str(tensor.dtype)[6:] for tensor in weights.values() if tensor.is_floating_point()} - {"float32"}):
        notes.append(f"{', '.join(halves)} was converted to float32")
    if isinstance(official.backbone, DINOv3STAs) and official.normalize is None:
        notes.append(
            "val_dataloader has no Normalize, so that inputs are only scaled to [0, 1]; published DINOv3 variants have one"
        )
    with output_folder(args.out) as temporary:
        save_detector(model, temporary)
    size, count = official.task.eval_spatial_size[0], sum(parameter.numel() for parameter in model.parameters())
    backbone = f"{type(official.backbone).__name__} {official.backbone.name}"
    summary = f"{args.out}: {backbone}, {count / 1e6:.1f} M parameters, {len(classes)} classes, {size}x{size} pixels"
    outputs = ", ".join(f"{index} = {name}" for index, name in enumerate(classes))
    if first_id:
        notes.append("the head's output 0, which no category id of the training names, was left out")
    return "\n".join([summary, f"classes: {outputs}", *(f"note: {note}" for note in notes)])


if __name__ == "__main__":
    run_stage(main)
