"""Quotes: every kind of mark is filled in, claims are held to the numbers, and a mark that cannot be followed is named."""

import json
import re
import sys

import pytest

from zerostart import quotes
from zerostart.errors import InputError
from zerostart.quotes import Quoted, filled, formatted, holds, look_up, unquoted_numbers

METRICS = {
    "mAP": 0.5,
    "alpha_0.1": {"mAP": 0.25},
    "step": {"delta": -0.0123, "low": -0.02, "high": 0.001},
    "points": {"value": -0.139, "interval": [-0.15, -0.12]},
    "hd": {"mAP": 0.8, "intervals": {"mAP": [0.7, 0.9]}},
    "count": 7,
    "sentence": "It is faster.",
}
FOREST = "arm,group,gain,gain_low,gain_high\nreal words,text,0.1,-0.1,0.3\nnone,text,0.25,0.2,0.3\n"


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    (tmp_path / "forest.csv").write_text(FOREST)
    (tmp_path / "table.md").write_text("Words help.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("metrics.json mAP .2f", "0.50"),
        ("metrics.json mAP 100*.0f", "50"),
        ("metrics.json alpha_0.1.mAP .2f", "0.25"),
        ("metrics.json step +.3f", "-0.012 [-0.020, +0.001]"),
        ("metrics.json points 100*.1f", "-13.9 [-15.0, -12.0]"),
        ("metrics.json points.value -100*.1f", "13.9"),
        ("metrics.json hd.mAP[] .1f", "0.8 [0.7, 0.9]"),
        ("metrics.json hd.intervals.mAP .1f", "[0.7, 0.9]"),
        ("metrics.json count d", "7"),
        ("metrics.json sentence", "It is faster."),
        ("short mAP .2f", "0.50"),
        ("forest.csv gain[]?arm=none&group=text .2f", "0.25 [0.20, 0.30]"),
        ("forest.csv sum(gain)?group=text .2f", "0.35"),
        ("forest.csv gain?gain_low=0.20 .2f", "0.25"),
    ],
)
def test_a_value_is_filled_in(root, mark, expected):
    page = f"<!-- files: short=metrics.json -->\n\nIt is <!--= {mark}-->old<!--/-->, so.\n"
    assert filled(page, "README.md", root) == (page.replace(">old<", f">{expected}<"), [])


def test_lines_are_filled_in_and_filling_again_changes_nothing(root):
    page = (
        "Before.\n<!-- from: table.md sentence -->\nold\n<!-- end -->\n\n<!-- from: table.md table -->\n<!-- end -->\nAfter.\n"
    )
    once, problems = filled(page, "README.md", root)
    assert problems == []
    assert once == (
        "Before.\n<!-- from: table.md sentence -->\nWords help.\n<!-- end -->\n\n"
        "<!-- from: table.md table -->\n| a | b |\n|---|---|\n| 1 | 2 |\n<!-- end -->\nAfter.\n"
    )
    assert filled(once, "README.md", root) == (once, [])


def test_a_claim_is_held_to_the_number(root):
    page = "Better.<!--if metrics.json mAP > 0.4-->\nSure.<!--if metrics.json step excludes 0-->\n"
    text, (problem,) = filled(page, "docs/a.md", root)
    assert text == page
    assert problem == (
        f"docs/a.md, line 2: the text says step excludes 0, {root}/metrics.json -0.0123 [-0.02, 0.001]:"
        " the sentence is to be rewritten"
    )
    assert filled(page.replace("excludes", "includes"), "docs/a.md", root)[1] == []


