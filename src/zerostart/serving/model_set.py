"""One set of models with which a picture is answered: detector, index and tagger, loaded together and never changed."""

import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from zerostart.device import default_device
from zerostart.errors import InputError
from zerostart.inference.assembly import load_checkpoint
from zerostart.inference.tiles import Tile, cut_out, merged_with_origins, tiles
from zerostart.retrieval.case_search import Hit, Search, open_search
from zerostart.serving.graphs import MOST_AT_ONCE, Detector, OnnxDetector
from zerostart.serving.options import VIEWS, CaseFilters, Look
from zerostart.serving.parts import MAKE, PARTS, Places, version
from zerostart.tagging.answer.rules import ENGINES as TAG_ENGINES
from zerostart.tagging.answer.tagger import Tagger

FLOOR = 0.05
"""Detections down to this score are sent, so that a threshold can be moved without another request."""
TILE_IOU = 0.5
"""Boxes of one class that overlap by more become one, as `zerostart.predict` has it by default."""
MOST_TILES = 400
SMALLEST = 8
"""Pixels a side: smaller pictures show a tagger nothing."""
ATTEMPTS = 5


@dataclass(frozen=True)
class ModelSet:
    """What is there of the three parts."""

    detector: Detector | None
    index: Search | None
    tagger: Tagger | None
    versions: dict[str, str | None]
    missing: list[dict[str, str]]
    """Part and sentence of what is not there."""

    @classmethod
    def load(cls, places: Places, cache: Path, runtime: str) -> "ModelSet":
        """Load what is there; a part that is missing or damaged leaves the rest."""
        found: dict[str, Any] = {}
        versions: dict[str, str | None] = {}
        missing = []
        loaders = {"detector": _load_detector, "index": _load_index, "tagger": _load_tagger}
        for part in PARTS:
            try:
                found[part], versions[part] = _stable(part, places, lambda: loaders[part](places, cache, runtime))  # noqa: B023
            except InputError as error:
                found[part] = versions[part] = None
                missing.append({"part": part, "sentence": f"no {part}: {error}; `make {MAKE[part]}` builds it"})
        return cls(**found, versions=versions, missing=missing)

    @cached_property
    def about(self) -> dict[str, Any]:
        """What is known before any picture is."""
        settings = self.detector.settings if self.detector else None
        rules = self.tagger.rules if self.tagger else None
        return {
            "classes": list(settings.classes) if settings else [],
            "critical": list(settings.critical) if settings else [],
            "sentences": {name: list(said) for name, said in settings.prompts.items()} if settings else {},
            "thresholds": settings.threshold.model_dump() if settings else {},
            "temperatures": settings.temperature.model_dump() if settings else {},
            "dataset": settings.dataset if settings else None,
            "versions": self.versions,
            "missing": self.missing,
            "tag_engines": [*TAG_ENGINES, "auto"] if rules else [],
            "novelty_limit": rules.novelty_limit if rules else None,
            "filters": self._filters(),
            "case_pictures": self.index.index.about["pictures"] if self.index else None,
        }

    def _filters(self) -> dict[str, list[str]]:
        if self.index is None:
            return {"zone": [], "damage": [], "severity": [], "part": []}
        cases = self.index.index.cases
        damages = {damage for damages in cases["damage_types"].to_pylist() for damage in damages}
        of = {"zone": "vehicle_zone", "severity": "severity", "part": "source"}
        found = {name: sorted(set(cases[column].to_pylist()) - {None}) for name, column in of.items()}
        return found | {"damage": sorted(damages), "part": found["part"][:1000]}

    def inspect(self, image: Image.Image, look: Look) -> dict[str, Any]:
        """The answer about an upright picture; raises InputError for a filter's value that is unknown, and too many tiles."""
        missing = list(self.missing)
        parts, names = self._views(image.size, look)
        return {
            "picture": {"width": image.width, "height": image.height},
            **{key: self.about[key] for key in ("versions", "classes", "critical", "sentences", "thresholds")},
            "floor": self._floor(),
            "views": names,
            "detections": self._detections(image, look, parts, names),
            "cases": None if self.index is None or not look.k else self.cases(look.k, look.filters, image=image),
            "tags": self._tags(image, look, missing),
            "missing": missing,
        }

    def _floor(self) -> float:
        return min(FLOOR, *self.detector.settings.threshold.model_dump().values()) if self.detector else FLOOR

    def _views(self, size: tuple[int, int], look: Look) -> tuple[list[Tile], list[str]]:
        if look.tiling == "grid":
            parts = tiles(*size, "grid", self.detector.image_size if self.detector else max(size))
            if len(parts) > MOST_TILES:
                raise InputError(
                    f"a picture of {size[0]}x{size[1]} pixels is a grid of {len(parts) - 1} tiles; at most {MOST_TILES - 1} are"
                    " looked at here, `python -m zerostart.predict --tiling grid` looks at all"
                )
            return parts, ["whole", *(f"tile {number}" for number in range(1, len(parts)))]
        parts = tiles(*size, "six" if look.tiling == "6" else "none", 0)
        chosen = look.views if look.tiling == "6" and look.views else tuple(range(len(parts)))
        return [parts[index] for index in chosen], [VIEWS[index] for index in chosen]

    def _detections(self, image: Image.Image, look: Look, parts: list[Tile], names: list[str]) -> dict[str, list[dict]]:
        if self.detector is None:
            return {}
        pixels = torch.from_numpy(cut_out(image, parts, self.detector.image_size))
        answers = {}
        for engine in look.engines:
            found = []
            for batch in pixels.split(MOST_AT_ONCE):
                found += self.detector.find(batch, self._floor(), engine)
            merged, origins = merged_with_origins(found, parts, image.size, TILE_IOU)
            answers[engine] = [self._detection(engine, index, merged, names[origins[index]]) for index in range(len(origins))]
        return answers

    def _detection(self, engine: str, index: int, merged: Any, view: str) -> dict[str, Any]:
        settings = self.detector.settings
        name = settings.classes[merged.labels[index]]
        parts = {"detector": merged.base[index]}
        if engine == "refined":
            parts |= {"head": merged.delta[index], "text": merged.text[index]}
        return {
            "id": f"{engine}:{index}",
            "class": name,
            "critical": name in settings.critical,
            "score": round(float(merged.scores[index]), 6),
            "box": [round(float(value), 4) for value in merged.boxes[index]],
            "view": view,
            "logits": {
                key: {k: round(float(v), 5) for k, v in zip(settings.classes, part, strict=True)} for key, part in parts.items()
            },
        }

    def _tags(self, image: Image.Image, look: Look, missing: list[dict]) -> dict[str, Any] | None:
        if self.tagger is None or look.tags == "none":
            return None
        if min(image.size) < SMALLEST:
            missing.append(
                {
                    "part": "tags",
                    "sentence": f"no tags: {image.width}x{image.height} pixels show too little; at least {SMALLEST} a side are"
                    " expected",
                }
            )
            return None
        rules = self.tagger.rules
        windows = 6 if look.tiling == "6" else rules.tiling.windows
        answer = self.tagger.tag(np.asarray(image), look.tags, windows)
        in_use, published = rules.chosen(answer.engine, windows), rules.thresholds[answer.engine].published
        return {
            "engine": answer.engine,
            "novelty": round(answer.novelty, 6),
            "windows": windows,
            "tags": [{"tag": tag, "score": round(score, 6), "window": window} for tag, score, window in answer.tags],
            "scores": {tag: round(score, 6) for tag, score in answer.scores.items()},
            "thresholds": {
                "in_use": {tag: round(float(limit), 6) for tag, limit in zip(rules.tags, in_use, strict=True)},
                "published": dict.fromkeys(rules.tags, published),
            },
        }

    def cases(
        self, k: int, filters: CaseFilters, image: Image.Image | None = None, text: str | None = None
    ) -> dict[str, list[dict]]:
        """The nearest cases of a picture or a sentence; raises InputError where there is no index, and as `Search.find`."""
        if self.index is None:
            raise InputError(next(entry["sentence"] for entry in self.missing if entry["part"] == "index"))
        given = {"vehicle_zone": filters.zone, "damage_type": filters.damage, "severity": filters.severity}
        chosen = {name: list(values) for name, values in given.items() if values}
        return {"hits": [_case(hit) for hit in self.index.find(image, text, k, chosen, filters.part)]}


