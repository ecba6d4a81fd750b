"""Filters: values and lists, and one sentence that lists what is valid."""

import numpy as np
import pytest
from retrieval_samples import case, cases_table, damaged

from zerostart.errors import InputError
from zerostart.retrieval.index.filters import allowed_cases

ROWS = [
    damaged(0, "dent", "crack", severity="minor"),
    damaged(1, "crack", vehicle_zone="hood_center"),
    case(2, vehicle_zone="unknown"),
    case(3, vehicle_zone="hood_center"),
]
TABLE = cases_table(ROWS)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"vehicle_zone": 2}, [1, 3]),
        ({"vehicle_zone": "2"}, [1, 3]),
        ({"vehicle_zone": ["hood_center", "unknown"]}, [1, 2, 3]),
        ({"has_damage": True}, [0, 1]),
        ({"damage_type": "dent"}, [0]),
        ({"damage_type": ["dent", "crack"]}, [0, 1]),
        ({"severity": "minor"}, [0]),
        ({"severity": "severe"}, []),
        ({"vehicle_zone": 2, "has_damage": False}, [3]),
    ],
)
def test_which_cases_pass(filters, expected):
    assert np.flatnonzero(allowed_cases(TABLE, filters)).tolist() == expected


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"colour": "red"}, "filter 'colour' is unknown; vehicle_zone, has_damage, damage_type, severity are valid"),
        ({"vehicle_zone": 11}, "filter 'vehicle_zone': value 11 is unknown; front_left_fender, hood_center"),
        ({"damage_type": ["dent", "rust"]}, "filter 'damage_type': value 'rust' is unknown; surface_scratch, dent"),
        ({"severity": "high"}, "filter 'severity': value 'high' is unknown; minor, moderate, severe, unknown are valid"),
        ({"has_damage": 1}, "filter 'has_damage': value 1 is unknown; True, False are valid"),
    ],
)
def test_unknown_filters_and_values_list_the_valid_ones(filters, message):
    with pytest.raises(InputError) as caught:
        allowed_cases(TABLE, filters)
    assert str(caught.value).startswith(message)


def test_a_filter_without_a_value_is_refused():
    with pytest.raises(InputError, match=r"^filter 'damage_type' has no value; at least one is expected$"):
        allowed_cases(TABLE, {"damage_type": []})
