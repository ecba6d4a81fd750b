"""What follows from the finished cells of an ablation: a table, and one sentence that is generated from its numbers."""

from typing import Any, NamedTuple

import numpy as np

from zerostart.ablation.arms import ARMS, EQUAL_BY_DESIGN, NO_TEXT, TEXT
from zerostart.ablation.cells import Cell
from zerostart.metrics.bootstrap import seeds_and_images_interval
from zerostart.metrics.resampling import Interval

Arrays = dict[str, np.ndarray]
NO_CONTROL = (EQUAL_BY_DESIGN, "affine")
"""Arms that can say nothing about language: one is equal by design, and a gain and an offset per class leave every ranking, and
so AP, as it was. Both stand in the table."""


class Difference(NamedTuple):
    """Mean difference in composite on test, with its 95 % interval over seeds and images."""

    mean: float
    interval: Interval

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.interval.low:+.4f}, {self.interval.high:+.4f}]"


def difference(first: Arrays, second: Arrays) -> Difference:
    """Of two cells, paired by seed and by resample of the images; or of a cell and the baseline, which has no seeds."""
    values = first["test_composite"] - second["test_composite"]
    return Difference(float(values[:, 0].mean()), seeds_and_images_interval(values[:, 1:], seed=0))


def table(cells: dict[Cell, Arrays], baseline: Arrays) -> list[dict[str, Any]]:
    """One row per cell: its scores on test, and the differences to the baseline and to the arm without text."""
    rows = []
    for cell, arrays in cells.items():
        low, high = seeds_and_images_interval(arrays["test_composite"][:, 1:], seed=0)
        row = {
            "arm": cell.arm,
            "group": ARMS[cell.arm].group,
            "fraction": cell.fraction,
            "lr_scale": float(arrays["scale"]),
            "val_composite": arrays["val_composite"].mean(axis=1).max(),
            "mAP": arrays["test_mAP"][:, 0].mean(),
            "AR_critical": arrays["test_AR_critical"][:, 0].mean(),
            "composite": arrays["test_composite"][:, 0].mean(),
            "low": low,
            "high": high,
        }
        control = cells.get(Cell(NO_TEXT, cell.fraction))
        for name, other in (("baseline", baseline), ("no_text", control)):
            if other is not None:
                mean, (low, high) = difference(arrays, other)
                row |= {f"vs_{name}": mean, f"vs_{name}_low": low, f"vs_{name}_high": high}
        rows.append(row)
    return rows


def verdict(cells: dict[Cell, Arrays], baseline: Arrays) -> str:
    """Does language help? It does if the text arm is above every control (but NO_CONTROL), each with an interval above 0."""
    text = cells[Cell(TEXT, 1.0)]
    controls = [arm for arm, (group, *_) in ARMS.items() if group in ("control text", "no text") and arm not in NO_CONTROL]
    against = {arm: difference(text, cells[Cell(arm, 1.0)]) for arm in controls if Cell(arm, 1.0) in cells}
    beaten = [arm for arm, found in against.items() if found.interval.low > 0]
    better = [arm for arm, found in against.items() if found.interval.high < 0]
    gain = f"Against the baseline: {difference(text, baseline)}."
    if len(beaten) == len(against):
        closest = min(against, key=lambda arm: against[arm].mean)
        return f"Text beats all of its {len(against)} controls, the closest ({closest}) by {against[closest]}. {gain}"
    lead = "No difference to a no-text head" if NO_TEXT not in beaten + better else "Difference to a no-text head"
    parts = [f"{lead}: {against[NO_TEXT]}"]
    parts += [f"text is below {', '.join(better)}"] if better else []
    parts += [f"of its {len(against)} controls text beats {', '.join(beaten) or 'none'}"]
    return f"{'; '.join(parts)}. {gain}"


def markdown(rows: list[dict[str, Any]], baseline: Arrays) -> str:
    """The table of the arms on all images."""
    lines = [
        "| arm | rates × | composite on test | difference to the baseline | difference to no text |",
        "|---|---|---|---|---|",
    ]
    lines.append(f"| baseline (frozen detector) | | {baseline['test_composite'][0]:.4f} | | |")
    for row in rows:
        if row["fraction"] == 1:
            differences = (_interval(row, f"vs_{name}", "+.4f") for name in ("baseline", "no_text"))
            lines.append(f"| {row['arm']} | {row['lr_scale']:g} | {row['composite']:.4f} | {' | '.join(differences)} |")
    return "\n".join(lines) + "\n"


def _interval(row: dict[str, Any], name: str, form: str) -> str:
    mean, low, high = (format(row[f"{name}{end}"], form) for end in ("", "_low", "_high"))
    return f"{mean} [{low}, {high}]"


def alpha_rows(cells: dict[Cell, Arrays], epochs: tuple[int, int]) -> list[dict[str, Any]]:
    """alpha by arm, seed, phase and epoch, for the arms that train one on all images."""
    rows = []
    for cell, arrays in cells.items():
        if cell.fraction != 1 or not np.ptp(arrays["alpha"]):
            continue
        for seed, path in enumerate(arrays["alpha"]):
            phases = zip(("warmup", "head_tuning"), np.split(path, [epochs[0] + 1]), strict=True)
            start = 0
            for phase, values in phases:
                rows += [
                    {"arm": cell.arm, "seed": seed, "phase": phase, "epoch": start + epoch, "alpha": value}
                    for epoch, value in enumerate(values.tolist())
                ]
                start += len(values) - 1
    return rows
