"""The samples of one evaluation, and intervals between two of them."""

import json

import numpy as np
import pytest
from coco_samples import sample

from zerostart.errors import InputError
from zerostart.evaluation.paired_samples import SEED, draw_scores, intervals, parse_samples, to_json
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator
from zerostart.outputs import rounded
from zerostart.params import Lambdas

LAMBDAS = Lambdas(map=0.7, ar_critical=0.3)


@pytest.fixture(scope="module")
def matches():
    s = sample(3, images=12)
    noise = np.random.default_rng(0).normal(0, 1, s.logits.shape).astype(np.float32)
    evaluator = FrozenBoxEvaluator(s.boxes, s.image_ids, s.ground_truth)
    return evaluator.match(s.logits), evaluator.match(s.logits + noise)


def document(scores, **changed):
    about = {
        "dataset": "toy",
        "test": "0" * 64,
        "images": 12,
        "seed": SEED,
        "samples": len(scores["mAP"]),
        "lambdas": LAMBDAS.model_dump(),
    }
    return json.dumps(rounded(about | {name: to_json(scores) for name in ("baseline", "refined")} | changed))


def test_two_files_give_the_interval_of_two_revisions(matches):
    """Drawn in two runs, written, read and subtracted: the same as drawn together."""
    together = intervals(*draw_scores(list(matches), [0, 1], LAMBDAS, 200))
    apart = [draw_scores([of_one], [0, 1], LAMBDAS, 200)[0] for of_one in matches]
    read = [parse_samples(document(scores), "x").scores("refined") for scores in apart]
    for name, interval in intervals(*read).items():
        assert interval == pytest.approx(together[name], abs=2e-6)


def test_resamples_without_a_critical_object_are_kept_as_such():
    scores = {"mAP": np.array([0.5, 0.25]), "AR_critical": np.array([np.nan, 0.75]), "composite": np.array([np.nan, 0.4])}
    read = parse_samples(document(scores), "x").scores("baseline")
    assert np.isnan(read["AR_critical"][0]) and np.isnan(read["composite"][0])
    assert read["composite"][1] == pytest.approx(0.7 * 0.25 + 0.3 * 0.75)
    assert intervals(read, read)["AR_critical"] == (0, 0)


@pytest.mark.parametrize("changed", [{"seed": 1}, {"images": "many"}, {"more": 1}, {"samples": 3}])
def test_another_file_is_refused(changed, matches):
    text = document(draw_scores([matches[0]], [0], LAMBDAS, 200)[0], **changed)
    with pytest.raises(InputError, match=f"that file: .*{next(iter(changed))}"):
        parse_samples(text, "that file")
