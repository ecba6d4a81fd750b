"""The closed form, the judge and the intervals."""

import numpy as np
import pytest

from zerostart.novel.average_precision import NovelJudge
from zerostart.novel.intervals import estimate, holm
from zerostart.novel.material import School, Seen
from zerostart.novel.params import load_novel_params
from zerostart.novel.queries import Looks
from zerostart.novel.rows import learn
from zerostart.novel.texts import BagOfWords, understood, unknown_words
from zerostart.novel.vocabulary import (
    Moments,
    Sums,
    feature_scale,
    fit_vocabulary,
    named_rows,
    novel_scores,
    row_scores,
    whitening,
)


def sample():
    rng = np.random.default_rng(0)
    return rng.standard_normal((50, 7)), rng.standard_normal((50, 5)), rng.standard_normal((3, 5))


def test_rows_of_few_sentences_equal_those_of_the_whole_vocabulary():
    features, texts, asked = sample()
    sums = Sums.of(features, texts)
    inverse = whitening([Moments.of(features)], Moments.of(features[:20]), 0.1, 0.3)
    np.testing.assert_allclose(
        named_rows(inverse, sums, 2.0, asked), fit_vocabulary(inverse, sums, 2.0).rows(asked), rtol=1e-9, atol=1e-12
    )


def test_the_closed_form_is_the_minimum_of_its_loss():
    """ESZSL: |X V − Y|² with V between features and texts; the gradient of |Xᵀ... is 0 at (G+γI) V (T̃ᵀT̃+λI) = Xᵀ T̃."""
    features, texts, _ = sample()
    ridge, of_text = 0.1, 2.0
    inverse = whitening([Moments.of(features)], Moments.of(features), ridge, 0.0)
    matrix = fit_vocabulary(inverse, Sums.of(features, texts), of_text).matrix
    centred = texts - texts.mean(axis=0)
    gram = features.T @ features / len(features) + ridge * np.eye(7)
    np.testing.assert_allclose(gram @ matrix @ (centred.T @ centred + of_text * np.eye(5)), features.T @ centred, atol=1e-9)


def test_leaving_pairs_out_equals_never_having_had_them():
    features, texts, _ = sample()
    fewer = Sums.of(features, texts).without(Sums.of(features[:10], texts[:10]))
    for mine, theirs in zip(fewer, Sums.of(features[10:], texts[10:]), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-10)


def test_scores_have_mean_0_and_deviation_1_over_the_reference():
    features, _, _ = sample()
    scores = row_scores(np.eye(7)[:2] * 3, features, features)
    np.testing.assert_allclose([scores.mean(axis=0), scores.std(axis=0)], [[0, 0], [1, 1]], atol=1e-12)


def test_words_can_only_lower_objectness():
    scores = novel_scores(np.log([0.9, 0.9]), np.array([[-3.0], [8.0]]), 3.0, 1.0)
    assert scores[0, 0] < np.log(0.9) - 10 and scores[1, 0] == pytest.approx(np.log(0.9), abs=1e-4)


def test_the_score_of_a_new_class_by_hand():
    """At the shift the words halve it `gain` times, one deviation above by σ(2) each time."""
    scores = novel_scores(np.log([0.8, 0.8]), np.array([[1.5], [2.5]]), 3.0, 1.5)
    np.testing.assert_allclose(np.exp(scores[:, 0]), [0.8 / 2**3, 0.8 / (1 + np.exp(-2)) ** 3])


def test_a_feature_that_never_varies_is_left_as_it_is():
    scale = feature_scale(np.float32([[3, 1], [3, 5]]))
    np.testing.assert_array_equal(scale(np.float32([[3, 5], [4, 3]])), [[0, 1], [1, 0]])


