"""What a sweep may say: which parameters take which values, and who chooses (experiments/NAME.yaml)."""

import itertools
from pathlib import Path
from typing import Annotated, Literal, Self

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import Field, ValidationError, model_validator

from zerostart.config import Count, FrozenModel, Number, explain_problems, read_checked
from zerostart.errors import InputError
from zerostart.params import Params

Value = bool | int | float | str
Values = Annotated[list[Value], Field(min_length=1)]


class Range(FrozenModel):
    """Numbers from `low` to `high`; whole ones where the parameter is a whole number."""

    low: Number
    high: Number
    log: bool = False
    """Evenly on a logarithmic scale."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("`low` below `high` is expected, and with `log` both above 0")
        return self


class Sweep(FrozenModel):
    """experiments/NAME.yaml."""

    sampler: Literal["grid", "random", "tpe"]
    trials: Count | None = None
    """How many; a grid has as many as there are combinations."""
    at_once: Annotated[Count, Field(le=1024)] = 8
    """Trials that are trained as one batch; `tpe` learns from them after each batch."""
    parameters: Annotated[dict[str, Values | Range], Field(min_length=1)]

    @model_validator(mode="after")
    def _can_be_sampled(self) -> Self:
        if (self.sampler == "grid") != (self.trials is None):
            raise ValueError("`trials` is expected with the samplers random and tpe, and only with them")
        if self.sampler == "grid" and (ranges := [k for k, v in self.parameters.items() if isinstance(v, Range)]):
            raise ValueError(f"a grid needs a list of values; '{ranges[0]}' has a range")
        return self


def load_sweep(path: Path) -> Sweep:
    """Read and check the file of a sweep; raises InputError naming what is wrong."""
    return read_checked(path, Sweep, "a sweep is", "key")


def changed(params: Params, values: dict[str, Value], source: Path) -> Params:
    """The parameters with some values, given by dotted names, replaced; raises InputError for a wrong one."""
    raw = params.model_dump()
    for name, value in values.items():
        group, _, key = name.rpartition(".")
        target = raw.get(group) if group else raw
        if not isinstance(target, dict) or key not in target:
            raise InputError(f"{source}: unknown parameter '{name}'; docs/params.md lists them")
        target[key] = value
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{source}: {explain_problems(error)}") from None


def combinations(sweep: Sweep) -> list[dict[str, Value]]:
    """Every combination of a grid."""
    return [dict(zip(sweep.parameters, values, strict=True)) for values in itertools.product(*sweep.parameters.values())]


def distributions(sweep: Sweep) -> dict[str, BaseDistribution]:
    """The search space in Optuna's terms."""
    return {name: _distribution(name, space) for name, space in sweep.parameters.items()}


def _distribution(name: str, space: list[Value] | Range) -> BaseDistribution:
    if not isinstance(space, Range):
        return CategoricalDistribution(space)
    group, _, key = name.rpartition(".")
    model = Params.model_fields[group].annotation if group else Params
    if model.model_fields[key].annotation is int:
        return IntDistribution(int(space.low), int(space.high), log=space.log)
    return FloatDistribution(space.low, space.high, log=space.log)
