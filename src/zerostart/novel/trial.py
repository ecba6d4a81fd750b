"""One trial: a vocabulary from one seed's part of the school, and the rows of weights that every arm gives to what is new."""

from typing import NamedTuple

import numpy as np

from zerostart.novel.facts import differences
from zerostart.novel.material import Named, School, Seen
from zerostart.novel.params import NovelParams
from zerostart.novel.texts import OWN_WORDING, WRONG, BagOfWords, unit
from zerostart.novel.vocabulary import Moments, Scale, Sums, Vocabulary, feature_scale, fit_vocabulary, named_rows, whitening

PART = 2 / 3
"""Share of the school's pictures that a seed learns from."""
WORDINGS = (OWN_WORDING, "inspector", "plain", "together")
SPACES = ("real", "bag", "attributes", "shuffled", "isotropic", "random words")
"""What an object's description is turned into."""


class Lesson(NamedTuple):
    """What one seed learns from."""

    scale: Scale
    marks: Moments
    """Of the school's marks."""
    known: list[Moments]
    """Of the objects of every known class."""
    background: Moments
    inverse: np.ndarray
    """See `whitening`."""
    rows: np.ndarray
    """Objects of the school that take part."""
    captioned: np.ndarray
    """Their standardised features, one row per caption: n·c×D."""
    texts: dict[str, np.ndarray]
    """By space: n·c×D_t."""
    sums: dict[str, Sums]
    bag: BagOfWords


def prepare(school: School, known: Seen, classes: int, params: NovelParams, seed: int) -> Lesson:
    """A seed's lesson. known: labelled objects of the known classes; they have no captions and only shape the covariance."""
    rng = np.random.default_rng(np.random.SeedSequence((20, seed)))
    pictures = int(school.picture.max()) + 1
    part = rng.choice(pictures, round(PART * pictures), replace=False)
    rows = np.flatnonzero(np.isin(school.picture, part))
    scale = feature_scale(school.features[rows])
    marks, background = Moments.of(scale(school.features[rows])), Moments.of(scale(school.background))
    of_classes = [Moments.of(scale(known.features[known.category == k])) for k in range(classes)]
    captions = school.captions[rows]
    each, size = captions.shape[1:]
    bag = BagOfWords([text for index in rows for text in school.words[index]])
    mixed = rng.permutation(len(rows))
    isotropic = unit(rng.standard_normal((len(rows), size)))
    made_up = school.random[rng.integers(len(school.random), size=len(rows))]
    texts = {
        "real": captions.reshape(-1, size),
        "bag": bag([text for index in rows for text in school.words[index]]),
        "attributes": np.repeat(school.vectors[rows], each, axis=0),
        "shuffled": captions[mixed].reshape(-1, size),
        "isotropic": np.repeat(isotropic, each, axis=0),
        "random words": np.repeat(made_up, each, axis=0),
    }
    captioned = np.repeat(scale(school.features[rows]), each, axis=0)
    sums = {space: Sums.of(captioned, of_space) for space, of_space in texts.items()}
    lesson = Lesson(scale, marks, of_classes, background, np.empty(0), rows, captioned, texts, sums, bag)
    return knowing(lesson, list(range(classes)), params)


def knowing(lesson: Lesson, base: list[int], params: NovelParams) -> Lesson:
    """The lesson as it is where only some of the classes are known: the others shape nothing."""
    described = [lesson.marks, *(lesson.known[index] for index in base if params.known_objects)]
    return lesson._replace(inverse=whitening(described, lesson.background, params.ridge_features, params.background))


def twins(school: School, lesson: Lesson, named: Named, distance: int = 0) -> np.ndarray:
    """n booleans: the lesson's objects that differ from something that is to be named in at most `distance` core facts."""
    facts = [school.facts[index] for index in lesson.rows]
    return np.array([min(differences(one, mark) for one in named.facts) <= distance for mark in facts])


def without(lesson: Lesson, left_out: np.ndarray, space: str) -> Sums:
    """A space's sums without some of the lesson's objects."""
    if not left_out.any():
        return lesson.sums[space]
    pairs = np.repeat(left_out, len(lesson.captioned) // len(left_out))
    return lesson.sums[space].without(Sums.of(lesson.captioned[pairs], lesson.texts[space][pairs]))


def whitened_rows(lesson: Lesson, space: str, texts: np.ndarray, params: NovelParams) -> np.ndarray:
    """K×D weights of K×D_t texts, from all that a lesson has of a space."""
    return named_rows(lesson.inverse, lesson.sums[space], params.ridge_text, texts)


def zero_shot_rows(
    lesson: Lesson, named: Named, left_out: np.ndarray, school: School, params: NovelParams, seed: int
) -> dict[str, np.ndarray]:
    """Arm: K×D weights of standardised features. `wrong` has WRONG alternatives for each: WRONG×K×D."""
    rng = np.random.default_rng(np.random.SeedSequence((21, seed)))
    count, size = len(named.names), named.texts(OWN_WORDING).shape[1]
    sums = {space: without(lesson, left_out, space) for space in SPACES}

    def rows(space: str, texts: np.ndarray) -> np.ndarray:
        return named_rows(lesson.inverse, sums[space], params.ridge_text, texts)

    arms = {}
    for wording in WORDINGS:
        arms[f"real, {wording}"] = rows("real", named.texts(wording))
        arms[f"bag, {wording}"] = rows("bag", named.bags(lesson.bag, wording))
    arms["attributes"] = rows("attributes", named.vectors())
    arms["shuffled"] = rows("shuffled", named.texts(OWN_WORDING))
    arms["isotropic"] = rows("isotropic", unit(rng.standard_normal((count, size))))
    arms["random words"] = rows("random words", school.random[rng.choice(len(school.random), count, replace=False)])
    arms["wrong"] = np.stack([rows("real", named.texts(f"wrong{number}")) for number in range(WRONG)])
    arms["another's"] = np.roll(arms[f"real, {OWN_WORDING}"], 1, axis=0)
    return arms


def prototypes(lesson: Lesson, features: np.ndarray, category: np.ndarray, count: int) -> np.ndarray:
    """K×D weights: (G + γI)⁻¹ (mean of the labelled objects − mean of all): the head of linear discriminant analysis."""
    standardised = lesson.scale(features)
    means = np.stack([standardised[category == k].mean(axis=0) for k in range(count)])
    return means @ lesson.inverse


def in_space(vocabulary: Vocabulary, rows: np.ndarray) -> np.ndarray:
    """Weights of prototypes that are compared in the space of the texts: V Vᵀ p; rows K×D are standardised features."""
    return (rows @ vocabulary.matrix) @ vocabulary.matrix.T


def vocabulary_of(lesson: Lesson, space: str, params: NovelParams) -> Vocabulary:
    """The whole vocabulary of a space."""
    return fit_vocabulary(lesson.inverse, lesson.sums[space], params.ridge_text)
