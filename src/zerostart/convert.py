"""Official DEIMv2 checkpoints as baselines: `python -m zerostart.convert CHECKPOINT --config YAML --out FOLDER`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from zerostart.datasets.cards import load_card
from zerostart.detector.coco import COCO_CLASSES
from zerostart.detector.model import save_detector
from zerostart.detector.official.checkpoint import read_official_checkpoint
from zerostart.detector.official.config import DINOv3STAs, OfficialConfig, read_official_config
from zerostart.detector.official.conversion import convert, settle
from zerostart.errors import InputError, run_stage
from zerostart.outputs import check_output_folder, output_folder


def class_names(official: OfficialConfig, card: str | None, source: str | Path) -> Sequence[str]:
    """The names of the head's outputs: those of the card (data/datasets/<card>.yaml, or a path), or COCO's.

    Raises InputError when the card has another number of classes, or without a card when the classes are not COCO's.
    """
    count, remapped = official.task.num_classes, official.task.remap_mscoco_category
    if card is None:
        if count == len(COCO_CLASSES) and remapped:
            return COCO_CLASSES
        raise InputError(
            f"{source}: num_classes is {count}, not COCO's remapped 80; --card with the classes' names is expected"
        )
    path = Path(card)
    classes = load_card(path.stem, path.parent).classes if path.suffix else load_card(card).classes
    if len(classes) != count:
        ids = "" if remapped else "; with category ids that start at 1 the official head has one output more, without a class"
        raise InputError(f"{card}: the card has {len(classes)} classes, but num_classes in {source} is {count}{ids}")
    return classes


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
    parser.add_argument("-u", "--update", nargs="+", default=[], metavar="KEY=VALUE", help="as given to the training's -u")
    return parser.parse_args()


def main() -> str:
    args = _arguments()
    check_output_folder(args.out)
    official = read_official_config(args.config, args.update)
    classes = class_names(official, args.card, args.config)
    weights = read_official_checkpoint(args.checkpoint)
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
    return "\n".join([summary, *(f"note: {note}" for note in notes)])


if __name__ == "__main__":
    run_stage(main)
