"""One vector of a picture's and a text's embedding, on record as in a query."""

import numpy as np

from zerostart.errors import InputError
from zerostart.retrieval.params import MixParams

STRATEGIES = ("average", "weighted", "image", "text")


def mix(images: np.ndarray, texts: np.ndarray, params: MixParams) -> np.ndarray:
    """Unit rows n×D of pictures and of texts to unit rows n×D.

    `average` and `weighted` (alpha of the picture, beta of the text) add; `image` and `text` take one. Raises InputError
    when picture and text cancel each other.
    """
    weights = {"average": (1.0, 1.0), "weighted": (params.alpha, params.beta), "image": (1.0, 0.0), "text": (0.0, 1.0)}
    alpha, beta = weights[params.strategy]
    mixed = alpha * images + beta * texts
    lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
    if not (lengths > 1e-6).all():
        row = int(np.argmin(lengths))
        raise InputError(f"mix '{params.strategy}' (alpha {alpha}, beta {beta}) gives case {row} a vector of length 0")
    return (mixed / lengths).astype(np.float32)
