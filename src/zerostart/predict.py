"""What the detector finds in images, and why: `python -m zerostart.predict IMAGE|FOLDER|COCO.json --out FOLDER`."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from zerostart.datasets.coco_file import read_coco_file
from zerostart.datasets.files import pictures_below, spelled
from zerostart.datasets.findings import Findings
from zerostart.datasets.image_files import check_annotated_size
from zerostart.datasets.pictures import SUFFIXES, PictureError, read_picture
from zerostart.device import default_device
from zerostart.errors import InputError, run_stage
from zerostart.inference.assembly import load_checkpoint
from zerostart.inference.detections import Detections, DetectorName
from zerostart.inference.explained_pictures import SIDE, draw
from zerostart.inference.refined_detector import RefinedDetector
from zerostart.inference.tiles import Tile, Tiling, cut_out, merge_tiles, tiles
from zerostart.metrics.temperature import tempered
from zerostart.novel.added import with_added_classes
from zerostart.outputs import check_new_folder, output_folder, write_json

DETECTORS: dict[str, tuple[DetectorName, ...]] = {
    "baseline": ("baseline",),
    "refined": ("refined",),
    "both": ("baseline", "refined"),
}


class Source(NamedTuple):
    """The images to look at."""

    paths: list[Path]
    names: list[str]
    """Of the COCO file, else relative to the folder."""
    ids: list[int]
    """Of the COCO file, else 1, 2, ... in the order of the paths."""
    sizes: list[tuple[float, float] | None]
    """Width and height that the COCO file gives."""
    categories: dict[str, int]
    """Class name -> id in the results."""


class Options(NamedTuple):
    """How to look."""

    detectors: tuple[DetectorName, ...]
    threshold: float | None = None
    tiling: Tiling = "none"
    tile: int | None = None
    tile_iou: float = 0.5
    batch_size: int = 16
    every_class: bool = False
    calibrated: bool = False
    """Scores as probabilities: logits divided by the temperature that was chosen on val. What is found stays the same."""


class Looked(NamedTuple):
    """One image and what was found in it."""

    index: int
    size: tuple[int, int]
    small: Image.Image
    """For drawing: a copy with at most SIDE pixels on its longer side; boxes are in pixels of the image itself."""
    found: dict[DetectorName, Detections]


def read_source(path: Path, images: Path | None, classes: tuple[str, ...]) -> Source:
    """The images of a file, a folder (and its folders) or a COCO file, whose images lie in `images` or beside it.

    Raises InputError where there is none, or the COCO file is damaged or lacks one of the classes.
    """
    if path.is_dir():
        paths = pictures_below(path)
        if not paths:
            raise InputError(f"{path}: has no image ({', '.join(sorted(SUFFIXES))})")
    elif not path.is_file():
        raise InputError(f"{path}: no such file or folder; an image, a folder of images or a COCO file is expected")
    elif path.suffix.lower() == ".json":
        return _read_coco(path, images or path.parent, classes)
    else:
        paths = [path]
    categories = {name: index for index, name in enumerate(classes)}
    names = [(file.relative_to(path) if path.is_dir() else Path(file.name)).as_posix() for file in paths]
    return Source(paths, names, list(range(1, len(paths) + 1)), [None] * len(paths), categories)


def _read_coco(path: Path, folder: Path, classes: tuple[str, ...]) -> Source:
    findings = Findings(collect=True)
    coco = read_coco_file(path, boxes=False, annotations=False, findings=findings)
    ids = {category.name: category.id for category in coco.categories}
    missing = [name for name in classes if name not in ids]
    for name in missing:
        findings.error("category", f"{path}: has no category {name!r}, which the detector knows")
    if not coco.images:
        findings.error("images", f"{path}: lists no image")
    paths = [folder / spelled(folder, image.file_name) for image in coco.images]
    for file in paths:
        if not file.is_file():
            findings.error("image", f"{file}: no such image, but {path} lists it; --images says where its images lie")
    findings.refuse(path)
    names, image_ids, sizes = zip(*((image.file_name, image.id, image.size) for image in coco.images), strict=True)
    return Source(paths, list(names), list(image_ids), list(sizes), {name: ids[name] for name in classes})


def predict(detector: RefinedDetector, source: Source, options: Options) -> Iterator[Looked]:
    """Look at all images in turn, `batch_size` of them at once; with tiling, at `batch_size` tiles of one image."""
    side, step = options.tile or detector.image_size, options.batch_size if options.tiling == "none" else 1
    for start in range(0, len(source.paths), step):
        group = range(start, min(start + step, len(source.paths)))
        opened = [_open(source, index, options.tiling, side, detector.image_size) for index in group]
        pixels = torch.from_numpy(np.concatenate([cut for _, _, _, cut in opened]))
        found = {which: _find(detector, pixels, which, options) for which in options.detectors}
        first = 0
        for index, (size, small, parts, _) in zip(group, opened, strict=True):
            of_image = slice(first, first + len(parts))
            first += len(parts)
            merged = {which: merge_tiles(one[of_image], parts, size, options.tile_iou) for which, one in found.items()}
            if options.calibrated:
                by = detector.settings.temperature
                merged = {which: one._replace(scores=tempered(one.scores, getattr(by, which))) for which, one in merged.items()}
            yield Looked(index, size, small, merged)


def _open(
    source: Source, index: int, tiling: Tiling, side: int, input_size: int
) -> tuple[tuple[int, int], Image.Image, list[Tile], np.ndarray]:
    path, expected = source.paths[index], source.sizes[index]
    try:
        picture = read_picture(path)
    except PictureError as reason:
        raise InputError(f"{path}: {reason}") from None
    image = picture.rgb
    if expected:
        check_annotated_size(expected, picture, path, f"the COCO file, image {source.ids[index]}")
    parts = tiles(*image.size, tiling, side)
    pixels = cut_out(image, parts, input_size)
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    return image.size, small, parts, pixels


def _find(detector: RefinedDetector, pixels: torch.Tensor, which: DetectorName, options: Options) -> list[Detections]:
    found = []
    for batch in pixels.split(options.batch_size):
        found += detector.find(batch, options.threshold, which, options.every_class)
    return found


def records(looked: Looked, which: DetectorName, source: Source, detector: RefinedDetector) -> list[dict[str, Any]]:
    """COCO results (bbox: x, y, width, height in pixels) with what explains them.

    `logits`: for every class the detector's own logit and what the class head's difference and the text add to it; with mirror
    images, of the best of the queries that were merged. `prompt`: the sentences that describe the class.
    """
    classes, found = detector.settings.classes, looked.found[which]
    rows = []
    for index, (box, score, label) in enumerate(zip(found.boxes, found.scores, found.labels, strict=True)):
        name, (left, top, right, bottom) = classes[label], (float(value) for value in box)
        parts = {"detector": found.base[index]}
        if which == "refined":
            parts |= {"head": found.delta[index], "text": found.text[index]}
        logits = {key: {k: float(value) for k, value in zip(classes, part, strict=True)} for key, part in parts.items()}
        row = {
            "image_id": source.ids[looked.index],
            "file_name": source.names[looked.index],
            "category_id": source.categories[name],
            "category": name,
            "bbox": [left, top, right - left, bottom - top],
            "score": float(score),
            "logits": logits,
        }
        rows.append(row | ({"prompt": detector.settings.prompts[name]} if which == "refined" else {}))
    return rows


def write_predictions(detector: RefinedDetector, source: Source, options: Options, out: Path) -> int:
    """Write DETECTOR.json and a drawn image per input into the empty folder `out`; returns the number of detections."""
    rows: dict[DetectorName, list[dict]] = {which: [] for which in options.detectors}
    (out / "images").mkdir()
    with tqdm(total=len(source.paths), unit="image", disable=None) as progress:
        for looked in predict(detector, source, options):
            for which in options.detectors:
                rows[which] += records(looked, which, source, detector)
            scale = looked.small.width / looked.size[0], looked.small.height / looked.size[1]
            found = {e: one._replace(boxes=one.boxes * np.float32([*scale, *scale])) for e, one in looked.found.items()}
            name = f"{source.ids[looked.index]:06d}_{source.paths[looked.index].stem[:100]}.png"
            draw(looked.small, found, detector.settings).save(out / "images" / name)
            progress.update()
    for which, records_of in rows.items():
        write_json(out / f"{which}.json", records_of)
    return sum(map(len, rows.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zerostart.predict", description="What is found in images, and why.")
    parser.add_argument("source", type=Path, metavar="IMAGE|FOLDER|COCO.json")
    parser.add_argument("--images", type=Path, help="where the images of a COCO file lie; default: beside it")
    parser.add_argument("--out", type=Path, default=Path("predictions"), help="default: predictions")
    parser.add_argument(
        "--checkpoint", type=Path, help="of the pipeline, or of save_pretrained; default: models/decoder_tuning"
    )
    parser.add_argument("--added", action="store_true", help="with what `python -m zerostart.classes` added to the data set")
    parser.add_argument("--detector", choices=DETECTORS, default="refined")
    parser.add_argument("--threshold", type=float, help="lowest score; default: the one chosen on val")
    parser.add_argument(
        "--calibrated",
        action="store_true",
        help="scores as probabilities, by the temperature of val; --threshold is of raw ones",
    )
    parser.add_argument("--every-class", action="store_true", help="the 300 best (box, class) pairs, for COCO's metrics")
    parser.add_argument(
        "--tiling", choices=("none", "six", "grid"), default="none", help="look at parts of large images as well"
    )
    parser.add_argument("--tile", type=int, help="side of grid's squares in pixels; default: the detector's input")
    parser.add_argument("--tile-iou", type=float, default=0.5, help="boxes of one class that overlap by more become one")
    parser.add_argument("--batch-size", type=int, default=16)
    args = parser.parse_args()
    for name, low, high in (("threshold", 0, 1), ("tile_iou", 0, 1), ("batch_size", 1, 4096), ("tile", 32, 2**16)):
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            raise InputError(f"--{name.replace('_', '-')} is {value}; {low} to {high} is expected")
    return args


def main() -> str:
    args = _arguments()
    check_new_folder(args.out)
    detector = load_checkpoint(args.checkpoint)
    if args.added:
        detector = with_added_classes(detector)
    detector.to(default_device())
    source = read_source(args.source, args.images, detector.settings.classes)
    threshold = 0.0 if args.every_class and args.threshold is None else args.threshold
    options = Options(
        DETECTORS[args.detector],
        threshold,
        args.tiling,
        args.tile,
        args.tile_iou,
        args.batch_size,
        args.every_class,
        args.calibrated,
    )
    with output_folder(args.out) as temporary:
        count = write_predictions(detector, source, options, temporary)
    return f"{args.out}: {count} detections in {len(source.paths)} images"


if __name__ == "__main__":
    run_stage(main)