def test_what_holds_by_hand():
    assert holds(Quoted(0.0), "<=", 0)
    assert not holds(Quoted(0.0), "<", 0)
    assert holds(Quoted(None, 0.0, 1.0), "includes", 0)
    assert holds(Quoted(None, 0.1, 1.0), "excludes", 0)
    with pytest.raises(InputError, match="'includes'; <, >"):
        holds(Quoted(0.0), "includes", 0)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (
            "It is <!--= metrics.json mPA .2f-->x<!--/-->.",
            r"README.md, line 1: .*metrics.json: no 'mPA'; there is mAP, alpha_0.1,",
        ),
        ("\n\nIt is <!--= metrics.json hd .2f-->x<!--/-->.", r"line 3: .*'hd' is no number; there is mAP, intervals"),
        ("It is <!--= none.json mAP .2f-->x<!--/-->.", "none.json: no such file; the pages quote it"),
        ("It is <!--= metrics.json mAP-->x<!--/-->.", "a number needs a format"),
        ("It is <!--= metrics.json mAP .2q-->x<!--/-->.", "'.2q' is no format"),
        ("It is <!--= metrics.json mAP[] .2f-->x<!--/-->.", "no interval beside 'mAP'"),
        ("It is <!--= forest.csv gain .2f-->x<!--/-->.", "2 rows for no condition; one is expected"),
        ("It is <!--= forest.csv loss?arm=none .2f-->x<!--/-->.", "no column 'loss'; there is arm, group, gain"),
        ("<!-- from: metrics.json table -->\n<!-- end -->\n", "no part 'table'"),
    ],
)
def test_a_mark_that_cannot_be_followed_is_named_and_keeps_what_it_says(root, page, message):
    text, (problem,) = filled(f"{page} So <!--= metrics.json count d-->x<!--/-->.", "README.md", root)
    assert text == f"{page} So <!--= metrics.json count d-->7<!--/-->."
    assert re.search(message, problem)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!--= metrics.json mAP .2f-->x<!--/--> begins.", "line 1: a line that begins with a mark"),
        ("- <!--= metrics.json mAP .2f-->x<!--/--> begins.", "line 1: a line that begins with a mark"),
        ("It is <!--= metrics.json mAP .2f-->x", "line 1: this mark is not complete, or has no end"),
        ("<!-- from: table.md table -->\n", "line 1: this mark is not complete, or has no end"),
        ("Nothing.\n<!-- end -->\n", "without its beginning"),
    ],
)
def test_a_mark_without_its_end_is_named(root, page, message):
    with pytest.raises(InputError, match=message):
        filled(page, "README.md", root)


def test_numbers_outside_of_marks_are_found():
    page = "By 0.123, 1.5 and v1.2.345; <!--= a b .3f-->0.456<!--/-->.\n<!-- measured: so -->\n| 0.789 |\n<!-- end -->\n"
    assert list(unquoted_numbers(page + "And -0.0010.\n")) == ["0.123", "-0.0010"]


def test_the_command_writes_what_is_old_and_names_what_does_not_hold(root, monkeypatch):
    (root / "docs").mkdir()
    (root / "README.md").write_text("It is <!--= metrics.json mAP .2f-->0.40<!--/-->, high.<!--if metrics.json mAP > 0.6-->\n")
    (root / "docs/a.md").write_text("It is <!--= metrics.json count d-->7<!--/-->.\n")
    monkeypatch.setattr(sys, "argv", ["quotes", "--check"])
    with pytest.raises(InputError, match=r"README.md, line 1: .* > 0.6.*(.|\n)*README.md: other numbers than the files'"):
        quotes.main()
    assert "0.40" in (root / "README.md").read_text()
    monkeypatch.setattr(sys, "argv", ["quotes"])
    with pytest.raises(InputError, match=r"README\.md, line 1: the text says mAP > 0\.6, metrics\.json 0\.5"):
        quotes.main()
    assert ">0.50<" in (root / "README.md").read_text()
    (root / "README.md").write_text("Nothing.\n")
    assert quotes.main() == "2 pages: nothing changed"


def test_a_sentence_needs_no_format():
    assert formatted(Quoted("so"), None) == "so"


def test_a_file_is_looked_up_once_more_when_it_changed(root):
    assert look_up(root / "metrics.json", "mAP").value == 0.5
    (root / "metrics.json").write_text(json.dumps(METRICS | {"mAP": 0.6}))
    assert look_up(root / "metrics.json", "mAP").value == 0.6
