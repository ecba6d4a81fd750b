"""Which cases a search may return: filters over their metadata, each a value or a list of values."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zerostart.errors import InputError
from zerostart.retrieval.vocabulary import DAMAGE_TYPES, SEVERITIES, UNKNOWN, ZONES

Value = str | int | bool
Filters = Mapping[str, Value | Sequence[Value]]

VALID: dict[str, tuple[Value, ...]] = {
    "vehicle_zone": (*ZONES.values(), UNKNOWN),
    "has_damage": (True, False),
    "damage_type": DAMAGE_TYPES,
    "severity": (*SEVERITIES, UNKNOWN),
}
"""The filters and their values; `vehicle_zone` takes the numbers 1 to 10 as well. Several values mean any of them."""


def allowed_cases(table: pa.Table, filters: Filters) -> np.ndarray:
    """Which rows of the cases pass all filters (N bool); raises InputError listing what is valid for anything unknown."""
    passed = np.ones(len(table), dtype=bool)
    for name, value in filters.items():
        if name not in VALID:
            raise InputError(f"filter '{name}' is unknown; {', '.join(VALID)} are valid")
        values = value if isinstance(value, list | tuple) else [value]
        if not values:
            raise InputError(f"filter '{name}' has no value; at least one is expected")
        wanted = pa.array([_checked(name, item) for item in values])
        passed &= _any_type(table, wanted) if name == "damage_type" else pc.is_in(table[name], wanted).to_numpy()
    return passed


def _any_type(table: pa.Table, wanted: pa.Array) -> np.ndarray:
    types = table["damage_types"].combine_chunks()
    shown = pc.list_parent_indices(types).filter(pc.is_in(pc.list_flatten(types), wanted)).to_numpy()
    return np.bincount(shown, minlength=len(table)) > 0


def _checked(name: str, value: Value) -> Value:
    if name == "vehicle_zone" and str(value).isdecimal():
        value = ZONES.get(int(value), value)
    # 1 equals True: without the type, has_damage=1 would pass for a value that is listed.
    if not any(value == valid and type(value) is type(valid) for valid in VALID[name]):
        numbers = " (or 1 to 10)" if name == "vehicle_zone" else ""
        raise InputError(f"filter '{name}': value {value!r} is unknown; {', '.join(map(str, VALID[name]))}{numbers} are valid")
    return value
