"""Figures for a paper, from the committed results alone: `python -m zerostart.figures FOLDER [--dataset NAME]`.

Forest plot and label efficiency of each ablation, confusion matrices before and after, precision against recall by class; each
as PDF (its text stays text) and PNG, the same bytes on every run of one machine.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from zerostart.errors import InputError, run_stage
from zerostart.outputs import check_output_folder, output_folder

Rows = list[dict[str, str]]

ABLATIONS = Path("plots/ablation")
CONFUSION = {"frozen detector": "plots/confusion_baseline.csv", "refined": "plots/confusion_refined.csv"}
CURVES = "plots/pr.csv"
GROUPS = {"text": "#0072b2", "control text": "#d55e00", "no text": "#009e73", "variant": "#777777"}
"""Colours of Okabe and Ito, told apart by most kinds of colour vision."""
ANOTHER_GROUP = "#cc79a7"
DETECTORS = {"baseline": ("frozen detector", "#777777"), "refined": ("refined", "#0072b2")}
COLUMN, PAGE = 3.4, 7.0
"""Widths of a column and of a page, in inches."""
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,  # TrueType: text can be searched, and journals take it
    "savefig.dpi": 300,
}


def forest(rows: Rows) -> Figure:
    """Each arm's difference to the frozen detector and to the arm without text, with 95 % intervals over seeds and images."""
    figure = _figure(PAGE, 0.9 + 0.17 * len(rows))
    axes = figure.subplots(1, 2, sharey=True)
    height = np.arange(len(rows))[::-1]
    for ax, other, title in zip(axes, ("baseline", "no_text"), ("to the frozen detector", "to no text"), strict=True):
        ax.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        for row, y in zip(rows, height, strict=True):
            low, mean, high = (float(row[f"vs_{other}{end}"]) for end in ("_low", "", "_high"))
            ax.plot([low, high], [y, y], color=_colour(row["group"]), solid_capstyle="butt")
            ax.plot(mean, y, "o", color=_colour(row["group"]), markersize=3.5)
        ax.set(title=f"difference {title}", xlabel="composite, 95 % interval", ylim=(-0.7, len(rows) - 0.3))
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.locator_params(axis="x", nbins=5)
    axes[0].set_yticks(height, [row["arm"] for row in rows])
    groups = dict.fromkeys(row["group"] for row in rows)
    handles = [axes[0].plot([], [], "o-", color=_colour(name), markersize=3.5, label=name)[0] for name in groups]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def label_efficiency(rows: Rows) -> Figure:
    """The composite against the share of the training images that the refinement sees, by arm."""
    figure = _figure(COLUMN, 2.5)
    ax = figure.subplots()
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    for place, arm in enumerate(arms):
        points = sorted((row for row in rows if row["arm"] == arm), key=lambda row: float(row["fraction"]))
        x = np.array([100 * float(row["fraction"]) for row in points]) * 1.05 ** (place - (len(arms) - 1) / 2)  # side by side
        low, mean, high = (np.array([float(row[f"vs_baseline{end}"]) for row in points]) for end in ("_low", "", "_high"))
        colour = _colour(points[0]["group"])
        ax.errorbar(x, mean, [mean - low, high - mean], fmt="o-", color=colour, markersize=3.5, elinewidth=0.9, label=arm)
    ax.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    ax.set_xscale("log")
    shares = sorted({100 * float(row["fraction"]) for row in rows})
    ax.set_xticks(shares, [f"{share:g}" for share in shares])
    ax.minorticks_off()
    ax.set(xlabel="training images, %", ylabel="composite, difference to\nthe frozen detector")
    figure.legend(loc="outside upper center", ncols=len(arms))
    return figure


