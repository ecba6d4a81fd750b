"""Why a design with a few fixed sentences cannot show language at work: any other texts reach the same function.

With K texts T (K×D_t, linearly independent) and a free projection W (D_t×D), the similarity T W h / (τ |W h|) depends on T W
and on WᵀW alone. For any other independent texts T' there is a W' with T'W' = c·TW and W'ᵀW' = WᵀW; c goes into τ. So what
is learned with one set of texts can be learned with every other: only texts that W was not trained on can tell them apart.
"""

import numpy as np


def equivalent_projection(text: np.ndarray, weight: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, float]:
    """W' (D_t×D) and c: `other` with W' and τ·c computes what `text` with W (D_t×D) and τ does.

    text, other: K×D_t. Raises ValueError where the texts depend on each other or D_t is below K + D.
    """
    classes, size = other.shape
    features = weight.shape[1]
    if size < classes + features or np.linalg.matrix_rank(other) < classes:
        raise ValueError(f"{classes} independent texts of at least {classes + features} numbers are expected")
    products, gram = text @ weight, weight.T @ weight
    inside = np.linalg.pinv(other) @ products
    # Of WᵀW, the part that the texts' own space needs: c makes it small enough for the rest to be a Gram matrix.
    values, vectors = np.linalg.eigh(gram)
    root = vectors / np.sqrt(np.maximum(values, 1e-300))
    largest = np.linalg.eigvalsh(root.T @ (inside.T @ inside) @ root).max()
    ratio = float(min(1.0, 0.999 / np.sqrt(largest)))
    rest = gram - ratio**2 * (inside.T @ inside)
    values, vectors = np.linalg.eigh((rest + rest.T) / 2)
    complement = np.linalg.svd(other)[2][classes : classes + features]
    return ratio * inside + complement.T @ (np.sqrt(np.maximum(values, 0))[:, None] * vectors.T), ratio
