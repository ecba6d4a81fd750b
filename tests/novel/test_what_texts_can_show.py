"""Six fixed sentences and a free projection show nothing; sentences that the projection was not trained on do."""

from itertools import product

import numpy as np
import pytest
import torch

from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.novel.equivalence import equivalent_projection
from zerostart.novel.vocabulary import Moments, Sums, named_rows, whitening

K, SIZE, FEATURES = 6, 96, 24


@pytest.mark.parametrize("alike", [0.0, 5.0], ids=["any", "all of them nearly the same"])
def test_other_texts_reach_the_same_logits(alike):
    rng = np.random.default_rng(0)
    text, other = (rng.standard_normal((K, SIZE)) for _ in range(2))
    other = other + alike * rng.standard_normal(SIZE)
    text, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (text, other))
    weight = rng.standard_normal((SIZE, FEATURES))
    weight_of_other, ratio = equivalent_projection(text, weight, other)
    hidden = torch.from_numpy(rng.standard_normal((50, FEATURES)))
    similarity = [
        fusion_with(rows, projection, tau).similarity(hidden).detach().numpy()
        for rows, projection, tau in ((text, weight, 0.07), (other, weight_of_other, 0.07 * ratio))
    ]
    assert (ratio < 1) == (alike > 0)
    np.testing.assert_allclose(similarity[1], similarity[0], rtol=0, atol=1e-5)
    assert np.abs(text @ other.T).max() < 0.9  # they are different texts


def fusion_with(text: np.ndarray, weight: np.ndarray, tau: float) -> Fusion:
    config = FusionConfig(
        classes=[str(index) for index in range(K)],
        visual_dim=FEATURES,
        text_dim=SIZE,
        mode="residual",
        projector="linear",
        dropout=0.0,
        alpha_per_class=False,
        center_similarity=False,
    )
    fusion = Fusion(config, torch.from_numpy(text)).double()
    with torch.no_grad():
        fusion.text.copy_(torch.from_numpy(text))
        fusion.projector[0].weight.copy_(torch.from_numpy(weight))
        fusion.projector[0].bias.zero_()
        fusion.log_tau.fill_(np.log(tau))
    return fusion


def toy(shuffled: bool, unseen: bool) -> float:
    """Share of right answers; sentences are a class's two attributes (of four values each), embedded.

    unseen: taught on 12 of 16 classes, asked for the other 4. Otherwise six classes are taught and asked for, whose sentences
    are linearly independent, as those of six class descriptions are.
    """
    rng = np.random.default_rng(1)
    classes = list(product(range(4), range(4))) if unseen else [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3)]
    facts = np.array([np.eye(4)[first].tolist() + np.eye(4)[second].tolist() for first, second in classes])
    embed, look = rng.standard_normal((8, 40)), rng.standard_normal((8, 20))
    sentences = facts @ embed
    sentences /= np.linalg.norm(sentences, axis=1, keepdims=True)
    taught = [index for index, (first, second) in enumerate(classes) if not unseen or first != second]
    asked = [index for index in range(len(classes)) if index not in taught] or taught
    label = np.repeat(taught, 60)
    objects = facts[label] @ look + 0.3 * rng.standard_normal((len(label), 20))
    told = sentences.copy()
    if shuffled:
        # Another class's sentence for every class that is taught, and the same one when it is asked for.
        told[taught] = sentences[np.roll(taught, 5)]
    sums = Sums.of(objects, told[label])
    inverse = whitening([Moments.of(objects - objects.mean(axis=0))], Moments.of(objects - objects.mean(axis=0)), 0.01, 0.0)
    rows = named_rows(inverse, sums, 0.01, told[asked])
    tested = np.repeat(asked, 100)
    seen = facts[tested] @ look + 0.3 * rng.standard_normal((len(tested), 20))
    scores = (seen - objects.mean(axis=0)) @ rows.T
    scores = scores / np.linalg.norm(rows @ np.linalg.cholesky(np.linalg.inv(inverse)), axis=1)
    return float((np.array(asked)[scores.argmax(axis=1)] == tested).mean())


def test_shuffled_text_loses_where_classes_are_unseen():
    assert toy(shuffled=False, unseen=True) > 0.9
    assert toy(shuffled=True, unseen=True) < 0.5


def test_shuffled_text_ties_where_all_classes_are_seen():
    real, shuffled = toy(shuffled=False, unseen=False), toy(shuffled=True, unseen=False)
    assert real > 0.8
    assert abs(real - shuffled) < 0.05
