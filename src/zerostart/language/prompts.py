"""Class descriptions written by people (data/prompts/*.yaml) and how a prompt set turns them into sentences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from zerostart.config import read_checked, unseen
from zerostart.errors import InputError, shown

PromptSet = Literal["plain", "descriptive", "ensemble"]
JOINERS = str.maketrans("", "", "\u200c\u200d")
"""Zero width, but letters in Persian and Hindi are written with them."""
LONGEST = 2000
"""Characters of a description: more than any text encoder reads (`class_embeddings` asks the encoder itself)."""
PROMPT_SETS: tuple[PromptSet, ...] = get_args(PromptSet)


class Prompts(BaseModel):
    """One prompt file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    descriptions: dict[str, list[str]]
    """For each class one or more noun phrases."""
    templates: list[str] = []
    """Sentences with one `{}`, which stands for a description."""
    names: dict[str, str] = {}
    """Plain names of the classes whose identifier is not a word, e.g. rolled-in_scale: rolled-in scale."""
    new: dict[str, list[str]] = {}
    """Sentences of classes that no detector was trained for: `python -m zerostart.classes add` writes them."""
    ignore: list[str] = []
    """Descriptions of what is no class and shall not be taken for one: `python -m zerostart.classes exclude` writes them."""


def load_prompts(path: str | Path) -> Prompts:
    """Read and check a prompt file.

    Raises InputError when the file is missing or not YAML, has an unknown or mistyped key, an empty description or
    plain name, or a template without exactly one `{}`.
    """
    prompts = read_checked(path, Prompts, "the class descriptions are", "key")
    _check_texts(prompts, path)
    return prompts


def _check_texts(prompts: Prompts, path: str | Path) -> None:
    for name, descriptions in [*prompts.descriptions.items(), *prompts.new.items()]:
        if not descriptions:
            raise InputError(f"{path}: class '{name}' has no description; at least one is expected")
        for position, description in enumerate(descriptions, start=1):
            _check_words(description, f"{path}: description {position} of class {shown(name)}")
    for position, description in enumerate(prompts.ignore, start=1):
        _check_words(description, f"{path}: sentence {position} under 'ignore'")
    for name, plain in prompts.names.items():
        _check_words(plain, f"{path}: the plain name of class {shown(name)}")
    for position, template in enumerate(prompts.templates, start=1):
        _check_words(template, f"{path}: template {position}")
        if template.count("{}") != 1:
            raise InputError(
                f"{path}: template {position} is {shown(template)}; exactly one {{}} is expected in it, for the description"
            )


def _check_words(text: str, what: str) -> None:
    """Raise InputError for what is no text of a person: empty, endless, or with characters that nobody sees."""
    if hidden := unseen(text.translate(JOINERS)):
        raise InputError(f"{what} has the invisible character {shown(hidden)}; words are expected")
    if not text.strip():
        raise InputError(f"{what} is empty")
    if "{}" not in text and not any(c.isalnum() for c in text):
        raise InputError(f"{what} has no letter and no digit in it: {shown(text)}")
    if len(text) > LONGEST:
        raise InputError(f"{what} has {len(text):,} characters, {shown(text)}; at most {LONGEST:,} are expected")


def expand_prompts(prompts: Prompts, classes: Sequence[str], prompt_set: PromptSet, path: str | Path) -> dict[str, list[str]]:
    """The sentences of every class, in the order of `classes` (the dataset card's).

    `plain`: the class name; `descriptive`: the descriptions; `ensemble`: every template filled with every description.
    `path` is the prompt file, named in errors.

    Raises InputError when there are fewer than two classes, when the file is for other classes, when an ensemble has no
    template, and when a sentence occurs twice (two classes with equal sentences could not be told apart).
    """
    if len(classes) < 2:
        raise InputError(
            f"{path}: the dataset has {len(classes)} class ({', '.join(classes)}); at least 2 are expected, because "
            f"text acts only through the cosines between classes"
        )
    _check_classes(prompts, classes, path)
    if prompt_set == "ensemble" and not prompts.templates:
        raise InputError(f"{path}: prompt_set 'ensemble' needs at least one entry under 'templates'")
    sentences = {name: _sentences(prompts, name, prompt_set) for name in classes}
    _check_distinct(sentences, path)
    return sentences


def _sentences(prompts: Prompts, name: str, prompt_set: PromptSet) -> list[str]:
    if prompt_set == "plain":
        return [prompts.names.get(name, name)]
    descriptions = prompts.descriptions[name]
    if prompt_set == "descriptive":
        return list(descriptions)
    return [template.replace("{}", text) for template in prompts.templates for text in descriptions]


def _check_classes(prompts: Prompts, classes: Sequence[str], path: str | Path) -> None:
    missing = [name for name in classes if name not in prompts.descriptions]
    unexpected = [name for name in [*prompts.descriptions, *prompts.names] if name not in classes]
    if missing or unexpected:
        raise InputError(
            f"{path}: the prompts are not for the dataset's classes: missing {', '.join(missing) or 'none'}; "
            f"unexpected {', '.join(dict.fromkeys(unexpected)) or 'none'}"
        )


def _check_distinct(sentences: dict[str, list[str]], path: str | Path) -> None:
    owner: dict[str, str] = {}
    for name, texts in sentences.items():
        for text in texts:
            key = " ".join(text.translate(JOINERS).casefold().split())  # the tokenizers ignore case and spacing as well
            if key in owner:
                raise InputError(
                    f"{path}: the sentence '{text}' occurs twice, for class '{owner[key]}' and for class '{name}'; "
                    f"each is expected once, or the classes could not be told apart"
                )
            owner[key] = name
