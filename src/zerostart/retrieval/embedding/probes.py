"""Know an embedder again by what it makes of one fixed picture and one fixed sentence."""

import numpy as np
from PIL import Image

from zerostart.errors import InputError
from zerostart.retrieval.embedding.embedders import Embedder

SENTENCE = "A deep scratch on the rear bumper."
LEAST_COSINE = 0.999
"""Between the same embedder's probes: another processor rounds otherwise, another model differs far more."""


def probe(embedder: Embedder) -> np.ndarray:
    """2×D unit rows: of a colour gradient and of a sentence."""
    ramp = np.linspace(0, 255, 64)
    picture = np.stack([np.add.outer(ramp, -ramp) % 256, np.add.outer(ramp, ramp) / 2, np.tile(ramp, (64, 1))], axis=-1)
    image = Image.fromarray(picture.astype(np.uint8))
    return np.concatenate([embedder.embed_images([("probe", lambda: image)]), embedder.embed_texts([SENTENCE])])


def check_probe(embedder: Embedder, expected: np.ndarray, index: str) -> None:
    """Raises InputError when an index was made with another model than `embedder`."""
    found = probe(embedder)
    if found.shape != expected.shape or (found * expected).sum(axis=1).min() < LEAST_COSINE:
        raise InputError(f"{index}: an index of another model than the '{embedder.name}' at hand; run the stage `index` again")
