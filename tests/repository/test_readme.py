"""README and docs quote generated results; they must quote the present ones."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = README + "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
TABLES = sorted((ROOT / "plots/ablation").glob("*/table.md"))
TAGGED = sorted((ROOT / "metrics/tagging").glob("*/evaluate.json"))
BENCHMARKS = sorted((ROOT / "bench/results").glob("*.json"))


def test_there_is_something_to_quote():
    assert {path.parent.name for path in TABLES} == {"synthetic", "neu-det"}
    assert {path.parent.name for path in TAGGED} == {"toolbox", "cifar-photos"}
    assert len(BENCHMARKS) >= 6


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_the_ablation_is_quoted(path):
    sentence, _, table = path.read_text(encoding="utf-8").partition("\n\n")
    assert sentence in README
    assert table in README


@pytest.mark.parametrize("path", TAGGED, ids=lambda path: path.parent.name)
def test_tagging_is_quoted(path):
    assert json.loads(path.read_text())["verdict"] in PAGES
    assert (ROOT / "plots/tagging" / path.parent.name / "table.md").read_text(encoding="utf-8") in README


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_the_benchmarks_are_quoted(path):
    assert json.loads(path.read_text())["sentence"] in PAGES


def test_the_last_experiment_is_quoted():
    metrics = json.loads((ROOT / "metrics/evaluate.json").read_text())
    numbers = f"{metrics['baseline']['composite']:>10.4f}{metrics['composite']:>10.4f}{metrics['delta']['composite']:>+10.4f}"
    assert f"composite           {numbers}" in README
