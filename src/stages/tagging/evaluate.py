"""evaluate: both engines on both tests, before and after adaptation, against the references.

`python -m stages.tagging.evaluate DATASET`. The test splits are read here and nowhere else.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from zerostart.detector.coco import load_official_detector
from zerostart.errors import dataset_argument, run_stage
from zerostart.metrics.calibration import reliability
from zerostart.outputs import output_file, write_csv, write_json, write_records
from zerostart.tagging.answer.rules import ENGINES, Rules, load_rules
from zerostart.tagging.answer.windows import WINDOWS, merged, stored_window_scores
from zerostart.tagging.cards import load_tag_card
from zerostart.tagging.engine.phases import DOMAINS, open_domains, open_engine
from zerostart.tagging.judging.auto import judge_auto
from zerostart.tagging.judging.coco_reference import class_columns, detector_scores
from zerostart.tagging.judging.judged import Judged, confusion, difference, most_frequent_tags, recall_by_size, report, verdict
from zerostart.tagging.judging.result_table import result_table
from zerostart.tagging.judging.scores import best_thresholds, tag_metrics
from zerostart.tagging.judging.sheets import sheet
from zerostart.tagging.params import TaggingParams, load_tagging_params
from zerostart.tagging.pictures.store import ImageStore

SHOWN = 12
"""Photos on the contact sheet."""
Results = dict[tuple[str, str, int], Judged]
"""(domain, engine, number of windows) -> scores on test."""


def main() -> str:
    dataset = dataset_argument()
    params = load_tagging_params(dataset)
    torch.set_num_threads(params.threads)
    stores = open_domains(dataset)
    rules, home = load_rules(f"models/tagging/{dataset}/rules")
    models = {engine: open_engine(dataset, engine, rules.tags) for engine in ENGINES}
    results: Results = {}
    for domain, store in stores.items():
        test = store.of_split("test")
        for engine, (model, size) in models.items():
            looks = (1, len(WINDOWS)) if domain == "real" else (1,)  # nothing is small in an academic picture
            seen = stored_window_scores(model, store, test, size, max(looks), rules.tiling.overlap)
            for windows in looks:
                scores = merged(seen[:, :windows], rules.tiling.merge)
                results[domain, engine, windows] = Judged(scores, rules.chosen(engine, windows), store.targets[test])
    reports = {
        domain: {
            engine: report(results[domain, engine, 1], rules.tags, params.bootstrap_samples, params.seed) for engine in ENGINES
        }
        for domain in DOMAINS
    }
    samples, seed = params.bootstrap_samples, params.seed
    change = {
        domain: difference(results[domain, "hd", 1], results[domain, "standard", 1], rules.tags, samples, seed, paired=True)
        for domain in DOMAINS
    }
    gap = {
        engine: difference(results["academic", engine, 1], results["real", engine, 1], rules.tags, samples, seed, paired=False)
        for engine in ENGINES
    }
    references = _references(dataset, stores, params)
    suited = _suited(models, results, stores, rules)
    suited_reports = {
        domain: {engine: report(suited[domain, engine], rules.tags, samples, seed) for engine in ENGINES} for domain in DOMAINS
    }
    suited_change = {
        domain: difference(suited[domain, "hd"], suited[domain, "standard"], rules.tags, samples, seed, paired=True)
        for domain in DOMAINS
    }
    sentence = verdict(reports, suited_reports, suited_change)
    write_json(
        f"metrics/tagging/{dataset}/evaluate.json",
        {
            "verdict": sentence,
            "whole": reports,
            "adaptation": change,
            "gap": gap,
            "references": references,
            "suited_thresholds": {"whole": suited_reports, "adaptation": suited_change},
            "thresholds": _thresholds(results, rules),
            "tiling": _tiling(results, stores["real"], rules.tags),
            "auto": judge_auto(models, rules, home, stores),
        },
    )
    _write_table(dataset, results, reports, suited_reports, references, rules.tags, params)
    _write_plots(dataset, results, rules.tags)
    _write_sheet(dataset, results, stores["real"], rules.tags)
    return f"{dataset}: {sentence}"


def _references(dataset: str, stores: dict[str, ImageStore], params: TaggingParams) -> dict[str, Any]:
    """Each domain's most frequent tags; on photos also the COCO detector, with thresholds chosen on val like the engines'."""
    found: dict[str, Any] = {}
    for domain, store in stores.items():
        constant = most_frequent_tags(store.targets[store.of_split("train")], store.targets[store.of_split("test")])
        found[f"most_frequent_{domain}"] = report(constant, store.tags, params.bootstrap_samples, params.seed)
    if params.coco_detector is None:
        return found
    card, store = load_tag_card(dataset), stores["real"]
    detector, columns = load_official_detector(params.coco_detector), class_columns(card)
    size = detector.config.eval_size[0]
    val, test = (store.of_split(split) for split in ("val", "test"))
    limits = best_thresholds(detector_scores(detector, size, columns, store, val), store.targets[val], 0.5)
    judged = Judged(detector_scores(detector, size, columns, store, test), limits, store.targets[test])
    found["coco_detector_real"] = report(judged, store.tags, params.bootstrap_samples, params.seed)
    return found


def _suited(
    models: Mapping[str, tuple[nn.Module, int]], results: Results, stores: dict[str, ImageStore], rules: Rules
) -> dict[tuple[str, str], Judged]:
    """(domain, engine): whole test pictures, with thresholds that were chosen on val of that same domain.

    The thresholds in use are those of the domain that an engine is made for. A difference between the engines on one domain is
    then in part one of thresholds; here it is not.
    """
    found = {}
    for domain, store in stores.items():
        val = store.of_split("val")
        for engine, (model, size) in models.items():
            scores = merged(stored_window_scores(model, store, val, size, 1, rules.tiling.overlap), rules.tiling.merge)
            limits = best_thresholds(scores, store.targets[val], rules.thresholds[engine].published)
            found[domain, engine] = results[domain, engine, 1]._replace(thresholds=limits)
    return found


def _thresholds(results: Results, rules: Rules) -> dict[str, Any]:
    """Each engine on each domain (whole pictures), at the thresholds in use and at the published ones."""
    table: dict[str, Any] = {}
    for engine in ENGINES:
        published = rules.thresholds[engine].published
        for domain in DOMAINS:
            judged = results[domain, engine, 1]
            for name, limits in (
                ("in_use", judged.thresholds),
                (f"published_{published}", np.full(len(rules.tags), published)),
            ):
                table.setdefault(engine, {}).setdefault(domain, {})[name] = _brief(
                    judged._replace(thresholds=limits), rules.tags
                )
    return table


def _tiling(results: Results, store: ImageStore, tags: tuple[str, ...]) -> dict[str, Any]:
    """Photos seen whole and in six windows: the metrics, and recall and false alarms by object size where boxes are known."""
    areas = store.areas[store.of_split("test")]
    table: dict[str, Any] = {}
    for engine in ENGINES:
        for windows in (1, len(WINDOWS)):
            judged = results["real", engine, windows]
            row = _brief(judged, tags) | ({"by_size": recall_by_size(judged, areas)} if areas.any() else {})
            table.setdefault(engine, {})[f"windows_{windows}"] = row
    return table


def _brief(judged: Judged, tags: tuple[str, ...]) -> dict[str, float]:
    metrics = tag_metrics(*judged.by_threshold(), tags)
    return {name: metrics[name] for name in ("subset_accuracy", "macro_F1", "micro_F1", "mAP", "ECE")}


def _write_table(
    dataset: str,
    results: Results,
    reports: dict,
    suited: dict,
    references: dict,
    tags: tuple[str, ...],
    params: TaggingParams,
) -> None:
    """The verdict and the table that the documentation quotes."""
    rows = []
    for engine in ENGINES:
        six = report(results["real", engine, len(WINDOWS)], tags, params.bootstrap_samples, params.seed)
        rows.append((f"`{engine}`", reports["real"][engine], reports["academic"][engine]))
        rows.append((f"`{engine}`, thresholds of each column's val", suited["real"][engine], suited["academic"][engine]))
        rows.append((f"`{engine}`, six windows", six, None))
    rows.append(("most frequent tags", references["most_frequent_real"], references["most_frequent_academic"]))
    if "coco_detector_real" in references:
        rows.append(("COCO detector", references["coco_detector_real"], None))
    with output_file(f"plots/tagging/{dataset}/table.md") as path:
        path.write_text(result_table(rows), encoding="utf-8")


def _write_plots(dataset: str, results: Results, tags: tuple[str, ...]) -> None:
    folder = f"plots/tagging/{dataset}"
    for engine in ENGINES:
        rows = confusion(results["real", engine, 1], tags)
        write_csv(f"{folder}/confusion_{engine}.csv", ("actual", "predicted", "count"), rows)
    bars = [
        {"tag": tag, "detector": engine, "F1": numbers["F1"]}
        for engine in ENGINES
        for tag, numbers in tag_metrics(*results["real", engine, 1].by_threshold(), tags)["per_tag"].items()
    ]
    curves = [
        {"detector": engine, "confidence": bin.confidence, "precision": bin.precision, "count": bin.count}
        for engine in ENGINES
        for bin in reliability(results["real", engine, 1].scores.ravel(), results["real", engine, 1].targets.ravel() > 0)
    ]
    for name, rows in (("per_tag", bars), ("calibration", curves)):
        write_records(f"{folder}/{name}.csv", rows)


def _write_sheet(dataset: str, results: Results, store: ImageStore, tags: tuple[str, ...]) -> None:
    """The first test photos with what each engine says, seen whole."""
    given = {engine: results["real", engine, 1].predicted for engine in ENGINES}
    test = store.of_split("test")[:SHOWN]
    page = sheet(store.images(test), given, store.targets[test], tags)
    with output_file(f"plots/tagging/{dataset}/photos.png") as path:
        page.save(path, format="PNG")


if __name__ == "__main__":
    run_stage(main)
