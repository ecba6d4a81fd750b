"""What turns scores into tags and a picture into an engine: thresholds and the limits of `auto`, as one checked file."""

from math import sqrt
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from zerostart.config import Count, FrozenModel, Number, explain_problems
from zerostart.errors import InputError
from zerostart.records import check_regular, read_json
from zerostart.tagging.answer.novelty import Home
from zerostart.tagging.params import Threshold, TilingParams

ENGINES = ("standard", "hd")


class EngineThresholds(FrozenModel):
    """Thresholds of one engine, in the order of the tags."""

    published: Threshold
    val_1: tuple[Threshold, ...]
    """Best F1 on val with the picture seen whole."""
    val_6: tuple[Threshold, ...]
    """Best F1 on val with six windows."""


class Rules(FrozenModel):
    """Everything beside the weights that tagging needs."""

    tags: tuple[str, ...]
    longest: Count
    """Larger pictures are shrunk to so many pixels on their longer side, as the photos that the limits were chosen on."""
    use: Literal["val", "published"]
    thresholds: dict[str, EngineThresholds]
    tiling: TilingParams
    novelty_limit: Number
    """Above it a picture is unlike the academic ones."""
    side_limit: Number
    """A longer side above it is that of a photo, in pixels."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if set(self.thresholds) != set(ENGINES):
            raise ValueError(f"thresholds of {', '.join(ENGINES)} are expected, not of {', '.join(self.thresholds)}")
        for kept in self.thresholds.values():
            if not len(kept.val_1) == len(kept.val_6) == len(self.tags):
                raise ValueError(f"a threshold for each of the {len(self.tags)} tags is expected")
        return self

    def chosen(self, engine: str, windows: int) -> np.ndarray:
        """K thresholds of an engine that sees so many windows."""
        kept = self.thresholds[engine]
        if self.use == "published":
            return np.full(len(self.tags), kept.published)
        return np.array(kept.val_1 if windows == 1 else kept.val_6)

    def engine_for(self, longest_side: int, novelty: float) -> str:
        """`hd` for a picture of a photo's size, or one unlike the academic pictures; otherwise `standard`."""
        return "hd" if longest_side > self.side_limit or novelty > self.novelty_limit else "standard"


def side_limit(academic: np.ndarray, real: np.ndarray) -> float:
    """The side halfway (in ratio) between the largest academic picture and the smallest photo, sides in pixels.

    Where they overlap: the largest of both, so that the size says nothing.
    """
    largest, smallest = float(academic.max()), float(real.min())
    return sqrt(largest * smallest) if largest < smallest else max(largest, float(real.max()))


def save_rules(rules: Rules, home: Home, folder: Path) -> None:
    """Write rules.json and home.safetensors."""
    (folder / "rules.json").write_text(rules.model_dump_json(indent=1) + "\n", encoding="utf-8")
    save_file({"mean": home.mean, "precision": home.precision}, folder / "home.safetensors")


def load_rules(folder: str | Path) -> tuple[Rules, Home]:
    """Raises InputError when a file is missing, or holds a threshold outside 0..1 or anything else that is not expected."""
    path = Path(folder) / "rules.json"
    raw = read_json(path, "no readable rules of a tagger without it")
    check_regular(Path(folder) / "home.safetensors")
    try:
        return Rules.model_validate(raw), Home(**load_file(Path(folder) / "home.safetensors"))
    except ValidationError as error:
        raise InputError(f"{path}: {explain_problems(error, kind='key')}") from None
    except (OSError, SafetensorError, TypeError) as error:
        raise InputError(f"{folder}: no readable rules of a tagger in it ({error})") from None
