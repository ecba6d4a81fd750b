"""A learned vocabulary as a few arrays beside a detector, and the row of weights that a sentence becomes.

A class is one row of D numbers and an offset: z = row · x + offset for the raw features x of a query, and its score is
objectness · σ(2(z − shift))^gain.
"""

from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from zerostart.errors import InputError
from zerostart.novel.material import School, Seen
from zerostart.novel.params import NovelParams
from zerostart.novel.queries import SEEN_FROM, Looks, objectness
from zerostart.novel.texts import unit
from zerostart.novel.vocabulary import Moments, Sums, feature_scale, fit_vocabulary, whitening
from zerostart.outputs import write_json
from zerostart.records import check_regular, read_json

SETTINGS = {"classes", "detector", "text_encoder", "language", "gain", "shift", "regions", "worth"}
ARRAYS = ("matrix", "text_mean", "mean", "deviation", "reference_mean", "reference_covariance")


class SavedVocabulary(NamedTuple):
    """All that `classes add` needs."""

    matrix: np.ndarray
    """V: D×D_t."""
    text_mean: np.ndarray
    mean: np.ndarray
    """D: of the features, then their deviation."""
    deviation: np.ndarray
    reference_mean: np.ndarray
    """D, D×D: of the standardised features of the school's queries that may be objects."""
    reference_covariance: np.ndarray
    settings: dict
    """classes, detector (its fingerprint), text_encoder, language, gain, shift, regions, worth."""

    def row(self, embedded: np.ndarray, shots: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """Weights (D) of raw features and the offset, from a class's embedded sentences (n×D_t).

        shots: features of labelled objects (k×D). They are compared in the captions' space, and the sentence counts as `worth`
        objects beside them.
        """
        text = unit(embedded.astype(np.float64).mean(axis=0))
        weights = self._standardised((text - self.text_mean) @ self.matrix.T)
        if shots is not None:
            shown = ((shots.astype(np.float64) - self.mean) / self.deviation).mean(axis=0)
            in_captions = self._standardised(shown @ self.matrix @ self.matrix.T)
            weights = self._standardised(self.settings["worth"] * weights + len(shots) * in_captions)
        raw = weights / self.deviation
        return raw, float(-weights @ self.reference_mean - raw @ self.mean)

    def _standardised(self, weights: np.ndarray) -> np.ndarray:
        """Scaled so that the scores of queries that may be objects have the deviation 1."""
        return weights / max(float(np.sqrt(weights @ self.reference_covariance @ weights)), 1e-12)

    def log_fits(self, z: np.ndarray) -> np.ndarray:
        """How well standardised scores z fit a description: gain · log σ(2(z − shift))."""
        return -self.settings["gain"] * np.logaddexp(0.0, -2 * (z - self.settings["shift"]))


def learn(school: School, known: Seen, seen: Looks, classes: list[str], params: NovelParams, detector: str) -> SavedVocabulary:
    """From the whole school, with the known classes' objects in the covariance. detector: its fingerprint.

    seen: of the school's pictures. Scores are standardised over their queries: marks of all kinds, as where something new is
    looked for. By pictures that show known classes alone, fair and good scores of a new mark were hardly told apart.
    """
    scale = feature_scale(school.features)
    marks = scale(school.features)
    described = [Moments.of(marks)]
    if params.known_objects:
        described += [Moments.of(scale(known.features[known.category == k])) for k in range(len(classes))]
    background = Moments.of(scale(school.background))
    inverse = whitening(described, background, params.ridge_features, params.background)
    each, size = school.captions.shape[1:]
    sums = Sums.of(np.repeat(marks, each, axis=0), school.captions.reshape(-1, size))
    vocabulary = fit_vocabulary(inverse, sums, params.ridge_text)
    reference = scale(seen.features[objectness(seen.logits) > SEEN_FROM])
    reference_mean = reference.mean(axis=0)
    centred = reference - reference_mean
    settings = {
        "classes": classes,
        "detector": detector,
        "text_encoder": params.text_encoder,
        "language": params.languages[0],
        "gain": params.gain,
        "shift": params.shift,
        "regions": params.regions,
        "worth": params.worth,
    }
    covariance = centred.T @ centred / len(centred)
    return SavedVocabulary(
        vocabulary.matrix, vocabulary.mean, scale.mean, scale.deviation, reference_mean, covariance, settings
    )


def save_vocabulary(vocabulary: SavedVocabulary, folder: Path) -> None:
    """Write vocabulary.npz (float32) and settings.json."""
    with (folder / "vocabulary.npz").open("wb") as file:
        np.savez(file, **{name: getattr(vocabulary, name).astype(np.float32) for name in ARRAYS})
    write_json(folder / "settings.json", vocabulary.settings)


def load_vocabulary(folder: Path) -> SavedVocabulary:
    """Read a folder of :func:`save_vocabulary`; raises InputError where it holds anything else."""
    settings = read_json(folder / "settings.json", "`make novel` learns a vocabulary")
    if not isinstance(settings, dict) or SETTINGS - settings.keys():
        names = ", ".join(sorted(SETTINGS))
        raise InputError(f"{folder}/settings.json: an object with {names} is expected; `make novel` writes it")
    path = folder / "vocabulary.npz"
    check_regular(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return SavedVocabulary(*(arrays[name].astype(np.float64) for name in ARRAYS), settings)
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, BadZipFile) as error:
        raise InputError(f"{path}: not a vocabulary that can be read ({error}); `make novel` learns one") from None
