"""What people add to a data set's classes in words: the card's `new` list, the prompt file's `new` and `ignore` sentences.

Both files are written by people and keep their comments: a block is put in the place of the old one, or behind the last line.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from zerostart.datasets.cards import Card, load_card
from zerostart.errors import InputError
from zerostart.language.prompts import Prompts, load_prompts
from zerostart.outputs import output_file, write_array
from zerostart.records import parse_yaml, read_text, read_yaml

MOST_SHOTS = 20


class Additions(NamedTuple):
    """Everything that was added to one data set."""

    new: Mapping[str, Sequence[str]]
    """Class name: its sentences."""
    ignore: Sequence[str]
    """Descriptions of what is no class and shall not be taken for one."""
    shots: Mapping[str, np.ndarray]
    """Class name: features of its labelled boxes, n×D float32; only where there are some."""


class Files(NamedTuple):
    """Where a data set's additions stand."""

    card: Path
    prompts: Path
    shots: Path


def files_of(card: Card, root: str | Path = ".") -> Files:
    """The paths below the repository's root."""
    data = Path(root) / "data"
    return Files(data / f"datasets/{card.name}.yaml", data / f"prompts/{card.prompts}.yaml", data / f"shots/{card.name}")


def load_additions(dataset: str, root: str | Path = ".") -> Additions:
    """Read a data set's additions; InputError for a new class without a sentence or with more than MOST_SHOTS boxes."""
    card = load_card(dataset, Path(root) / "data/datasets")
    files = files_of(card, root)
    prompts = load_prompts(files.prompts)
    if silent := [name for name in card.new if name not in prompts.new]:
        raise InputError(
            f"{files.card}: the new class '{silent[0]}' has no sentence under 'new' in {files.prompts}; what it looks like is"
            " expected there"
        )
    paths = {name: shots_path(files, name) for name in card.new}
    shots = {name: _read_shots(path) for name, path in paths.items() if path.is_file()}
    return Additions({name: tuple(prompts.new[name]) for name in card.new}, tuple(prompts.ignore), shots)


def shots_path(files: Files, name: str) -> Path:
    """Where the features of a new class's labelled boxes lie."""
    return files.shots / f"{re.sub(r'[^a-z0-9]+', '-', name.casefold()).strip('-') or 'class'}.npy"


def _read_shots(path: Path) -> np.ndarray:
    try:
        features = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        raise InputError(f"{path}: not an array of features; `python -m zerostart.classes add ... --shots` writes it") from None
    if features.ndim != 2 or not 1 <= len(features) <= MOST_SHOTS or not np.isfinite(features).all():
        raise InputError(f"{path}: {features.shape}; the features of 1 to {MOST_SHOTS} boxes are expected")
    return features


def add_class(
    dataset: str, name: str, sentences: Sequence[str], shots: np.ndarray | None = None, root: str | Path = "."
) -> Files:
    """Write a new class, or other sentences of one, into prompts and card; `shots` None takes away those that it had.

    Raises InputError, before anything is written, for a name that is a class already or files that cannot be edited.
    """
    card, prompts, files = _read(dataset, root)
    if name in card.classes:
        raise InputError(f"'{name}' is a class of {dataset} already; a new name is expected")
    said = edited(files.prompts, "new", {**prompts.new, name: list(sentences)})
    listed = edited(files.card, "new", list(dict.fromkeys([*card.new, name])))
    path = shots_path(files, name)
    if shots is None:
        path.unlink(missing_ok=True)
    else:
        with output_file(path) as temporary:
            write_array(temporary, shots.astype(np.float32))
    _write(files.prompts, said)  # first: a sentence of a class that no card names does nothing
    _write(files.card, listed)
    return files


def remove_class(dataset: str, name: str, root: str | Path = ".") -> Files:
    """Take a new class out of card, prompts and shots; InputError where it is not one."""
    card, prompts, files = _read(dataset, root)
    if name not in card.new:
        raise InputError(f"{files.card}: '{name}' is none of the new classes ({', '.join(card.new) or 'there are none'})")
    listed = edited(files.card, "new", [other for other in card.new if other != name])
    said = edited(files.prompts, "new", {other: texts for other, texts in prompts.new.items() if other != name})
    _write(files.card, listed)
    _write(files.prompts, said)
    shots_path(files, name).unlink(missing_ok=True)
    return files


def ignore(dataset: str, sentences: Sequence[str], root: str | Path = ".") -> Files:
    """Add descriptions of what is no class."""
    _, prompts, files = _read(dataset, root)
    _write(files.prompts, edited(files.prompts, "ignore", list(dict.fromkeys([*prompts.ignore, *sentences]))))
    return files


def _read(dataset: str, root: str | Path) -> tuple[Card, Prompts, Files]:
    card = load_card(dataset, Path(root) / "data/datasets")
    files = files_of(card, root)
    return card, load_prompts(files.prompts), files


def edited(path: Path, key: str, value: Any) -> str:
    """The text of a YAML file with another value under a top-level key; an empty value takes the key away.

    Everything else stays as it is, comments as well. Raises InputError where that cannot be done by lines.
    """
    text, before = read_text(path, "it is edited"), read_yaml(path, "it is edited")
    whole = text if text.endswith("\n") else f"{text}\n"
    kept = re.sub(rf"^{key}:[^\n]*\n(?:[ -][^\n]*\n|\n(?=[ -]))*", "", whole, flags=re.MULTILINE)
    block = yaml.safe_dump({key: value}, allow_unicode=True, sort_keys=False, width=10_000) if value else ""
    after = kept + re.sub(r"^- ", "  - ", block, flags=re.MULTILINE)
    expected = {name: given for name, given in before.items() if name != key} | ({key: value} if value else {})
    if _content(after, path) != expected:
        raise InputError(f"{path}: '{key}' cannot be changed without touching the rest of the file; edit it by hand")
    return after


def _content(text: str, path: Path) -> Any:
    try:
        return parse_yaml(text, path)
    except InputError:  # what was made of it is no YAML
        return None


def _write(path: Path, text: str) -> None:
    with output_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
