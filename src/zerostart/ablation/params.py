"""pipelines/ablation/params.yaml as one frozen, typed model."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from zerostart.ablation.arms import ARMS, NO_TEXT, TEXT
from zerostart.config import Count, FrozenModel, Integer, Number, Positive, read_checked
from zerostart.errors import InputError
from zerostart.params import Params


def _known(name: str) -> str:
    if name not in ARMS:
        raise ValueError(f"no such arm; the arms are {', '.join(ARMS)}")
    return name


ArmName = Annotated[str, AfterValidator(_known)]
Fraction = Annotated[Number, Field(gt=0, lt=1)]
VARYING = {"dataset": "of the stage", "baseline": "auto", "prompt_set": "descriptive", "seed": 0}


def _complete(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    if set(VARYING) & set(given):
        raise ValueError(f"{', '.join(VARYING)} are the ablation's own and are not given")
    return VARYING | given


class AblationParams(FrozenModel):
    """Which arms are compared, and how."""

    arms: list[ArmName]
    fraction_arms: list[ArmName]
    """Arms that are also trained on a share of the images."""
    fractions: list[Fraction]
    """Shares of the training images, beside all of them."""
    seeds: Annotated[Integer, Field(ge=2, le=1000)]
    """Trainings of each arm; an interval over seeds needs at least 2."""
    lr_scales: Annotated[list[Annotated[Positive, Field(le=1_000_000)]], Field(min_length=1)]
    """Each arm's learning rates are `experiment.lr` times the scale with the best mean composite on val."""
    jobs: Annotated[Count, Field(le=1024)]
    """Processes, one CPU thread each (one process on a GPU). The result does not depend on it."""
    arms_at_once: Count
    """Arms of one structure that are trained as a single batch; more of them pay on a GPU."""
    experiment: Annotated[Params, BeforeValidator(_complete)]
    """What all arms share, as in params.yaml, without what varies between the runs."""


def load_ablation_params(path: str | Path = "pipelines/ablation/params.yaml") -> AblationParams:
    """Read and check the parameters; raises InputError naming each wrong key, its value and what was expected."""
    params = read_checked(path, AblationParams)
    needed = [name for name in (TEXT, NO_TEXT) if name not in params.arms]
    if needed:
        raise InputError(f"{path}: parameter 'arms' lacks {' and '.join(needed)}, which every comparison needs")
    return params
