"""The refined detector for other runtimes: `python -m zerostart.export --format onnx --out FOLDER`.

The graph is compared with the detector itself on images of val before it is kept. What FP16 and INT8 lose is for
`python -m zerostart.score FOLDER` to say, on labelled images.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openvino
import torch
from torch import Tensor

from zerostart.datasets.splits import read_split
from zerostart.detector.pixels import image_batches
from zerostart.errors import InputError, run_stage, shown
from zerostart.inference.assembly import load_checkpoint
from zerostart.inference.export_graph import Graph, metadata, write_onnx
from zerostart.inference.exported import FILES, Run, open_export
from zerostart.inference.reduced_precision import to_float16, to_int8
from zerostart.inference.refined_detector import RefinedDetector
from zerostart.novel.added import with_added_classes
from zerostart.outputs import check_new_folder, output_folder

TOLERANCE = 1e-3
"""Largest difference to the detector itself, of a score or of a box as a fraction of the image."""
BORDERLINE = 1e-4
"""An IoU so close to merge_iou may fall on either side of it in another runtime."""
CHECKED, CALIBRATION, BATCH = 16, 128, 4
"""Images of val that the check looks at, images of train that INT8's ranges are taken from, images at once."""


def export(
    detector: RefinedDetector, images: list[Tensor], calibration: Iterator[Tensor], out: Path, args: argparse.Namespace
) -> str:
    """Write the detector as `args.format` in `args.precision` into the empty folder `out`; the sentence says what was checked.

    images: uint8 batches that the check compares on; calibration: those that INT8's ranges are taken from.
    Raises InputError when outputs in float32 differ by more than `TOLERANCE`.
    """
    graph = Graph(detector)
    if args.format == "safetensors":
        detector.write_into(out)
    else:
        path = out / FILES["onnx"]
        write_onnx(graph, path)
        if args.precision == "int8":
            to_int8(path, calibration)
        if args.format == "onnx" and args.precision == "fp16":
            to_float16(path)
        if args.format == "openvino":
            _to_openvino(path, out, graph, args.precision)
    difference = largest_difference(graph, open_export(out).run, images)
    if args.precision == "fp32" and not difference <= TOLERANCE:
        raise InputError(
            f"{out.name}: the exported graph differs from the detector by {difference:.2g} on real images;"
            f" at most {TOLERANCE:g} is expected, so it was not kept"
        )
    return f"largest difference to the detector on {sum(map(len, images))} images of val: {difference:.2g}"


def _to_openvino(path: Path, out: Path, graph: Graph, precision: str) -> None:
    try:
        model = openvino.Core().read_model(path)  # not convert_model, which has telemetry
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]  # the lines above say where in its sources
        raise InputError(
            f"--format openvino: OpenVINO cannot read the graph of this detector ({shown(reason, 200, False)}); --format onnx"
            " writes the same graph for onnxruntime"
        ) from None
    model.set_rt_info(json.dumps(metadata(graph.refined), sort_keys=True), "zerostart")
    openvino.save_model(model, out / FILES["openvino"], compress_to_fp16=precision == "fp16")
    path.unlink()


@torch.inference_mode()
def largest_difference(graph: Graph, run: Run, images: list[Tensor]) -> float:
    """Largest difference in scores and boxes between a runtime's and the detector's own detections.

    Detections correspond when they have the same class and the nearest box and score. Where one view's query reaches another's
    by an IoU within `BORDERLINE` of merge_iou, either grouping is right.
    """
    iou = graph.refined.settings.merge_iou
    merged = graph.refined.settings.test_flips != "none"
    variants = (iou, iou - BORDERLINE, iou + BORDERLINE) if merged else (iou,)
    worst = 0.0
    for batch in images:
        found = run(batch.numpy())
        views = graph.refined.look_at_views(batch)  # once: of a large detector on a CPU this is what an export waits for
        own = [[t.numpy() for t in graph.ranked(graph.refined.merged(views, variant))] for variant in variants]
        for index in range(len(batch)):
            other = [array[index] for array in found]
            worst = max(worst, min(_difference([array[index] for array in one], other) for one in own))
    return worst


def _difference(own: list[np.ndarray], other: list[np.ndarray]) -> float:
    """Of one image; a detection near the lowest kept score may have fallen out on the other side."""
    boxes, scores, labels = own
    other_boxes, other_scores, other_labels = other
    apart = np.abs(boxes[:, None] - other_boxes[None]).max(axis=2)
    apart = np.maximum(apart, np.abs(scores[:, None] - other_scores[None]))
    apart[labels[:, None] != other_labels[None]] = np.inf
    nearest = apart.min(axis=1)[scores > scores[-1] + TOLERANCE]
    return float(max(nearest.max(initial=0), np.abs(scores - other_scores).max(initial=0)))


def batches(split: str, detector: RefinedDetector, count: int) -> Iterator[Tensor]:
    """At most `count` images of a split, evenly spread over it, as uint8 batches. Raises InputError where there is none."""
    coco = read_split(split)
    if not coco["images"]:
        raise InputError(f"data/coco/{split}.json: has no image; the export is checked on real ones")
    step = max(1, len(coco["images"]) // count)
    coco = coco | {"images": coco["images"][::step][:count]}
    return image_batches(coco, Path("data/raw") / coco["info"]["dataset"], detector.image_size, BATCH)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zerostart.export", description="The refined detector for other runtimes.")
    parser.add_argument("--format", choices=FILES, required=True)
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument(
        "--checkpoint", type=Path, help="of the pipeline, or of save_pretrained; default: models/decoder_tuning"
    )
    parser.add_argument("--added", action="store_true", help="with what `python -m zerostart.classes` added to the data set")
    return parser.parse_args()


def main() -> str:
    args = _arguments()
    if args.format == "safetensors" and args.precision != "fp32":
        raise InputError(f"--precision {args.precision}: safetensors are written in fp32 only; onnx and openvino have others")
    if args.format == "openvino" and args.precision == "int8":  # on neu-det the composite fell from 0.499 to 0.273
        raise InputError("--precision int8: OpenVINO loses too much with this graph's ranges; --format onnx has int8")
    if args.format == "safetensors" and args.added:
        raise InputError("--added: safetensors hold the detector and its fusion alone; onnx and openvino take new classes in")
    check_new_folder(args.out)
    detector = load_checkpoint(args.checkpoint)
    if args.added:
        detector = with_added_classes(detector)
    images = list(batches("val", detector, CHECKED))
    calibration = batches("train", detector, CALIBRATION) if args.precision == "int8" else iter(())
    with output_folder(args.out) as temporary:
        sentence = export(detector, images, calibration, temporary, args)
    return f"{args.out}: {args.format} {args.precision}; {sentence}"


if __name__ == "__main__":
    run_stage(main)
