"""The limit above which a picture is not from home, by hand."""

import numpy as np
import pytest

from zerostart.tagging.answer.novelty import best_limit


def test_the_limit_lies_between_the_two():
    assert best_limit(np.array([1.0, 2.0]), np.array([4.0, 8.0])) == 3


def test_both_kinds_count_alike_however_many_there_are():
    """Above 2.5 lie 1 of 4 from home and all 2 away: (3/4 + 1) / 2; above 4.5 (or 6) lie none and 1 of 2: (1 + 1/2) / 2."""
    assert best_limit(np.array([1.0, 1.5, 2.0, 4.0]), np.array([3.0, 5.0])) == 2.5


def test_a_value_at_the_limit_is_from_home():
    """Halfway between neighbouring floats is one of them, the even one: a picture from home lies at the limit itself."""
    home = 1.0 + 2 * np.finfo(float).eps
    away = np.nextafter(home, 2)
    limit = best_limit(np.array([home]), np.array([away, 9.0, 9.0]))
    assert limit == home or limit == pytest.approx((away + 9) / 2)
    assert best_limit(np.array([home, 1.0]), np.array([away])) == home


def test_the_lowest_of_equally_good_limits():
    """2 and 4 are both right about three quarters."""
    assert best_limit(np.array([1.0, 3.0]), np.array([2.5, 5.0])) == 1.75
