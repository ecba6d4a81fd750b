"""Kinds of mark and classes with their facts and their sentences (data/captions/facts.yaml and kinds.yaml)."""

from pathlib import Path
from typing import Any, NamedTuple

from zerostart.errors import InputError
from zerostart.novel.facts import check_facts
from zerostart.records import read_yaml

PURPOSES = ("val", "test")


class Kind(NamedTuple):
    """What is to be named by a sentence."""

    name: str
    facts: dict[str, str]
    sentences: dict[str, tuple[str, ...]]
    """Wording (`inspector`, `plain`): its sentences, which no template wrote."""


def load_kinds(purpose: str, folder: str | Path = "data/captions") -> list[Kind]:
    """The kinds that no detector was trained for, of `val` or of `test`."""
    facts_path, path = Path(folder) / "facts.yaml", Path(folder) / "kinds.yaml"
    facts, sentences = _mapping(facts_path).get("kinds", {}), _mapping(path).get(purpose, {})
    if len(sentences) < 2:
        raise InputError(
            f"{path}: {purpose} names {len(sentences)} kinds; at least 2 are expected, or what is new is the only one"
        )
    return [_kind(name, facts, given, facts_path) for name, given in sentences.items()]


def has_facts(dataset: str, folder: str | Path = "data/captions") -> bool:
    """Whether facts of a data set's classes are written down: adding classes needs none, judging held-out ones does."""
    return dataset in _mapping(Path(folder) / "facts.yaml").get("classes", {})


def load_classes(
    dataset: str, classes: list[str], described: dict[str, list[str]], folder: str | Path = "data/captions"
) -> list[Kind]:
    """A data set's classes. described: the descriptions of its prompt file, the wording `inspector`."""
    facts_path = Path(folder) / "facts.yaml"
    facts = _mapping(facts_path).get("classes", {}).get(dataset, {})
    plain = _mapping(Path(folder) / "kinds.yaml").get("classes", {}).get(dataset, {})
    for name in classes:
        if name not in facts or name not in plain:
            raise InputError(f"{folder}: the class '{name}' of {dataset} needs facts (facts.yaml) and a sentence (kinds.yaml)")
    return [_kind(name, facts, {"inspector": described[name], **plain[name]}, facts_path) for name in classes]


def _kind(name: str, facts: dict, sentences: dict, path: Path) -> Kind:
    if name not in facts:
        raise InputError(f"{path}: there are no facts of the kind '{name}'")
    texts = {wording: (said,) if isinstance(said, str) else tuple(said) for wording, said in sentences.items()}
    if not texts or not all(texts.values()):
        raise InputError(f"{path}: the kind '{name}' has no sentence; at least one is expected")
    return Kind(name, check_facts(facts[name], f"{path}: {name}"), texts)


def _mapping(path: Path) -> dict[str, Any]:
    """A mapping in a YAML file that people write, or one sentence about what is wrong with it."""
    raw = read_yaml(path, "it is part of the repository")
    if not isinstance(raw, dict):
        raise InputError(f"{path}: a mapping is expected")
    return raw
