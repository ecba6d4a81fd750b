"""The tagging numbers against scikit-learn and against hand calculations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from zerostart.tagging.judging.judged import Judged, confusion, difference, most_frequent_tags, recall_by_size, report, verdict
from zerostart.tagging.judging.scores import (
    accuracy_and_f1,
    best_thresholds,
    bootstrap_samples,
    mean_ap_samples,
    per_tag_f1,
    tag_metrics,
)

TAGS = ("a", "b", "c")


@st.composite
def predictions(draw):
    count = draw(st.integers(1, 12))
    bits = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=count, max_size=count)
    return np.array(draw(bits)), np.array(draw(bits))


@given(predictions())
def test_accuracy_and_f1_are_those_of_scikit_learn(pair):
    predicted, targets = pair
    found = accuracy_and_f1(predicted, targets.astype(np.uint8))
    assert found["subset_accuracy"] == pytest.approx(accuracy_score(targets, predicted))
    assert found["micro_F1"] == pytest.approx(f1_score(targets, predicted, average="micro", zero_division=0))
    each = f1_score(targets, predicted, average=None, zero_division=0)
    assert per_tag_f1(predicted, targets) == pytest.approx(each)
    present = targets.any(axis=0)
    assert found["macro_F1"] == pytest.approx(each[present].mean() if present.any() else 0)


def test_a_resample_is_the_pictures_repeated():
    rng = np.random.default_rng(3)
    predicted, targets = rng.random((2, 9, 3)) < 0.5
    found = bootstrap_samples(predicted, targets, samples=5, seed=7)
    counts = np.random.default_rng(7).multinomial(9, np.full(9, 1 / 9), size=5)
    for index, count in enumerate(counts):
        again = accuracy_and_f1(predicted.repeat(count, axis=0), targets.repeat(count, axis=0))
        assert {name: values[index] for name, values in found.items()} == pytest.approx(again)


def test_a_tag_without_pictures_has_no_ap_and_is_in_no_mean():
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]])
    scores = np.array([[0.9, 0.2, 0.7], [0.1, 0.8, 0.7], [0.6, 0.9, 0.7]])
    found = tag_metrics(scores, targets, np.full(3, 0.5), TAGS)
    assert found["mAP"] == 1 and found["mean_AUC"] == 1 and found["macro_F1"] == 1
    assert found["subset_accuracy"] == 0  # c is given everywhere
    assert found["per_tag"]["c"] == {"F1": 0.0, "AP": None, "AUC": None, "pictures": 0}


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=15))
def test_the_best_threshold_is_the_best_of_all(rows):
    scores, targets = np.array([[s / 8] for s, _ in rows]), np.array([[t] for _, t in rows])
    (chosen,) = best_thresholds(scores, targets, fallback=0.3)
    if not targets.any():
        assert chosen == 0.3
        return
    every = [per_tag_f1(scores >= limit, targets)[0] for limit in np.arange(0, 9) / 8]
    assert per_tag_f1(scores >= chosen, targets)[0] == pytest.approx(max(every))
    assert 0 <= chosen <= 1


def test_confusion_of_each_kind_of_mistake():
    #                     found     missed, got b  missed, none  right and b too   nothing there  false alarm
    targets = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]])
    given_tags = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]])
    counts = {(a, p): n for a, p, n in confusion(Judged(given_tags.astype(float), np.full(3, 0.5), targets), TAGS) if n}
    assert counts == {
        ("a", "a"): 2,
        ("a", "b"): 1,
        ("c", "no tag"): 1,
        ("no tag", "b"): 1,
        ("no tag", "no tag"): 1,
        ("no tag", "c"): 1,
    }


def test_recall_and_false_alarms_by_size():
    targets = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]])
    areas = np.array([[0.01, 0, 0], [0.02, 0, 0], [0, 0.5, 0], [0, 0, 0]])
    given_tags = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0]])
    found = recall_by_size(Judged(given_tags.astype(float), np.full(3, 0.5), targets), areas)
    assert found["small"] == {"tags": 2, "recall": 0.5, "false_alarms": 0.5}
    assert found["medium"] == {"tags": 0, "recall": None, "false_alarms": None}
    assert found["large"] == {"tags": 1, "recall": 1.0, "false_alarms": 0.0}
    assert found["none"]["false_alarms"] == 2.0


def test_few_tagged_pictures_still_have_intervals():
    targets = np.zeros((20, 3))
    targets[:3, 0] = 1
    judged = Judged(np.random.default_rng(0).random((20, 3)), np.full(3, 0.5), targets)
    found = report(judged, TAGS, 1000, 0)
    assert np.isnan(judged.resampled(1000, 0)["mAP"]).any()  # resamples that missed all three
    low, high = found["intervals"]["mAP"]
    assert 0 <= low <= found["mAP"] <= high <= 1


def test_the_most_frequent_tags_are_a_set():
    judged = most_frequent_tags(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0]]), np.zeros((2, 3)))
    assert judged.predicted.tolist() == [[True, True, False]] * 2


def test_a_difference_to_itself_is_zero_without_doubt():
    judged = Judged(np.random.default_rng(0).random((20, 3)), np.full(3, 0.5), np.random.default_rng(1).random((20, 3)) < 0.5)
    found = difference(judged, judged, TAGS, 100, 0, paired=True)
    assert set(found) == {"subset_accuracy", "macro_F1", "micro_F1", "mAP"}
    for numbers in found.values():
        assert numbers == {"value": 0.0, "interval": [0.0, 0.0]}
    for numbers in difference(judged, judged, TAGS, 100, 0, paired=False).values():
        assert numbers["value"] == 0 and numbers["interval"][0] < 0 < numbers["interval"][1]


@given(st.integers(0, 1000), st.integers(2, 6))
def test_resampled_map_is_that_of_scikit_learn(seed, levels):
    rng = np.random.default_rng(seed)
    scores, targets = rng.integers(0, levels, (15, 3)) / levels, rng.random((15, 3)) < 0.4
    found = mean_ap_samples(scores, targets, samples=4, seed=seed)
    judged = [k for k in range(3) if 0 < targets[:, k].sum() < 15]
    for index, count in enumerate(np.random.default_rng(seed).multinomial(15, np.full(15, 1 / 15), size=4)):
        drawn, true = scores.repeat(count, axis=0), targets.repeat(count, axis=0)
        each = [average_precision_score(true[:, k], drawn[:, k]) for k in judged if true[:, k].any()]
        if each:
            assert found[index] == pytest.approx(np.mean(each))


def test_the_verdict_begins_with_what_has_no_thresholds_and_names_a_tag_with_an_f1_of_zero():
    def engine(f1: float) -> dict:
        per_tag = {"a": {"F1": f1, "pictures": 4}, "b": {"F1": 0.0, "pictures": 0}}
        return {"mAP": 0.4, "macro_F1": 0.5, "per_tag": per_tag}

    def change(value: float) -> dict:
        return {"value": value, "interval": [value - 0.1, value + 0.1]}

    gain = {domain: {"mAP": change(0.2), "macro_F1": change(0.3)} for domain in ("academic", "real")}
    reports = {"academic": {"standard": engine(1), "hd": engine(1)}, "real": {"standard": engine(0), "hd": engine(1)}}
    suited = {domain: {"standard": engine(1), "hd": engine(1)} for domain in ("academic", "real")}
    text = verdict(reports, suited, gain)
    assert text.startswith("Photos: mAP 0.400 before adaptation, 0.400 after (+0.200, 95 % interval +0.100 to +0.300)")
    assert (
        "thresholds chosen on photos for both engines, 0.500 before adaptation, 0.500 after (+0.300, 95 % interval +0.200"
        in text
    )
    assert text.endswith("F1 is zero for a (standard on photos).")
    reports["real"]["standard"] = engine(0.1)
    assert verdict(reports, suited, gain).endswith("No tag has an F1 of zero.")
