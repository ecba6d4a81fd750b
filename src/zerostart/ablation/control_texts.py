"""Embeddings that look like the text's but do not mean the classes: controls of equal capacity.

Each takes the real class embeddings (K×D_t) and a random generator, and returns K×D_t unit rows. If a refinement with one
of them is as good as with the real ones, then the gain is not owed to language.
"""

from collections.abc import Callable

import numpy as np

from zerostart.language.prompts import Prompts

Control = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def shuffled(text: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same embeddings, each given to another class (a derangement)."""
    while True:
        order = rng.permutation(len(text))
        if (order != np.arange(len(text))).all():
            return text[order]


def same_cosines(text: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random directions with the cosines of the real ones: a rotation of all of D_t.

    A linear projection can undo the rotation, hence this one should equal the real text: it tests the experiment, not language.
    """
    rotation, upper = np.linalg.qr(rng.standard_normal((text.shape[1],) * 2))
    return _unit(text @ (rotation * np.sign(np.diag(upper))))  # uniform over all rotations (Mezzadri 2007, section 5)


def isotropic(text: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Independent random directions."""
    return _unit(rng.standard_normal(text.shape))


def one_hot(text: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Class k is the k-th axis: all classes equally far from each other."""
    return np.eye(*text.shape)


CONTROLS: dict[str, Control] = {f.__name__: f for f in (shuffled, same_cosines, isotropic, one_hot)}


def random_words(prompts: Prompts, classes: list[str], rng: np.random.Generator) -> dict[str, list[str]]:
    """The sentences of the prompt set `ensemble` with random letters in the place of the descriptions' words.

    The class's plain name stays in front of them: WaffleCLIP's control (Roth et al., ICCV 2023, section 3.2), which asks
    whether descriptions do more than any words behind a class name.
    """
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))

    def waffle(name: str, description: str) -> str:
        words = ("".join(rng.choice(letters, len(word))) for word in description.split())
        return f"{prompts.names.get(name, name)}, {' '.join(words)}"

    fillings = {name: [waffle(name, text) for text in prompts.descriptions[name]] for name in classes}
    return {name: [t.replace("{}", text) for t in prompts.templates or ["{}"] for text in fillings[name]] for name in classes}


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
