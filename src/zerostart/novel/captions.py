"""Facts put into sentences: nouns, adjectives and phrases that people wrote (data/captions/<language>.yaml)."""

from pathlib import Path

import numpy as np

from zerostart.config import FrozenModel, read_checked
from zerostart.errors import InputError
from zerostart.novel.facts import FORMS, VALUES, Facts

ORDER = ("strength", "width", "texture", "edge", "tone", "tint", "outline")
"""In which order adjectives stand before the noun."""
PHRASINGS = ("A", "B", "C")


class Words(FrozenModel):
    """One language's words."""

    nouns: dict[str, tuple[str, ...]]
    adjectives: dict[str, dict[str, tuple[str, ...]]]
    phrases: dict[str, dict[str, tuple[str, ...]]]
    phrasings: dict[str, str]


def load_words(language: str, folder: str | Path = "data/captions") -> Words:
    """A language's words; InputError where a form has no noun, a value no word, or a noun no place for its adjectives."""
    path = Path(folder) / f"{language}.yaml"
    words = read_checked(path, Words, "the words of captions are", "key")
    for form, attributes in FORMS.items():
        keys = [f"{form}/{value}" for value in attributes["arrangement"]] if "arrangement" in attributes else [form]
        for key in keys:
            if not words.nouns.get(key) or any(noun.count("{}") != 1 for noun in words.nouns[key]):
                raise InputError(f"{path}: nouns.{key}: at least one noun with one {{}} for its adjectives is expected")
    for name, values in VALUES.items():
        for value in values:
            known = [group.get(name, {}).get(value) for group in (words.adjectives, words.phrases)]
            if name not in ("form", "arrangement") and not any(known):
                raise InputError(f"{path}: there is no adjective and no phrase for {name} {value}")
    return words


def caption(facts: Facts, words: Words, phrasing: str, rng: np.random.Generator, omit: float = 0.0) -> str:
    """One sentence that says the facts; each but form and arrangement is left out with probability `omit`.

    phrasing: A a noun phrase, B a sentence, C key words. A fact with an adjective and a phrase is said in one of the two ways.
    """
    noun_key = (
        facts["form"] if "arrangement" not in FORMS[facts["form"]] else f"{facts['form']}/{facts.get('arrangement', 'single')}"
    )
    noun = str(rng.choice(words.nouns[noun_key]))
    adjectives, phrases = [], []
    for name in (*ORDER, "rim", "inside"):
        if name not in facts or rng.random() < omit:
            continue
        adjective = words.adjectives.get(name, {}).get(facts[name], ())
        phrase = words.phrases.get(name, {}).get(facts[name], ())
        if adjective and (not phrase or rng.random() < 0.7):
            adjectives.append(str(rng.choice(adjective)))
        else:
            phrases.append(str(rng.choice(phrase)))
    if phrasing == "C":
        listed = [noun.replace("{}", "").replace(",", ""), *(adjectives + phrases)]
        text = words.phrasings[phrasing].replace("{list}", ", ".join(listed))
    else:
        said = noun.replace("{}", " ".join(adjectives))
        text = words.phrasings[phrasing].replace("{noun}", said).replace("{phrases}", ", ".join(phrases))
    return " ".join(text.split()).replace(" ,", ",").strip(" ,")


def captions(facts: Facts, words: Words, count: int, rng: np.random.Generator, omit: float = 0.0) -> list[str]:
    """`count` sentences in turn in every phrasing, from any of them on; the first one says all facts."""
    first = int(rng.integers(len(PHRASINGS)))
    turns = [PHRASINGS[(first + number) % len(PHRASINGS)] for number in range(count)]
    return [caption(facts, words, phrasing, rng, omit if number else 0.0) for number, phrasing in enumerate(turns)]


def tokens(sentence: str) -> list[str]:
    """The words of a sentence in small letters, without punctuation; a plural -s is taken off."""
    kept = "".join(letter if letter.isalpha() else " " for letter in sentence.casefold())
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in kept.split()]
