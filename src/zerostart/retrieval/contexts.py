"""A short text for each crop: zone and area, damages on a part, severity, how they lie; or that it is clean."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from zerostart.config import FrozenModel, explain_problems
from zerostart.errors import InputError
from zerostart.records import read_yaml
from zerostart.retrieval.crops.cutting import LEVELS
from zerostart.retrieval.vocabulary import AREAS, DAMAGE_TYPES, SEVERITIES, UNKNOWN, ZONES

APART = 0.4
"""From this share of a crop's diagonal on, two damages are not of one impact."""


class Words(FrozenModel):
    """The table of one language (data/contexts/<language>.yaml)."""

    place: str
    damage: str
    severity: str
    clean: str
    undamaged: str
    and_: str
    areas: dict[str, str]
    zones: dict[str, str]
    parts: dict[str, dict[str, str]]
    damages: dict[str, tuple[str, str]]
    counts: list[str]
    """The words for one, two, …; larger numbers are digits."""
    severities: dict[str, str]
    patterns: dict[str, str]

    @model_validator(mode="after")
    def _complete(self) -> "Words":
        zones = {*ZONES.values(), UNKNOWN}
        tables = {
            "areas": (self.areas, {*AREAS, UNKNOWN}),
            "zones": (self.zones, zones),
            "parts": (self.parts, zones),
            "damages": (self.damages, set(DAMAGE_TYPES)),
            "severities": (self.severities, set(SEVERITIES)),
            "patterns": (self.patterns, {"isolated", "clustered", "distributed"}),
            **{f"parts.{zone}": (levels, set(LEVELS)) for zone, levels in self.parts.items()},
        }
        for name, (table, expected) in tables.items():
            if set(table) != expected:
                raise ValueError(f"'{name}' has {sorted(table)}, {sorted(expected)} are expected")
        return self


def load_words(language: str, folder: str | Path = "data/contexts") -> Words:
    """The table of a language; raises InputError when it is missing, malformed or incomplete."""
    path = Path(folder) / f"{language}.yaml"
    raw = read_yaml(path, f"the words of the language '{language}' are expected there")
    if not isinstance(raw, dict):
        raise InputError(f"{path}: not a YAML mapping; the tables of words are expected")
    try:
        return Words.model_validate({"and_" if key == "and" else key: value for key, value in raw.items()})
    except ValidationError as error:
        raise InputError(f"{path}: {explain_problems(error, kind='key')}") from None


def pattern_of(count: int, spread: float) -> str:
    """`isolated`, `clustered` (one impact) or `distributed` (several), from the spread relative to the crop."""
    if count == 1:
        return "isolated"
    return "clustered" if spread < APART else "distributed"


def context(row: Mapping[str, Any], words: Words) -> str:
    """The text of a crop, given its row of the table of crops."""
    return " ".join(sentences(row, words).values())


def sentences(row: Mapping[str, Any], words: Words) -> dict[str, str]:
    """The sentences of a crop's text by what they say: `place`, then `clean` or `damage`, `severity`, `pattern`."""
    zone = row["vehicle_zone"]
    part = words.parts[zone][row["level"]]
    said = {"place": _sentence(words.place.format(zone=words.zones[zone], area=words.areas[row["area"]]))}
    if not row["has_damage"]:
        return said | {"clean": _sentence(words.clean.format(part=part))}
    said["damage"] = _sentence(words.damage.format(damages=damage_words(row, words), part=part))
    if row["severity"] != UNKNOWN:
        said["severity"] = _sentence(words.severity.format(severity=words.severities[row["severity"]]))
    said["pattern"] = words.patterns[pattern_of(sum(row["damage_counts"]), row["spread"])]
    return said


def damage_words(row: Mapping[str, Any], words: Words) -> str:
    """As in `one deep scratch and two dents`."""
    counted = [
        f"{words.counts[count - 1] if count <= len(words.counts) else count} {words.damages[name][count > 1]}"
        for name, count in zip(row["damage_types"], row["damage_counts"], strict=True)
    ]
    return words.and_.join(filter(None, [", ".join(counted[:-1]), counted[-1]]))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
