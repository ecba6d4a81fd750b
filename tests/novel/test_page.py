"""The verdict follows the numbers."""

import numpy as np
import pytest

from zerostart.novel.page import LABELS, above_in_each, best_control, head_room, verdict, zero_shot_rows


def table(**values):
    """Constant AP50 of every arm in 3 seeds, 4 kinds and 200 resamples, with a little noise."""
    rng = np.random.default_rng(0)
    means = dict.fromkeys(LABELS, 0.1) | {name.replace("_", " "): value for name, value in values.items()}
    return {arm: mean + rng.normal(0, 0.01, (3, 4, 201)) for arm, mean in means.items()}


REAL = {"real, captions": 0.7, "attributes": 0.7, "bag, captions": 0.7, "real, together": 0.4}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "language helps: AP50 0.7"),
        ({"objectness": 0.9}, "language does harm"),
        ({"attributes": 0.1}, "these data cannot answer; the facts themselves are"),
    ],
)
def test_the_verdict_follows_the_interval_and_the_head_room(changed, said):
    assert said in verdict({"4 kinds": table(**REAL | changed)}, [])


def test_the_best_control_knows_nothing_of_the_meaning():
    one = table(**REAL | {"nearest known class": 0.3})
    assert best_control(one) == "nearest known class"
    assert above_in_each(one, "nearest known class") == 4 and above_in_each(one, "attributes") < 4
    assert head_room(one)[1]


def test_every_difference_is_corrected_for_their_number():
    rows = {row["arm"]: row for row in zero_shot_rows(table(**REAL))}
    assert set(rows) == set(LABELS) and "difference" not in rows["real, captions"]
    assert rows["shuffled"]["p"] < 1e-6 < 0.05 < rows["attributes"]["p"]