def _case(hit: Hit) -> dict[str, Any]:
    return {
        "crop_id": hit.crop_id,
        "distance": round(hit.distance, 6),
        "context": hit.context,
        "picture": f"/v1/cases/{hit.crop_id}/picture",
        "zone": hit.zone,
        "damage": list(hit.damages),
        "severity": hit.severity,
    }


def _load_detector(places: Places, cache: Path, runtime: str) -> tuple[Detector, str]:
    detector = load_checkpoint(places.checkpoint)
    made_of = version(places.weights, detector.settings.model_dump_json())
    if runtime == "torch":
        return detector.to(default_device()), made_of
    return OnnxDetector(detector, cache, made_of), made_of


def _load_index(places: Places, cache: Path, runtime: str) -> tuple[Search, str]:
    return open_search(places.index), version(places.watched("index"))


def _load_tagger(places: Places, cache: Path, runtime: str) -> tuple[Tagger, str]:
    return Tagger.load(places.tagger), version(places.watched("tagger"))


def _stable(part: str, places: Places, load: Any) -> Any:
    """What is loaded of files that did not change meanwhile; raises InputError where they never rest."""
    for _ in range(ATTEMPTS):
        before = version(places.watched(part))
        found, error = None, None
        try:
            found = load()
        except InputError as reason:
            error = reason
        if version(places.watched(part)) == before:
            if error:
                raise error
            return found
        print(f"{part}: its files changed while they were read; once more", file=sys.stderr)
        time.sleep(1)
    raise InputError("its files change all the time")
