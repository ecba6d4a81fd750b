"""The typed scalars and the frozen model that every checked file is read into."""

import unicodedata
from pathlib import Path, PurePosixPath
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from zerostart.errors import InputError, shown
from zerostart.records import read_yaml


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


def _single(value: float) -> float:
    """All numbers end in float32 tensors, where a larger one would be infinite and a smaller one 0."""
    if value and not 1e-37 < abs(value) < 1e38:
        raise ValueError("a number that float32 can hold is expected")
    return value


# `dvc exp run -S lr.head=1e-5` writes `1e-05`, which YAML 1.1 reads as a string: pydantic's lax mode coerces it back.
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False), AfterValidator(_single)]
Integer = Annotated[int, BeforeValidator(_no_bool)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Count = Annotated[Integer, Field(ge=1, le=1_000_000)]


def unseen(text: str) -> str | None:
    """The first character that nobody sees: control, zero width, direction, private use, half a surrogate pair."""
    return next((c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")), None)


def _visible(text: str) -> str:
    if hidden := unseen(text):
        raise ValueError(f"a text without the invisible character {shown(hidden)} is expected")
    return text


Visible = AfterValidator(_visible)
Name = Annotated[str, Field(min_length=1, max_length=1000), Visible]
SampleCount = Annotated[Integer, Field(ge=100, le=100_000)]
"""Of a bootstrap: fewer give no interval, more take all memory and change no digit that is shown."""
Rate = Annotated[Positive, Field(le=10)]
"""A learning rate."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\0" in path:
        raise ValueError("a path that stays inside the folder it starts from is expected, without `..`")
    return path


InnerPath = Annotated[Name, AfterValidator(_inside)]
"""Of a file inside the folder that the key's description names."""


class FrozenModel(BaseModel):
    """A checked file: it cannot change once read, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Model = TypeVar("Model", bound=FrozenModel)


def read_checked(path: str | Path, model: type[Model], what: str = "the parameters are", kind: str = "parameter") -> Model:
    """Read and check a YAML file; raises InputError naming each wrong key (a `kind`), its value and what was expected."""
    raw = read_yaml(path, f"{what} expected there")
    if not isinstance(raw, dict):
        raise InputError(f"{path}: a mapping of names to values is expected; {what} expected there")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path}: {explain_problems(error, kind)}") from None


def explain_problems(error: ValidationError, kind: str = "parameter") -> str:
    """The problems of a checked file in words (ten at most), with the dotted name of the key (a `kind`) and its value."""
    problems = error.errors(include_url=False, include_context=False)
    more = [f"and {len(problems) - 10} more"] if len(problems) > 10 else []
    return "; ".join([_explain(problem, kind) for problem in problems[:10]] + more)


def _explain(problem: dict, kind: str) -> str:
    key = shown(".".join(str(part) for part in problem["loc"]), quoted=False)
    if problem["type"] == "extra_forbidden":
        return f"unknown {kind} '{key}'"
    if problem["type"] == "missing":
        return f"{kind} '{key}' is missing"
    expected = problem["msg"].removeprefix("Value error, ")
    if not key:
        return expected
    return f"{kind} '{key}' is {shown(problem['input'])}: {expected[0].lower()}{expected[1:]}"
