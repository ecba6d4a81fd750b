"""All that a trial needs of one data set, read once: the school with its captions, the unlabelled queries, what is judged."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from zerostart.errors import InputError
from zerostart.novel.facts import fact_vector
from zerostart.novel.queries import Looks, load_looks, match_objects, objectness
from zerostart.novel.texts import BagOfWords, unit
from zerostart.records import read_json

BACKGROUND = 4000
"""Queries that stand for everything that a detector looks at."""


class School(NamedTuple):
    """The captioned objects that a query covers; n of them."""

    features: np.ndarray
    """n×D float32."""
    facts: list[dict[str, str]]
    vectors: np.ndarray
    """n×F: see `fact_vector`."""
    captions: np.ndarray
    """n×c×D_t unit embeddings of each object's captions."""
    words: list[list[str]]
    """The captions themselves."""
    picture: np.ndarray
    """n: position of the object's picture."""
    background: np.ndarray
    """BACKGROUND×D float32: any queries."""
    random: np.ndarray
    """Embedded sentences of made-up words."""
    found: float
    """Share of the school's objects that a query covers."""


class Named(NamedTuple):
    """What has to be named: K kinds or classes."""

    names: list[str]
    facts: list[dict[str, str]]
    sentences: list[dict[str, list[str]]]
    embedded: list[dict[str, np.ndarray]]
    """Wording: n×D_t."""

    def texts(self, wording: str) -> np.ndarray:
        """K×D_t: the mean of each one's sentences in a wording."""
        return unit(np.stack([one[wording].astype(np.float64).mean(axis=0) for one in self.embedded]))

    def bags(self, bag: BagOfWords, wording: str) -> np.ndarray:
        """The same for bags of words."""
        return unit(np.stack([bag(one[wording]).mean(axis=0) for one in self.sentences]))

    def vectors(self) -> np.ndarray:
        """K×F: the facts themselves, without a word."""
        return np.stack([fact_vector(facts) for facts in self.facts])


class Seen(NamedTuple):
    """Pictures with labels: all queries, and those that cover an object."""

    looks: Looks
    objectness: np.ndarray
    """N×Q: logarithms."""
    features: np.ndarray
    """M×D float32 of the queries that cover an object."""
    category: np.ndarray
    """M."""
    object_logits: np.ndarray
    """M×K: the detector's logits of the same queries."""


def load_school(folder: Path, regions: bool) -> School:
    """Read `looks/school` and `texts` of a data set's folder."""
    looks = load_looks(folder / "looks/school", regions)
    match = match_objects(looks)
    if not len(match.annotation):
        raise InputError(f"{folder}: no query of the detector covers any mark of the school; another baseline is expected")
    facts = [looks.coco["annotations"][index]["attributes"] for index in match.annotation]
    words = read_json(folder / "texts/captions.json", "the stage `captions` writes it")
    queries = looks.features.reshape(-1, looks.features.shape[-1])
    some = np.random.default_rng(0).choice(len(queries), min(BACKGROUND, len(queries)), replace=False)
    return School(
        looks.features[match.image, match.query],
        facts,
        np.stack([fact_vector(one) for one in facts]),
        np.load(folder / "texts/captions.npy")[match.annotation].astype(np.float64),
        [words[index] for index in match.annotation],
        match.image,
        queries[np.sort(some)],
        np.load(folder / "texts/random.npy").astype(np.float64),
        len(match.image) / len(looks.coco["annotations"]),
    )


def load_named(folder: Path, group: str) -> Named:
    """Read the kinds or classes of `texts/<group>.json`."""
    missing = "the stage `captions` writes it, from the facts and sentences in data/captions"
    listed = read_json(folder / f"texts/{group}.json", missing)
    embedded = []
    for one in listed:
        with np.load(folder / f"texts/{group}/{one['name']}.npz") as arrays:
            embedded.append(dict(arrays))
    return Named(
        [one["name"] for one in listed], [one["facts"] for one in listed], [one["sentences"] for one in listed], embedded
    )


def load_seen(folder: Path, name: str, regions: bool) -> Seen:
    """Read labelled pictures."""
    looks = load_looks(folder / "looks" / name, regions)
    match = match_objects(looks)
    category = np.array([looks.coco["annotations"][index]["category_id"] for index in match.annotation], np.int64)
    of_objects = looks.features[match.image, match.query], category, looks.logits[match.image, match.query]
    return Seen(looks, objectness(looks.logits), *of_objects)
