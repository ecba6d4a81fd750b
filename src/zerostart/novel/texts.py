"""Sentences as vectors: embedded captions, the kinds' sentences in every wording, and what takes their place as a control."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from zerostart.language.text_encoders import BATCH_SIZE, TextEncoder
from zerostart.novel.captions import Words, captions, tokens
from zerostart.novel.facts import FORMS, VALUES, Facts
from zerostart.novel.kinds import Kind

OWN_WORDING = "captions"
SENTENCES_PER_KIND = 12
"""In the captions' own wording."""
WRONG = 2
"""Wrong descriptions of each kind, with another fact changed in each."""


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros (a sentence without a known word) stays."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)


def sentences_of(kind: Kind, words: Words, seed: int) -> dict[str, list[str]]:
    """A kind's sentences by wording: the captions' own, then those that people wrote, alone and together."""
    own = captions(kind.facts, words, SENTENCES_PER_KIND, np.random.default_rng(seed))
    people = {wording: list(said) for wording, said in kind.sentences.items()}
    return {OWN_WORDING: own, **people, "together": [text for said in people.values() for text in said]}


def wrong_facts(kind: Kind, rng: np.random.Generator) -> list[dict[str, str]]:
    """WRONG times the kind's facts with one of them changed, another one each time."""
    names = [name for name in kind.facts if name != "form"]
    changed = []
    for name in rng.permutation(names)[:WRONG]:
        values = FORMS[kind.facts["form"]][str(name)]
        others = [value for value in values if value != kind.facts[str(name)]]
        changed.append(dict(kind.facts) | {str(name): str(rng.choice(others))})
    return changed


def random_sentence(rng: np.random.Generator) -> str:
    """Five made-up words: what is left of a description when its meaning is taken away (Roth et al. 2023, WaffleCLIP)."""
    letters = ("bcdfghklmnprstvz", "aeiou")
    made = []
    for _ in range(5):
        made.append("".join(str(rng.choice(list(letters[position % 2]))) for position in range(int(rng.integers(4, 8)))))
    return " ".join(made)


def encode(encoder: TextEncoder, sentences: Sequence[str]) -> np.ndarray:
    """Unit embeddings n×D_t float64; sentences of like length go together, so that little is padded.

    On a CPU the batches pass side by side, each on one thread: the bytes do not depend on the number of cores.
    """
    distinct = sorted(set(sentences), key=lambda text: (len(text), text))
    batches = [distinct[start : start + BATCH_SIZE] for start in range(0, len(distinct), BATCH_SIZE)]
    # The first one alone: a tokenizer is only changed by its first call, and no two threads may change it at once.
    parts = [encoder.encode(batches[0])]
    with ThreadPoolExecutor(os.cpu_count() or 1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        parts += pool.map(encoder.encode, batches[1:])
    rows = np.concatenate(parts).astype(np.float64)
    position = {text: index for index, text in enumerate(distinct)}
    return rows[[position[text] for text in sentences]]


class BagOfWords:
    """Sentences as sets of words: a row of 0 and idf, of length 1. It knows the words of the captions and no other."""

    def __init__(self, sentences: Sequence[str]):
        sets = [set(tokens(text)) for text in sentences]
        words = sorted(set().union(*sets))
        self.column = {word: index for index, word in enumerate(words)}
        count = np.zeros(len(words))
        for found in sets:
            count[[self.column[word] for word in found]] += 1
        self.idf = np.log(len(sentences) / count) + 1

    def __call__(self, sentences: Sequence[str]) -> np.ndarray:
        """n×words float64."""
        rows = np.zeros((len(sentences), len(self.column)))
        for row, text in zip(rows, sentences, strict=True):
            known = [self.column[word] for word in set(tokens(text)) if word in self.column]
            row[known] = self.idf[known]
        return unit(rows)


def unknown_words(sentence: str, words: Words) -> list[str]:
    """The words of a sentence that no noun, adjective or phrase of the captions has."""
    known = set(vocabulary_words(words))
    return [word for word in dict.fromkeys(tokens(sentence)) if word not in known]


def understood(sentence: str, words: Words) -> dict[str, list[str]]:
    """The attribute words in a sentence, by attribute and value ("tone dark": ["black"])."""
    said = set(tokens(sentence))
    found: dict[str, list[str]] = {}
    for name in VALUES:
        for value in VALUES[name]:
            of_value = [word for text in words.adjectives.get(name, {}).get(value, ()) for word in tokens(text)]
            if hits := sorted(said & set(of_value)):
                found[f"{name} {value}"] = hits
    forms = {
        key: sorted(said & {word for noun in nouns for word in tokens(noun) if len(word) > 3})
        for key, nouns in words.nouns.items()
    }
    most = max(map(len, forms.values()))
    # "line" alone is in many nouns: only the forms that explain most of the words are named.
    return found | {f"form {key}": hits for key, hits in forms.items() if hits and len(hits) == most}


def vocabulary_words(words: Words) -> list[str]:
    """Every word that a caption can have."""
    texts = [text for nouns in words.nouns.values() for text in nouns]
    for group in (words.adjectives, words.phrases):
        texts += [text for values in group.values() for said in values.values() for text in said]
    return sorted({word for text in [*texts, *words.phrasings.values()] for word in tokens(text)})


def describe(facts: Facts) -> str:
    """Facts in one line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())
