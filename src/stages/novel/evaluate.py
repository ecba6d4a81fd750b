"""evaluate: tables, verdict and metrics of what was judged: `python -m stages.novel.evaluate DATASET`."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from zerostart.errors import InputError, dataset_argument, run_stage
from zerostart.novel.intervals import Estimate, estimate
from zerostart.novel.page import (
    LABELS,
    MEANINGLESS,
    ORACLE,
    REAL,
    above_in_each,
    best_control,
    curve_markdown,
    curve_rows,
    each_markdown,
    exclusion_markdown,
    head_room,
    shots_markdown,
    shots_rows,
    verdict,
    zero_shot_markdown,
    zero_shot_rows,
)
from zerostart.novel.params import load_novel_params, of_dataset
from zerostart.outputs import stage_folder, write_json
from zerostart.records import read_json

EACH = (REAL, "real, together", "bag, captions", ORACLE, MEANINGLESS, "objectness", "supervised")


def main() -> str:
    dataset, params = dataset_argument(), load_novel_params()
    folder = Path(f"data/novel/{dataset}/judged")
    names = {
        group: read_names(dataset, group) for group in ("classes", *(["test"] if of_dataset(params, dataset).kinds else []))
    }
    divisions = [f"{first}, {second}" for first, second in combinations(names["classes"], 2)]
    pages, metrics, protocols = [], {}, {}
    if "test" in names:
        table = read_table(folder, "kinds")
        protocols[f"{len(names['test'])} kinds of mark that nobody was shown"] = table
        pages += protocol_page("kinds", f"{len(names['test'])} kinds that nobody was shown", table, names["test"], metrics)
    table = read_table(folder, "divisions")
    protocols[f"two of {len(names['classes'])} classes held out ({len(divisions)} pairs)"] = table
    pages += protocol_page("divisions", "Two classes held out", table, divisions, metrics)
    shots: list[dict[str, Any]] = []
    excluded = None
    if "test" in names:
        shots = shots_rows({count: read_table(folder, f"shots {count}") for count in params.shots})
        curve = curve_rows({count: read_table(folder, f"captions {count}") for count in params.caption_counts})
        near, right = read_table(folder, "near twins removed"), read_table(folder, "right of all kinds")
        pages += ["### A few labelled objects", shots_markdown(shots, estimate(read_table(folder, "kinds")[REAL]))]
        pages += [
            "### Number of captions",
            curve_markdown(curve),
            "### What it cannot do",
            limits(near, right, len(names["test"])),
        ]
        metrics["shots"] = {
            str(row["number"]): {name: numbers(row[name]) for name in ("difference", "of_sentence")} | keyed(row["arms"])
            for row in shots
        }
        excluded = read_table(folder, "exclusion")
        pages += ["### What is no class, ignored", exclusion_markdown(excluded)]
        metrics["exclusion"] = keyed({arm: estimate(values) for arm, values in excluded.items()})
        metrics["exclusion_differences"] = keyed(
            {arm: estimate(values - excluded["nothing ignored"]) for arm, values in excluded.items()}
        )
        metrics["captions"] = {str(row["captions"]): keyed({a: row[a] for a in ("real", "shuffled")}) for row in curve}
    sentence = verdict(protocols, shots, excluded)
    with stage_folder(f"plots/novel/{dataset}") as plots:
        (plots / "page.md").write_text("\n\n".join([sentence, *pages]) + "\n", encoding="utf-8")
    write_json(f"metrics/novel_{dataset}.json", {"verdict": sentence} | metrics)
    return f"{dataset}: {sentence} See plots/novel/{dataset}/page.md"


def protocol_page(key: str, title: str, table: dict[str, np.ndarray], names: list[str], metrics: dict) -> list[str]:
    """Heading, head-room, table and every kind; its numbers go to `metrics`."""
    rows, (errors, enough) = zero_shot_rows(table), head_room(table)
    metrics[key] = keyed({row["arm"]: row["ap50"] for row in rows})
    metrics[f"{key}_differences"] = keyed({row["arm"]: row["difference"] for row in rows if "difference" in row})
    metrics[f"{key}_head_room"] = errors
    metrics[f"{key}_encoder_in_other_wordings"] = numbers(estimate(table["real, together"] - table["bag, together"]))
    control = best_control(table)
    above, above_best = above_in_each(table, MEANINGLESS), above_in_each(table, control)
    metrics[f"{key}_above"] = {"of": len(names), "shuffled": above, "best_control": above_best, "best": slug(control)}
    metrics[f"{key}_best_control"] = {
        "ap50": numbers(estimate(table[control])),
        "gain": numbers(estimate(table[REAL] - table[control])),
    }
    check = (
        f"Head-room: the facts themselves are {errors:.1f} standard errors above shuffled captions"
        f" ({'enough' if enough else 'these data cannot answer'}). The interval of sentence − shuffled captions is above 0 in"
        f" {above} of {len(names)}, that of sentence − best control ({LABELS[control]}) in {above_best}."
    )
    encoder = estimate(table["real, together"] - table["bag, together"]).shown(sign=True)
    check += f" In two other wordings the sentence encoder − bag of words: {encoder}."
    return [f"### {title}", check, zero_shot_markdown(rows), each_markdown(names, table, EACH)]


def limits(near: dict[str, np.ndarray], right: dict[str, np.ndarray], kinds: int) -> str:
    """Near twins removed, and telling the kinds apart."""
    shown = {arm: estimate(near[arm]).shown() for arm in near}
    share = {arm: float(right[arm].mean()) for arm in right}
    return (
        f"With every mark that differs from a kind in one core fact removed from the school as well: sentence {shown[REAL]},"
        f" attribute vector {shown[ORACLE]}, shuffled {shown[MEANINGLESS]}. Which of the {kinds} kinds is it"
        f" (chance {1 / kinds:.3f}): sentence {share[REAL]:.3f}, attribute vector {share[ORACLE]:.3f}, shuffled"
        f" {share[MEANINGLESS]:.3f}."
    )


def read_table(folder: Path, name: str) -> dict[str, np.ndarray]:
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise InputError(f"{path}: no such file; the stage `judge` writes it")
    with np.load(path) as arrays:
        return {arm: arrays[arm].astype(np.float64) for arm in arrays.files}


def read_names(dataset: str, group: str) -> list[str]:
    path = Path(f"data/novel/{dataset}/texts/{group}.json")
    return [one["name"] for one in read_json(path, "the stage `captions` writes it")]


def numbers(one: Estimate) -> dict[str, Any]:
    return {"value": one.value, "interval": [one.low, one.high]}


def keyed(estimates: dict[str, Estimate]) -> dict[str, dict[str, Any]]:
    """By names that a page can quote."""
    return {slug(arm): numbers(one) for arm, one in estimates.items()}


def slug(arm: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", arm)


if __name__ == "__main__":
    run_stage(main)