def confusion(matrices: dict[str, Rows]) -> Figure:
    """Counts at each detector's own threshold, before and after; the colour is the share of the actual class."""
    names = list(dict.fromkeys(row["actual"] for row in next(iter(matrices.values()))))
    figure = _figure(PAGE, 1.3 + 0.3 * len(names))
    axes = figure.subplots(1, len(matrices), sharey=True)
    for ax, (title, rows) in zip(axes, matrices.items(), strict=True):
        counts = np.zeros((len(names), len(names)))
        for row in rows:
            counts[names.index(row["actual"]), names.index(row["predicted"])] = float(row["count"])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        shares[[name == "background" for name in names]] = 0  # boxes where nothing is: a share of no objects
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        for (actual, predicted), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[actual, predicted] > 0.5 else "black"
                ax.text(predicted, actual, f"{count:.0f}", ha="center", va="center", fontsize=7, color=colour)
        ax.set(title=title, xlabel="predicted")
        ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylabel("actual")
    return figure


def precision_recall(rows: Rows) -> Figure:
    """Precision against recall at IoU 0.50, a panel for each class, before and after."""
    classes = list(dict.fromkeys(row["class"] for row in rows))
    columns = min(3, len(classes))
    lines = -(-len(classes) // columns)
    figure = _figure(PAGE, 0.6 + 1.6 * lines)
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(classes) :]:
        ax.remove()
    for ax, name in zip(axes.flat[: len(classes)], classes, strict=True):
        for detector, (label, colour) in DETECTORS.items():
            points = [row for row in rows if row["class"] == name and row["detector"] == detector]
            ax.plot(*([float(row[axis]) for row in points] for axis in ("recall", "precision")), color=colour, label=label)
        ax.set(title=name, xlim=(0, 1.01), ylim=(0, 1.03))
    for ax in axes[-1]:
        ax.set_xlabel("recall")
    for ax in axes[:, 0]:
        ax.set_ylabel("precision")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(DETECTORS))
    return figure


def _colour(group: str) -> str:
    return GROUPS.get(group, ANOTHER_GROUP)


def _figure(width: float, height: float) -> Figure:
    """Without pyplot: no window, no state, whatever backend is chosen."""
    return Figure((width, height), layout="constrained")


def read(path: str | Path) -> Rows:
    """The rows of a CSV file; raises InputError when it is missing or empty."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the figures are drawn from the results that git keeps") from None
    if not rows:
        raise InputError(f"{path}: no rows; a table of results is expected")
    return rows


def drawn(function: Callable[..., Figure], *sources: str | Path) -> Figure:
    """A figure from the tables of `sources`; raises InputError naming the file with a wrong column or value."""
    tables = [read(path) for path in sources]
    names = ", ".join(map(str, sources))
    try:
        return function(dict(zip(CONFUSION, tables, strict=True)) if function is confusion else tables[0])
    except KeyError as error:
        raise InputError(f"{names}: no column {error}; the table as its stage writes it is expected") from None
    except ValueError as error:
        raise InputError(f"{names}: {error}; the table as its stage writes it is expected") from None


def save(figure: Figure, path: Path) -> None:
    """PDF and PNG without the date and the version of matplotlib in them."""
    figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None, "Producer": None, "Creator": None})
    figure.savefig(path.with_suffix(".png"), metadata={"Software": None})


def main() -> str:
    parser = argparse.ArgumentParser(prog="python -m zerostart.figures", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", help="a new folder, or one that this command wrote")
    parser.add_argument("--dataset", help="one ablation only (default: all that are there)")
    arguments = parser.parse_args()
    check_output_folder(arguments.folder)
    datasets = [arguments.dataset] if arguments.dataset else sorted(path.parent.name for path in ABLATIONS.glob("*/forest.csv"))
    if not datasets:
        raise InputError(f"{ABLATIONS}: no forest.csv in any folder; `make ablation DATASET=synthetic` writes one")
    with matplotlib.rc_context(STYLE):
        figures = {
            "confusion": drawn(confusion, *CONFUSION.values()),
            "precision_recall": drawn(precision_recall, CURVES),
        }
        for name in datasets:
            figures[f"forest_{name}"] = drawn(forest, ABLATIONS / name / "forest.csv")
            figures[f"label_efficiency_{name}"] = drawn(label_efficiency, ABLATIONS / name / "label_efficiency.csv")
        with output_folder(arguments.folder) as folder:
            for name, figure in figures.items():
                save(figure, folder / name)
    return f"{arguments.folder}: {', '.join(figures)}; each as PDF and PNG"


if __name__ == "__main__":
    run_stage(main)
