"""The typed scalars and the frozen model that every checked file is read into, and the one reader of YAML."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from zerostart.errors import InputError


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


# `dvc exp run -S lr.head=1e-5` writes `1e-05`, which YAML 1.1 reads as a string: pydantic's lax mode coerces it back.
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Integer = Annotated[int, BeforeValidator(_no_bool)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Count = Annotated[Integer, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]


class FrozenModel(BaseModel):
    """A checked file: it cannot change once read, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Model = TypeVar("Model", bound=FrozenModel)


def read_params(path: str | Path, model: type[Model]) -> Model:
    """Read and check a parameter file; raises InputError naming each wrong key, its value and what was expected."""
    raw = read_yaml(path, "the parameters are")
    if not isinstance(raw, dict):
        raise InputError(f"{path}: a mapping of parameter names to values is expected")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path}: {explain_problems(error)}") from None


def read_yaml(path: str | Path, expected: str) -> Any:
    """The content of a YAML file; raises InputError saying what was `expected` there when it is missing, or damaged."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {expected} expected there") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def explain_problems(error: ValidationError, kind: str = "parameter") -> str:
    """Every problem of a checked file in words, with the dotted name of the key (a `kind`) and its value."""
    return "; ".join(_explain(problem, kind) for problem in error.errors())


def _explain(problem: dict, kind: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown {kind} '{key}'"
    if problem["type"] == "missing":
        return f"{kind} '{key}' is missing"
    expected = problem["msg"].removeprefix("Value error, ")
    if not key:
        return expected
    return f"{kind} '{key}' is {problem['input']!r}: {expected[0].lower()}{expected[1:]}"