def test_the_judge_sees_only_its_categories():
    boxes = np.array([[[0.2, 0.2, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]]] * 2)
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10.0, 10.0, 20.0, 20.0], "area": 400.0},
        {"id": 2, "image_id": 2, "category_id": 0, "bbox": [60.0, 60.0, 20.0, 20.0], "area": 400.0},
    ]
    coco = {
        "images": [{"id": 1, "width": 100, "height": 100}, {"id": 2, "width": 100, "height": 100}],
        "annotations": annotations,
        "categories": [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}],
    }
    judge = NovelJudge(boxes, coco, [1], np.array([[1.0, 2.0], [1.0, 0.0]]))
    best_first = np.log(np.array([[0.9, 0.1], [0.2, 0.3]]))[..., None]
    np.testing.assert_allclose(judge(best_first), [[1.0, 1.0]])
    # Two wrong detections of the other picture rank above it: precision 1/3, and 1 where that picture is not drawn.
    last = np.log(np.array([[0.15, 0.1], [0.2, 0.3]]))[..., None]
    np.testing.assert_allclose(judge(last), [[1 / 3, 1.0]], atol=1e-6)


def test_an_estimate_covers_seeds_kinds_and_images():
    rng = np.random.default_rng(0)
    kinds = rng.normal(0, 1, (1, 6, 1))
    values = np.repeat(np.repeat(0.5 + kinds, 3, axis=0), 400, axis=2)
    found = estimate(values)
    # Only the kinds differ: the error of a mean of six of them (population deviation, as a bootstrap has it).
    assert found.error == pytest.approx(kinds.std() / np.sqrt(6), rel=0.15)
    assert found.low < found.value < found.high


def test_an_estimate_draws_the_seeds():
    rng = np.random.default_rng(1)
    seeds = rng.normal(0, 1, (8, 1, 1))
    found = estimate(np.repeat(np.repeat(0.5 + seeds, 5, axis=1), 400, axis=2))
    assert found.error == pytest.approx(seeds.std() / np.sqrt(8), rel=0.15)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.04: times 3, 2 and 1.
    assert holm({"a": 0.04, "b": 0.01, "c": 0.02}) == pytest.approx({"a": 0.04, "b": 0.03, "c": 0.04})
    # 0.025 once would be less than 0.02 twice: none is below one that was smaller.
    assert holm({"a": 0.025, "b": 0.01, "c": 0.02}) == pytest.approx({"a": 0.04, "b": 0.03, "c": 0.04})


def test_a_bag_knows_the_words_of_the_captions_only():
    bag = BagOfWords(["a dark line", "a bright spot"])
    rows = bag(["dark lines", "nothing known"])
    assert rows[0] @ bag(["a dark line"])[0] > 0.9
    assert not rows[1].any()


def test_scores_are_standardised_over_the_queries_of_the_school():
    """Whatever the sentence: mean 0 and deviation 1 over the school's queries that may be objects."""
    rng = np.random.default_rng(0)
    nothing = np.zeros((0, 1))
    marks = rng.standard_normal((40, 3))
    school = School(marks, [], nothing, rng.standard_normal((40, 2, 5)), [], nothing, marks, nothing, 1.0)
    logits = np.where(rng.random((6, 4, 1)) < 0.5, 3.0, -9.0)
    seen = Looks(rng.standard_normal((6, 4, 3)) * 2 + 1, logits, np.zeros((6, 4, 4)), {})
    known = Seen(seen, logits[..., 0], rng.standard_normal((9, 3)), np.arange(9) % 2, np.zeros((9, 2)))
    vocabulary = learn(school, known, seen, ["a", "b"], load_novel_params(), "detector")
    row, offset = vocabulary.row(rng.standard_normal((2, 5)))
    z = (seen.features @ row + offset)[logits[..., 0] > 0]
    assert z.mean() == pytest.approx(0, abs=1e-9) and z.std() == pytest.approx(1)


def test_what_was_understood_and_what_not():
    from zerostart.novel.captions import load_words

    words = load_words("en")
    found = understood("a rusty crater with ragged borders", words)
    assert found["tint brown"] == ["rusty"] and found["edge jagged"] == ["ragged"]
    assert "crater" in unknown_words("a rusty crater", words)
