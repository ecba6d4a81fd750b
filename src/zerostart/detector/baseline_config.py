"""Is the `config.json` of a baseline one that a detector can be built from? Looked at before `transformers` reads it.

`transformers` takes any value of any key and fails somewhere inside the model, or asks for terabytes of memory.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from zerostart.config import Count, FrozenModel, Number, Positive, explain_problems
from zerostart.errors import InputError, shown
from zerostart.records import read_json

LARGEST = 1e9
"""Of any number in the file."""
DEEPEST = 1000
"""Of a number of layers."""
Width = Annotated[Count, Field(le=16384)]
Side = Annotated[Count, Field(ge=32, le=8192, multiple_of=32)]
Colour = tuple[Number, Number, Number]


class BaselineConfig(FrozenModel):
    """What we rely on ourselves; `transformers` knows the other keys, and has defaults for those left out."""

    model_config = ConfigDict(extra="ignore")

    model_type: Literal["deimv2"]
    id2label: Annotated[dict[str, str], Field(min_length=1)]
    d_model: Width = 256
    num_queries: Annotated[Count, Field(le=10_000)] = 300
    eval_size: tuple[Side, Side] | None = None
    official_buffers: bool = False
    image_mean: Colour | None = None
    image_std: tuple[Positive, Positive, Positive] | None = None
    feat_strides: Annotated[tuple[Width, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "BaselineConfig":
        if not all(re.fullmatch(r"[0-9]{1,9}", key) for key in self.id2label):
            raise ValueError(f"'id2label' has the keys {shown(list(self.id2label))}; whole numbers are expected")
        if self.eval_size and self.eval_size[0] != self.eval_size[1]:
            raise ValueError(f"'eval_size' is {list(self.eval_size)}; equal sides are expected")
        if self.official_buffers and not self.eval_size:
            raise ValueError("'official_buffers' is true, but there is no 'eval_size', the image size that its anchors are for")
        if (self.image_mean is None) != (self.image_std is None):
            raise ValueError("'image_mean' and 'image_std' are expected together")
        return self


def read_baseline_config(folder: Path) -> dict[str, Any]:
    """The content of a baseline's `config.json`; raises InputError naming each key that is not as expected."""
    path = folder / "config.json"
    raw = read_json(path, "a baseline is a folder with config.json and model.safetensors")
    if not isinstance(raw, dict):
        raise InputError(f"{path}: {shown(raw)}; an object with the settings of a DEIMv2 detector is expected")
    try:
        BaselineConfig.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path}: {explain_problems(error, kind='key')}") from None
    _check_numbers(raw, path, "")
    return raw


def baseline_classes(folder: Path) -> list[str]:
    """The classes that a baseline was trained for, in their order; raises InputError as :func:`read_baseline_config` does."""
    names = read_baseline_config(folder)["id2label"]
    return [names[key] for key in sorted(names, key=int)]


def _check_numbers(value: Any, path: Path, key: str) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_numbers(inner, path, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, path, key)
    elif isinstance(value, int | float):
        most = DEEPEST if any(word in key.rpartition(".")[2] for word in ("layers", "depths", "blocks")) else LARGEST
        if abs(value) > most:
            raise InputError(f"{path}: key '{shown(key, quoted=False)}' is {value}; at most {most:g} is expected")
