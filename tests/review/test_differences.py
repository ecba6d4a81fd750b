"""Tables of what differs, and the objects won and lost, by hand."""

import pytest

from zerostart.evaluation.critical_objects import CriticalObject
from zerostart.review.changed_objects import by_class, find_changes
from zerostart.review.differences import Differences, side_by_side, starting_points
from zerostart.review.judgement import METRICS_FILE
from zerostart.review.markdown import code, fenced, metrics


def test_diffs_from_one_base_become_one_table():
    first = {"params.yaml": {"tau": {"old": 1, "new": 2}, "mode": {"old": None, "new": "x"}}}
    second = {"params.yaml": {"tau": {"old": 1, "new": None}, "seed": {"old": 0, "new": 3}}}
    assert side_by_side([first, second]) == {
        ("params.yaml", "mode"): [None, "x", None],
        ("params.yaml", "seed"): [0, 0, 3],
        ("params.yaml", "tau"): [1, 2, None],
    }


def test_what_the_stages_start_from():
    lock = """
    stages:
      a: {deps: [{path: words, md5: w1}], outs: [{path: made, md5: m1}]}
      b: {deps: [{path: made, md5: m1}, {path: code.py, md5: c1}]}
    """
    assert starting_points(lock) == {"words": "w1", "code.py": "c1"}
    assert starting_points(None) == {}


def test_each_revision_is_asked_whether_it_differs():
    values = {("params.yaml", "tau"): [1, 1, 2]}
    assert not Differences(values, {}, [], []).changed(1)
    assert Differences(values, {}, [], []).changed(2)
    assert Differences({}, {}, ["data/prompts"], []).changed(1)


def row(image, refined):
    return CriticalObject(image, "crack", "1.00", "2.00", "3.00", "4.00", "", refined)


def test_won_and_lost_between_two_tables():
    base = [row("a", ""), row("b", "0.5"), row("c", "0.7"), row("d", ""), row("e", "")]
    other = [row("a", "0.6"), row("b", ""), row("c", "0.2"), row("d", ""), row("e", "0.8")]
    changes = find_changes(base, other)
    assert [change.base.image for change in changes.won] == ["e", "a"]  # the most certain first
    assert [change.where for change in changes.lost] == ["crack in b at 1.00, 2.00"]
    assert by_class(changes.won) == "2 (2 crack)" and by_class([]) == "none"
    with pytest.raises(ValueError, match="list other objects"):
        find_changes(base, [row("z", ""), *other[1:]])


def test_differences_only_where_they_may_be_taken():
    values = {(METRICS_FILE, "mAP"): [0.5, 0.25, 0.75], (METRICS_FILE, "AP50"): [None, 0.5, 0.5]}
    lines = metrics(values, ["old", "new", "far"], [True, False]).splitlines()
    assert lines[2] == "| metric | old | new | difference | far | what it is |"
    assert lines[4].startswith("| mAP | 0.5000 | 0.2500 | -0.2500 | 0.7500 |")
    assert lines[5].startswith("| AP50 | – | 0.5000 | – | 0.5000 |")


def test_values_cannot_break_the_markdown():
    assert code("a|b`c\nd") == "`a\\|b'c d`"
    assert code(True) == "`true`" and code(None) == "–"
    assert fenced("+```\n+x").startswith("````diff\n")
