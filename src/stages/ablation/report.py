"""report: table, sentence and plots of a finished grid: `python -m stages.ablation.report DATASET`."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zerostart.ablation.grid import all_cells, read_cell
from zerostart.ablation.params import load_ablation_params
from zerostart.ablation.report import alpha_rows, markdown, table, verdict
from zerostart.errors import dataset_argument, run_stage
from zerostart.outputs import stage_folder, write_json, write_records
from zerostart.vega import draw

SPECIFICATIONS = Path("pipelines/ablation/plots")


def main() -> str:
    dataset = dataset_argument()
    params = load_ablation_params()
    folder = Path("data/ablation") / dataset / "cells"
    cells = {cell: read_cell(folder, cell) for cell in all_cells(params)}
    with np.load(folder / "baseline.npz") as arrays:
        baseline = dict(arrays)
    rows = table(cells, baseline)
    sentence = verdict(cells, baseline)
    paths = alpha_rows(cells, (params.experiment.epochs.warmup, params.experiment.epochs.head))
    with stage_folder(f"plots/ablation/{dataset}") as plots:
        (plots / "table.md").write_text(f"{sentence}\n\n{markdown(rows, baseline)}", encoding="utf-8")
        all_images = [row for row in rows if row["fraction"] == 1]
        few_labels = [row for row in rows if row["arm"] in params.fraction_arms]
        for name, title, chosen in (
            ("forest", f"{dataset}: composite on test, difference to the frozen detector", all_images),
            ("label_efficiency", f"{dataset}: difference to the frozen detector by share of the labels", few_labels),
            ("alpha", f"{dataset}: alpha, at the learning rates chosen on val", paths),
        ):
            write_records(plots / f"{name}.csv", chosen)
            draw(SPECIFICATIONS / f"{name}.json", read_rows(plots / f"{name}.csv"), title, plots / f"{name}.png")
    metrics = {row["arm"]: {key: row[key] for key in ("composite", "vs_baseline", "vs_no_text")} for row in all_images}
    write_json(f"metrics/ablation_{dataset}.json", {"verdict": sentence, "arms": metrics})
    return f"{dataset}: {sentence} See plots/ablation/{dataset}"


def read_rows(path: Path) -> list[dict[str, Any]]:
    return pd.read_csv(path).to_dict("records")


if __name__ == "__main__":
    run_stage(main)
