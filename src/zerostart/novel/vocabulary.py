"""From a sentence to a row of weights over a query's features, in closed form.

    w(t)  = V (t − t̄),  V = (G + γI)⁻¹ Xᵀ T̃ (T̃ᵀT̃ + λI)⁻¹
    score = log objectness + gain · log σ(2(z − shift)),  z: standardised x·w(t)

X: features of captioned objects, one row per caption; T̃: embeddings of the captions less their mean t̄; G: covariance of the
features of all queries. ESZSL (Romera-Paredes & Torr, ICML 2015, equation 5) with the covariance in the place of XᵀX, so that
queries without an object and objects without a caption count as well.
"""

from typing import NamedTuple

import numpy as np


class Scale(NamedTuple):
    """Mean and standard deviation of every feature over the queries that are looked at; D each."""

    mean: np.ndarray
    deviation: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Standardised features, ...×D float64."""
        return (features.astype(np.float64) - self.mean) / self.deviation


class Sums(NamedTuple):
    """Sums over M pairs of a captioned object's features x (D) and its caption's embedding t (D_t).

    Pairs that a division leaves out are subtracted: the sums of the others need not be made again.
    """

    count: float
    x: np.ndarray
    t: np.ndarray
    xt: np.ndarray
    """D×D_t."""
    tt: np.ndarray
    """D_t×D_t."""

    @classmethod
    def of(cls, captioned: np.ndarray, texts: np.ndarray) -> "Sums":
        """Of M×D standardised features and M×D_t embeddings."""
        return cls(float(len(texts)), captioned.sum(axis=0), texts.sum(axis=0), captioned.T @ texts, texts.T @ texts)

    def without(self, other: "Sums") -> "Sums":
        """The sums of the remaining pairs."""
        return Sums(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


class Vocabulary(NamedTuple):
    """What turns an embedded sentence into a row of weights."""

    matrix: np.ndarray
    """V: D×D_t."""
    mean: np.ndarray
    """t̄: D_t."""

    def rows(self, texts: np.ndarray) -> np.ndarray:
        """K×D_t sentences to K×D weights of standardised features."""
        return (texts - self.mean) @ self.matrix.T


def feature_scale(features: np.ndarray) -> Scale:
    """Of N×D features; one that never varies is left as it is."""
    rows = features.astype(np.float64)
    deviation = rows.std(axis=0)
    return Scale(rows.mean(axis=0), np.where(deviation > 1e-6, deviation, 1.0))


class Moments(NamedTuple):
    """Second moments of rows of features."""

    count: int
    gram: np.ndarray
    """D×D: sum of x xᵀ."""

    @classmethod
    def of(cls, features: np.ndarray) -> "Moments":
        """Of N×D standardised features."""
        return cls(len(features), features.T @ features)


def whitening(described: list[Moments], background: Moments, ridge: float, share: float) -> np.ndarray:
    """(G + γI)⁻¹ of standardised features; γ is `ridge`, in shares of a feature's variance, which is 1.

    G: second moments of queries that cover an object, of several origins, and with weight `share` those of any queries.
    """
    gram = (1 - share) * sum(one.gram for one in described) / sum(one.count for one in described)
    gram = gram + share * background.gram / background.count
    return np.linalg.inv(gram + ridge * np.eye(len(gram)))


def fit_vocabulary(inverse: np.ndarray, sums: Sums, ridge: float) -> Vocabulary:
    """inverse: of :func:`whitening`; λ is `ridge`, in units of one caption of length 1."""
    mean = sums.t / sums.count
    cross = sums.xt - np.outer(sums.x, mean)
    inner = sums.tt - np.outer(sums.t, mean) + ridge * np.eye(len(mean))
    return Vocabulary(inverse @ np.linalg.solve(inner, cross.T).T, mean)


def named_rows(inverse: np.ndarray, sums: Sums, ridge: float, texts: np.ndarray) -> np.ndarray:
    """K×D: `fit_vocabulary(inverse, sums, ridge).rows(texts)`, for few sentences in a small part of its time."""
    mean = sums.t / sums.count
    inner = sums.tt - np.outer(sums.t, mean) + ridge * np.eye(len(mean))
    solved = np.linalg.solve(inner, (texts - mean).T).T
    return (solved @ (sums.xt - np.outer(sums.x, mean)).T) @ inverse


def row_scores(rows: np.ndarray, features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Standardised x·w of N×D features for K×D rows: N×K, mean 0 and deviation 1 over the `reference` features."""
    expected = reference @ rows.T
    deviation = expected.std(axis=0)
    return (features @ rows.T - expected.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def novel_scores(objectness: np.ndarray, standardised: np.ndarray, gain: float, shift: float) -> np.ndarray:
    """log score of a new class: log objectness + gain · log σ(2(z - shift)); objectness N, standardised z N×K."""
    return objectness[:, None] - gain * np.logaddexp(0.0, -2 * (standardised - shift))
