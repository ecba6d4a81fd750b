"""The report as Markdown that reads the same on a screen, in a pull request and on the page."""

import json
from collections.abc import Iterable
from typing import Any

from zerostart.evaluation.verdict import METRICS
from zerostart.review.changed_objects import Change, Changes, by_class
from zerostart.review.differences import Differences, Values
from zerostart.review.judgement import METRICS_FILE, Evaluation

LISTED = 30
"""Objects listed by name."""

MEANING = {
    "mAP": "COCO AP@[.50:.95], mean over the classes",
    "AP50": "AP at IoU 0.50",
    "AP75": "AP at IoU 0.75",
    "AR_critical": "COCO AR@[.50:.95], mean over the critical classes",
    "composite": "weighted sum of mAP and AR_critical: what is optimised",
    "mAP_without_normal": "mAP over the defects only",
    "critical_recall": "share of the critical defects found at the detector's own threshold",
    "calibration_error": "how far confidence is from precision; lower is better",
}


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the cells are Markdown themselves."""
    lines = [list(header), ["---"] * len(list(header)), *map(list, rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def code(value: Any) -> str:
    """A value as a code span, safe inside a table; a dash for None."""
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{' '.join(text.split()).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def plain(text: str) -> str:
    """A text in which no Markdown, HTML or @mention acts."""
    return "".join(f"&#{ord(c)};" if c in "<>&`*[]|@\\" or not c.isprintable() else c for c in text)


def number(value: Any) -> str:
    """Four decimals for a float, as it is otherwise."""
    return f"{value:.4f}" if isinstance(value, float) else code(value)


def introduction(evaluations: list[Evaluation]) -> str:
    """What a reader needs to know who has never seen the project."""
    known = [e.samples for e in evaluations if e.samples]
    weights = f"{known[0].lambdas.map:g}·mAP + {known[0].lambdas.ar_critical:g}·AR_critical, " if known else ""
    return (
        f"How to read this: a trained detector is frozen and refined with words, and the refined one is judged on test images "
        f"that no training has seen; all numbers below are its. The composite is {weights}the higher the better. The interval "
        f"covers the choice of the test images, not of the training seed.\n"
    )


def parameters(differences: Differences, names: list[str]) -> str:
    """The parameters that differ, what else differs that the stages start from, and the changed words."""
    rows = [(code(name), *map(code, values)) for (_, name), values in differences.params.items()]
    parts = ["## What was changed\n", table(["parameter", *names], rows) if rows else "No parameter differs.\n"]
    if differences.dependencies:
        parts.append(f"Other inputs of the experiment that differ: {', '.join(map(code, differences.dependencies))}.\n")
    parts += [
        f"Prompts and cards, from {names[0]} to {name}:\n\n{fenced(text)}"
        for name, text in zip(names[1:], differences.texts, strict=True)
        if text
    ]
    return "\n".join(parts)


def fenced(text: str) -> str:
    """A diff as a code block that its own content cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}diff\n{text}\n{fence}\n"


def metrics(values: Values, names: list[str], comparable: list[bool]) -> str:
    """The metrics of all revisions, with the differences of those that may be subtracted."""
    header = ["metric", names[0]]
    for name, may_subtract in zip(names[1:], comparable, strict=True):
        header += [name, "difference"] if may_subtract else [name]
    rows = []
    for metric in METRICS:
        if (METRICS_FILE, metric) in values:
            rows.append([f"{metric}", *_metric_cells(values[METRICS_FILE, metric], comparable), MEANING[metric]])
    return f"## Metrics\n\n{table([*header, 'what it is'], rows) if rows else f'No revision has {METRICS_FILE}.'}\n"


def other_metrics(values: Values, names: list[str]) -> str:
    """The remaining metrics of all stages, where they differ."""
    rows = [
        (code(f"{file.removeprefix('metrics/').removesuffix('.json')}: {name}"), *map(number, found))
        for (file, name), found in values.items()
        if any(value != found[0] for value in found) and not _derived(file, name)
    ]
    return f"## Other metrics that differ\n\n{table(['file: metric', *names], rows) if rows else 'None.'}\n"


def _metric_cells(values: list[float | None], comparable: list[bool]) -> list[str]:
    old, *news = values
    cells = [number(old)]
    for new, may_subtract in zip(news, comparable, strict=True):
        cells.append(number(new))
        if may_subtract:
            cells.append("–" if old is None or new is None else f"{round(new - old, 4) + 0.0:+.4f}")
    return cells


def _derived(file: str, name: str) -> bool:
    """Whether a metric stands in the table above already, or says only how sure the evaluation itself is."""
    return file == METRICS_FILE and (name in METRICS or name.startswith(("interval.", "delta.", "composite_steps.")))


def objects(changes: Changes, base: str, other: str, pictures: dict[str, str]) -> str:
    """Won and lost critical objects; pictures: `won` and `lost` -> file, where they could be drawn."""
    parts = [f"### From {base} to {other}\n"]
    for kind, found in changes._asdict().items():
        finder, misser = (other, base) if kind == "won" else (base, other)
        parts.append(f"**{kind}**, found by {finder} and missed by {misser}: {plain(by_class(found))}\n")
        if found:
            parts.append(f"![{kind}: {other}]({pictures[kind]})\n" if kind in pictures else _listed(found))
    return "\n".join(parts)


def _listed(found: list[Change]) -> str:
    more = [f"- ... and {len(found) - LISTED} more"] if len(found) > LISTED else []
    return "\n".join([*(f"- {plain(change.where)}" for change in found[:LISTED]), *more, ""])
