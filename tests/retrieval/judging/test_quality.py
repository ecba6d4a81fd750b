"""Ranking measures against scikit-learn and hand calculations; intervals draw photos, not crops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score

from zerostart.retrieval.judging.quality import average_precision, estimate, found_at, precision_at


@given(arrays.arrays(bool, st.tuples(st.integers(1, 5), st.integers(2, 30))))
def test_average_precision_is_scikit_learns(relevant):
    scores = -np.arange(relevant.shape[1])
    for row, found in zip(relevant, average_precision(relevant), strict=True):
        if row.any():
            assert found == pytest.approx(average_precision_score(row, scores))
        else:
            assert np.isnan(found)


def test_precision_and_recall_at_k():
    relevant = np.array([[True, False, True, True], [False, False, False, True]])
    assert precision_at(relevant, 3) == pytest.approx([2 / 3, 0])
    assert found_at(relevant, 3).tolist() == [1, 0]


def test_an_estimate_is_the_mean_and_its_interval_widens_when_crops_are_of_few_photos():
    values = np.tile([0.0, 1.0], 50)
    many = estimate(values, np.arange(100), 500, 0)
    few = estimate(values, np.arange(100) % 10, 500, 0)
    assert many.value == few.value == 0.5
    assert many.low < 0.5 < many.high and few.high - few.low > 2 * (many.high - many.low)
    assert estimate(values, np.arange(100), 500, 0) == many


def test_groups_weigh_the_same_however_many_queries_they_have():
    values = np.array([[1, 1, 1, np.nan], [np.nan, np.nan, np.nan, 0]])
    assert estimate(values, np.arange(4), 200, 0).value == 0.5
