"""Stage `evaluate`: judge baseline and refined detector on `test`, on which no other stage chooses or judges.

The refined detector looks at mirror images as well (`test_flips`). Between it and the baseline stand the detectors that lack
its last steps, so that it can be told what each step gains. The thresholds of the operating points are chosen on `val`.
"""

import hashlib
from pathlib import Path

import torch
from PIL import Image

from zerostart.datasets.pictures import open_rgb
from zerostart.errors import InputError, run_stage
from zerostart.evaluation.changes import changes, draw_changes
from zerostart.evaluation.critical_objects import HEADER, critical_objects
from zerostart.evaluation.detectors import RAW, Split, load_split
from zerostart.evaluation.paired_samples import SEED, Scores, to_json
from zerostart.evaluation.plot_tables import plot_tables
from zerostart.evaluation.reports import DETECTORS, Report, about_data, compare, judge, metrics_of, per_class_of
from zerostart.evaluation.verdict import table, verdict
from zerostart.metrics.frozen_boxes import scored_detections
from zerostart.metrics.operating_point import best_threshold
from zerostart.metrics.temperature import best_temperature
from zerostart.outputs import output_file, write_csv, write_json
from zerostart.params import Params, load_params

METRICS, PLOTS, TEST = Path("metrics"), Path("plots"), Path("data/coco/test.json")


def main() -> str:
    params = load_params()
    torch.set_num_threads(1)  # the same sums on any number of cores
    val, test = (load_split(name, params) for name in ("val", "test"))
    critical = test.ground_truth["info"]["critical"]
    reports = {}
    for name in DETECTORS:
        threshold = best_threshold(val.evaluator, val.logits[name])
        temperature = best_temperature(*scored_detections(val.evaluator.match(val.logits[name])))
        reports[name] = judge(test, test.logits[name], threshold, critical, params, temperature)
    comparison = compare(test, reports, critical, params)
    metrics = metrics_of(reports, comparison, about_data(test.ground_truth["info"]))
    write_json(METRICS / "evaluate.json", metrics)
    write_json(METRICS / "per_class.json", per_class_of(reports))
    write_samples(comparison.samples, params, len(test.image_id))
    for name, (header, rows) in plot_tables(reports, test.evaluator.classes).items():
        write_csv(PLOTS / name, header, rows)
    write_critical_objects(test, reports, critical, RAW / params.dataset)
    print(table(metrics))
    return verdict(metrics)


def write_samples(samples: list[Scores], params: Params, images: int) -> None:
    """Write the bootstrap samples, so that other revisions can be compared with this one (`zerostart.report`)."""
    paired_by = {
        "dataset": params.dataset,
        "test": hashlib.sha256(TEST.read_bytes()).hexdigest(),
        "images": images,
        "seed": SEED,
        "samples": params.bootstrap_samples,
        "lambdas": params.lambdas.model_dump(),
    }
    by_detector = {name: to_json(scores) for name, scores in zip(DETECTORS, samples, strict=True)}
    write_json(METRICS / "bootstrap.json", paired_by | by_detector, digits=5)


def write_critical_objects(split: Split, reports: dict[str, Report], critical: list[str], raw: Path) -> None:
    """List the critical objects, and draw those that only one of the detectors finds."""
    files = {image["id"]: image["file_name"] for image in split.ground_truth["images"]}

    def open_image(image_id: int) -> Image.Image:
        path = raw / files[image_id]
        if not path.is_file():
            raise InputError(f"{path}: no such file; {TEST} lists it as image {image_id}")
        return open_rgb(path)

    points = {name: report.point for name, report in reports.items()}
    write_csv(PLOTS / "critical_objects.csv", HEADER, critical_objects(split.evaluator, points, critical, files))
    titles = ("Critical objects that only the refined detector finds", "Critical objects that only the baseline finds")
    found = changes(split.evaluator, split.logits, points, critical)
    for name, title, objects in zip(("won", "lost"), titles, found, strict=True):
        with output_file(PLOTS / "images" / f"{name}.png") as path:
            draw_changes(objects, title, open_image).save(path)


if __name__ == "__main__":
    run_stage(main)
