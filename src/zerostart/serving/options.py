"""What a client may ask for about a picture; checked before anything is decoded."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Number = Annotated[int, Field(ge=1, lt=2**63)]
"""Of an inspection, a row of the store."""
VIEWS = ("whole", "top_left", "top_right", "bottom_left", "bottom_right", "centre")
"""The windows of tiling `6`, in the order of :func:`zerostart.inference.tiles.tiles`."""
ENGINES = {"baseline": ("baseline",), "refined": ("refined",), "both": ("baseline", "refined")}


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a text without NUL is expected")
    return text


Text = Annotated[str, Field(max_length=2000), AfterValidator(_without_nul)]
Label = Annotated[str, Field(max_length=200), AfterValidator(_without_nul)]


def _views(value: object) -> object:
    """`0,2` or `whole,top_right`; nothing is all."""
    if not isinstance(value, str):
        return value
    names = [name.strip() for name in value.split(",") if name.strip()]
    numbers = [
        VIEWS.index(name) if name in VIEWS else int(name) if name.isdecimal() and len(name) < 3 else -1 for name in names
    ]
    if any(not 0 <= number < len(VIEWS) for number in numbers):
        raise ValueError(f"0 to {len(VIEWS) - 1} or {', '.join(VIEWS)} are expected, separated by commas")
    return tuple(sorted(set(numbers)))


class CaseFilters(BaseModel):
    """Which cases may be shown; several values of one filter mean any of them."""

    model_config = ConfigDict(frozen=True)
    zone: tuple[Label, ...] = ()
    damage: tuple[Label, ...] = ()
    severity: tuple[Label, ...] = ()
    part: Label | None = None
    """A text in the file name of the picture that a case was cut from."""


class Look(BaseModel):
    """How to look at a picture."""

    model_config = ConfigDict(frozen=True)
    engine: Literal["baseline", "refined", "both"] = "both"
    tiling: Literal["1", "6", "grid"] = "1"
    views: Annotated[tuple[int, ...], BeforeValidator(_views)] = ()
    tags: Literal["standard", "hd", "auto", "none"] = "auto"
    part: Label | None = None
    k: Annotated[int, Field(ge=0, le=50)] = 5
    zone: tuple[Label, ...] = ()
    damage: tuple[Label, ...] = ()
    severity: tuple[Label, ...] = ()

    @property
    def engines(self) -> tuple[str, ...]:
        return ENGINES[self.engine]

    @property
    def filters(self) -> CaseFilters:
        return CaseFilters(zone=self.zone, damage=self.damage, severity=self.severity)
