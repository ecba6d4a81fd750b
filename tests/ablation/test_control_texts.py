"""The control embeddings: what they keep of the real ones, and what they do not."""

import numpy as np
import pytest

from zerostart.ablation.control_texts import CONTROLS, isotropic, one_hot, random_words, same_cosines, shuffled
from zerostart.language.prompts import Prompts, expand_prompts


def text(classes=6, size=32, seed=0):
    rows = np.random.default_rng(seed).normal(size=(classes, size)) + 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("make", CONTROLS.values(), ids=CONTROLS)
def test_unit_rows_of_the_same_shape_decided_by_the_generator(make):
    real = text()
    first, again, other = (make(real, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == real.shape
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1)
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (make is one_hot)


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_shuffled_gives_no_class_its_own_embedding(classes):
    real = text(classes)
    for seed in range(20):
        control = shuffled(real, np.random.default_rng(seed))
        assert sorted(map(tuple, control)) == sorted(map(tuple, real))
        assert not (control == real).all(axis=1).any()


def test_same_cosines_keeps_the_gram_matrix_and_nothing_else():
    real = text()
    control = same_cosines(real, np.random.default_rng(0))
    np.testing.assert_allclose(control @ control.T, real @ real.T, atol=1e-12)
    assert abs(control @ real.T).max() < 0.7  # another direction


def test_isotropic_and_one_hot_have_no_cosines_of_the_real_ones():
    real = text(size=4000)
    assert (real @ real.T).min() > 0.4
    np.testing.assert_allclose(isotropic(real, np.random.default_rng(5)) @ real.T, 0, atol=0.1)
    assert np.array_equal(one_hot(real, np.random.default_rng(0))[:, :6], np.eye(6))


def test_random_words_keep_names_templates_and_the_shape_of_the_words():
    prompts = Prompts(
        descriptions={"a_b": ["a dark hole"], "c": ["a fine line", "mark"]},
        templates=["{}", "a photo of {}"],
        names={"a_b": "a b"},
    )
    sentences = random_words(prompts, ["a_b", "c"], np.random.default_rng(0))
    real = expand_prompts(prompts, ["a_b", "c"], "ensemble", "file")
    assert {name: len(texts) for name, texts in sentences.items()} == {name: len(texts) for name, texts in real.items()}
    assert sentences["a_b"][0].startswith("a b, ") and sentences["c"][3].startswith("a photo of c, ")
    words = sentences["a_b"][0].removeprefix("a b, ").split()
    assert [len(word) for word in words] == [1, 4, 4]
    assert not {"dark", "hole"} & set(words)
    assert sentences["a_b"][1] == "a photo of " + sentences["a_b"][0]
    assert sentences != random_words(prompts, ["a_b", "c"], np.random.default_rng(1))
