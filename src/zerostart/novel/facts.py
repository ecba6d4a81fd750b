"""The facts that describe a mark: its form and, by form, the attributes that can be seen on it.

A mark's facts are complete. Those of a kind or a class are a pattern: an attribute that it leaves open is not named.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from zerostart.errors import InputError

Facts = Mapping[str, str]
"""Attribute: value."""

VALUES: dict[str, tuple[str, ...]] = {
    "form": ("line", "spot", "patch", "ring", "network", "speckles", "streaks"),
    "arrangement": ("single", "pair", "star"),
    "edge": ("smooth", "jagged", "soft"),
    "tone": ("dark", "bright", "shaded"),
    "tint": ("grey", "brown", "blue"),
    "texture": ("plain", "grainy"),
    "rim": ("none", "bright"),
    "strength": ("strong", "faint"),
    "width": ("thin", "thick"),
    "outline": ("round", "elongated", "angular"),
    "inside": ("empty", "sign"),
}
"""Every attribute and its values."""

_DARK_OR_BRIGHT = ("dark", "bright")
FORMS: dict[str, dict[str, tuple[str, ...]]] = {
    "line": {
        "arrangement": ("single", "pair", "star"),
        "edge": VALUES["edge"],
        "tone": _DARK_OR_BRIGHT,
        "width": VALUES["width"],
    }
    | {name: VALUES[name] for name in ("tint", "texture", "rim", "strength")},
    "spot": {
        "arrangement": ("single", "pair"),
        "edge": VALUES["edge"],
        "tone": VALUES["tone"],
        "outline": ("round", "elongated"),
    }
    | {name: VALUES[name] for name in ("tint", "texture", "rim", "strength")},
    "patch": {"edge": VALUES["edge"], "tone": VALUES["tone"], "outline": ("round", "elongated")}
    | {name: VALUES[name] for name in ("tint", "texture", "strength")},
    "ring": {"tone": _DARK_OR_BRIGHT, "edge": ("smooth", "soft"), "outline": ("round", "angular")}
    | {name: VALUES[name] for name in ("tint", "strength", "width", "inside")},
    "network": {"tone": _DARK_OR_BRIGHT} | {name: VALUES[name] for name in ("tint", "strength", "width")},
    "speckles": {"tone": _DARK_OR_BRIGHT} | {name: VALUES[name] for name in ("tint", "strength", "width")},
    "streaks": {"tone": _DARK_OR_BRIGHT, "edge": ("smooth", "soft")}
    | {name: VALUES[name] for name in ("tint", "strength", "width")},
}
"""The attributes that a mark of each form has, and the values that they can take there."""

CORE = ("form", "arrangement", "edge", "tone", "tint", "strength", "texture")
"""What makes two marks twins: all of these that a kind names are equal. Its other facts may differ."""


def check_facts(facts: Mapping[str, object], where: str) -> dict[str, str]:
    """The facts that are given (a null is an attribute that is open), or InputError naming what is not known."""
    known = {name: value for name, value in facts.items() if value is not None}
    if known.get("form") not in FORMS:
        raise InputError(f"{where}: the form is {known.get('form')!r}; one of {', '.join(FORMS)} is expected")
    allowed = FORMS[str(known["form"])]
    for name, value in known.items():
        if name == "form":
            continue
        if name not in allowed:
            raise InputError(f"{where}: a {known['form']} has no attribute {name!r}; it has {', '.join(allowed)}")
        if value not in allowed[name]:
            raise InputError(f"{where}: {name} is {value!r}; one of {', '.join(allowed[name])} is expected")
    return {name: str(known[name]) for name in VALUES if name in known}


def draw_facts(rng: np.random.Generator, tints: Sequence[str] = VALUES["tint"]) -> dict[str, str]:
    """Freely combined facts of one mark; forms with more attributes are drawn more often."""
    forms = list(FORMS)
    share = np.array([len(FORMS[form]) for form in forms], float)
    form = str(rng.choice(forms, p=share / share.sum()))
    drawn = {"form": form}
    for name in VALUES:
        if name in FORMS[form]:
            values = tints if name == "tint" else FORMS[form][name]
            drawn[name] = str(rng.choice(values))
    return drawn


def completed(facts: Facts, rng: np.random.Generator, tints: Sequence[str] = VALUES["tint"]) -> dict[str, str]:
    """A mark's facts that agree with a pattern; what the pattern leaves open is drawn."""
    form = facts["form"]
    drawn = {name: str(rng.choice(tints if name == "tint" else FORMS[form][name])) for name in VALUES if name in FORMS[form]}
    return {"form": form} | drawn | dict(facts)


def differences(pattern: Facts, mark: Facts) -> int:
    """In how many of the core facts that a pattern names a mark differs; 0 for a twin."""
    return sum(mark.get(name) != value for name, value in pattern.items() if name in CORE)


def fact_columns() -> list[tuple[str, str]]:
    """Every (attribute, value), in order: the columns of an attribute vector."""
    return [(name, value) for name, values in VALUES.items() for value in values]


def fact_vector(facts: Facts) -> np.ndarray:
    """±1 for the values of an attribute that is named (1 for its value), 0 for those of one that is open; float64."""
    return np.array([0.0 if name not in facts else 1.0 if facts[name] == value else -1.0 for name, value in fact_columns()])
