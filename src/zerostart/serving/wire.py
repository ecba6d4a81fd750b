"""What answers look like, for the OpenAPI document; boxes are x1, y1, x2, y2 in pixels of the upright original picture."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from zerostart.serving.judgements import Box, Verdict

Versions = dict[Literal["detector", "index", "tagger"], str | None]
"""12 digits of the SHA-256 of each part's files; null where it is not there."""


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class Picture(_Answer):
    width: int
    height: int
    file_name: str | None
    """The last, visible part of the name that was sent."""


class Detection(_Answer):
    id: str
    """Engine and rank: `refined:0` is the best."""
    class_name: Annotated[str, Field(alias="class")]
    critical: bool
    score: float
    box: Box
    view: str
    """Which of `views` found it."""
    logits: dict[Literal["detector", "head", "text"], dict[str, float]]
    """For every class the detector's own logit, and what class head and text add to it; of the baseline only the first."""


class Case(_Answer):
    crop_id: str
    distance: float
    """1 − cosine, 0 to 2."""
    context: str
    picture: str
    """Its address."""
    zone: str | None
    damage: list[str]
    severity: str | None


class Cases(_Answer):
    hits: list[Case]


class Tag(_Answer):
    tag: str
    score: float
    window: str
    """The one with the highest score for it."""


class TagThresholds(_Answer):
    in_use: dict[str, float]
    published: dict[str, float]


class Tags(_Answer):
    engine: Literal["standard", "hd"]
    novelty: float
    """About 1 for a picture like the tagger's own, higher for others."""
    windows: int
    tags: list[Tag]
    scores: dict[str, float]
    thresholds: TagThresholds


class Missing(_Answer):
    part: str
    sentence: str


class Inspection(_Answer):
    id: str
    """SHA-256 of the picture's file."""
    picture: Picture
    number: int
    """Of this look at the picture: ids of detections are its own."""
    part: str | None
    versions: Versions
    classes: list[str]
    critical: list[str]
    sentences: dict[str, list[str]]
    thresholds: dict[Literal["baseline", "refined"], float]
    """Chosen on val."""
    floor: float
    """Detections down to this score are in the answer."""
    views: list[str]
    detections: dict[Literal["baseline", "refined"], list[Detection]]
    cases: Cases | None
    tags: Tags | None
    missing: list[Missing]


class Judged(_Answer):
    verdict: int
    """Its number; numbers grow."""
    inspection: str


class StoredVerdict(Judged, Verdict):
    """As it was given, its boxes clipped to the picture."""


class Next(_Answer):
    id: str
    file_name: str | None
    uncertainty: float
    """The expected number of wrong decisions in the picture."""
    novelty: float | None
    score: float
    """uncertainty + max(0, novelty − 1)."""


class CaseValues(_Answer):
    zone: list[str]
    damage: list[str]
    severity: list[str]
    part: list[str]


class ServerLimits(_Answer):
    bytes: int
    pixels: int


class ServerSettings(_Answer):
    classes: list[str]
    critical: list[str]
    thresholds: dict[Literal["baseline", "refined"], float]
    versions: Versions
    missing: list[Missing]
    engines: list[str]
    tag_engines: list[str]
    limits: ServerLimits


class Ready(_Answer):
    status: str
    versions: Versions


class Lives(_Answer):
    status: str
