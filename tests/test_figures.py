"""Figures: drawn from the committed tables alone, the same bytes twice, what they show, and what is missing in one sentence."""

import shutil
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from zerostart import figures
from zerostart.errors import InputError

matplotlib.use("Agg")
ROOT = Path(__file__).parents[1]
SOURCES = ("plots/confusion_baseline.csv", "plots/confusion_refined.csv", "plots/pr.csv", "plots/ablation/synthetic/forest.csv")
EFFICIENCY = "plots/ablation/synthetic/label_efficiency.csv"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The committed tables of one ablation, as a working directory."""
    for name in (*SOURCES, EFFICIENCY):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, *arguments) -> str:
    monkeypatch.setattr(sys, "argv", ["figures", *map(str, arguments)])
    return figures.main()


def test_every_figure_as_pdf_and_png_with_the_same_bytes_twice(clone, monkeypatch):
    assert run(monkeypatch, "one").startswith("one: confusion, precision_recall, forest_synthetic, label_efficiency_synthetic")
    run(monkeypatch, "two")
    names = [path.name for path in sorted(Path("one").iterdir()) if not path.name.startswith(".")]
    assert names == sorted(
        f"{name}.{kind}"
        for name in ("confusion", "precision_recall", "forest_synthetic", "label_efficiency_synthetic")
        for kind in ("pdf", "png")
    )
    for name in names:
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
        if name.endswith(".png"):
            assert np.asarray(Image.open(Path("one", name)).convert("L")).std() > 5
        else:
            assert b"/CreationDate" not in Path("one", name).read_bytes()


def test_the_forest_shows_the_means_of_the_table():
    rows = figures.read(ROOT / SOURCES[3])
    axes = figures.forest(rows).axes
    for ax, other in zip(axes, ("baseline", "no_text"), strict=True):
        shown = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
        assert shown == [float(row[f"vs_{other}"]) for row in rows]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == [row["arm"] for row in rows]


def test_the_confusion_matrices_show_the_counts():
    tables = {title: figures.read(ROOT / path) for title, path in figures.CONFUSION.items()}
    for ax, rows in zip(figures.confusion(tables).axes, tables.values(), strict=True):
        names = [label.get_text() for label in ax.get_xticklabels()]
        shown = {(names[round(t.get_position()[1])], names[round(t.get_position()[0])]): t.get_text() for t in ax.texts}
        assert shown == {(row["actual"], row["predicted"]): row["count"] for row in rows if row["count"] != "0"}


def test_a_panel_for_each_class_and_a_curve_for_each_detector():
    rows = figures.read(ROOT / SOURCES[2])
    axes = figures.precision_recall(rows).axes
    assert [ax.get_title() for ax in axes] == list(dict.fromkeys(row["class"] for row in rows))
    fracture = next(ax for ax in axes if ax.get_title() == "fracture")
    for line, detector in zip(fracture.lines, ("baseline", "refined"), strict=True):
        expected = [float(row["precision"]) for row in rows if row["class"] == "fracture" and row["detector"] == detector]
        assert list(line.get_ydata()) == expected


@pytest.mark.parametrize(
    ("missing", "arguments", "message"),
    [
        ("plots/pr.csv", [], "plots/pr.csv: no such file"),
        (EFFICIENCY, [], f"{EFFICIENCY}: no such file"),
        (SOURCES[3], [], "plots/ablation: no forest.csv in any folder; `make ablation"),
        ("", ["--dataset", "other"], "plots/ablation/other/forest.csv: no such file"),
    ],
)
def test_what_is_missing_is_named_and_nothing_written(clone, monkeypatch, missing, arguments, message):
    if missing:
        Path(missing).unlink()
    with pytest.raises(InputError, match=message):
        run(monkeypatch, "out", *arguments)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "plots/pr.csv: no rows"),
        ("class,detector,recall\na,baseline,0\n", "plots/pr.csv: no column 'precision'"),
        ("class,detector,recall,precision\na,baseline,0,high\n", "plots/pr.csv: could not convert string to float: 'high'"),
    ],
)
def test_a_damaged_table_is_named(clone, monkeypatch, text, message):
    Path("plots/pr.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        run(monkeypatch, "out")


def test_a_folder_of_somebody_else_is_refused(clone, monkeypatch):
    with pytest.raises(InputError, match="which no command of zerostart wrote there"):
        run(monkeypatch, "plots")
