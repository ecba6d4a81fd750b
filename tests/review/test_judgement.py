"""The verdict on two revisions: each of its sentences."""

import re

import pytest

from zerostart.evaluation.paired_samples import DetectorSamples, PairedSamples
from zerostart.params import Lambdas
from zerostart.review.judgement import Evaluation, verdict_on


def evaluation(name, composite=0.5, values=(0.48, 0.49, 0.5, 0.51, 0.52), kept=True, **changed):
    """Resamples that are the same for all metrics, in a file of a revision."""
    scores = DetectorSamples(mAP=values, AR_critical=values)
    about = (
        dict(dataset="toy", test="a", images=9, seed=0, samples=len(values), lambdas=Lambdas(map=0.7, ar_critical=0.3))
        | changed
    )
    return Evaluation(name, composite, PairedSamples(**about, baseline=scores, refined=scores) if kept else None)


def test_the_interval_is_that_of_the_paired_differences():
    """The two spread by ±0.02 each, but every resample differs by exactly 0.03."""
    verdict = verdict_on(evaluation("old"), evaluation("new", 0.53, (0.51, 0.52, 0.53, 0.54, 0.55)), True)
    assert verdict.same_test
    assert verdict.sentence == (
        "`new` against `old`: composite +0.0300, 95 % interval [+0.0300, +0.0300]: it excludes 0, `new` is better on these "
        "9 test images of toy."
    )
    worse = evaluation("new", 0.47, (0.45, 0.46, 0.47, 0.48, 0.49))
    assert "is worse on" in verdict_on(evaluation("old"), worse, True).sentence
    assert "no difference is shown" in verdict_on(evaluation("old"), evaluation("new"), True).sentence


@pytest.mark.parametrize(
    ("old", "new", "said", "same_test"),
    [
        (evaluation("old"), evaluation("new", dataset="other"), "not compared, another data set: `old` .*toy.*other", False),
        (evaluation("old"), evaluation("new", test="b"), "not compared, another test set", False),
        (evaluation("old", kept=False), evaluation("new"), "side by side only: `old` is from before .* existed", False),
        (evaluation("old", None, kept=False), evaluation("new"), "not compared, because `old` has no composite", False),
        (evaluation("old"), evaluation("new", values=(0.5,) * 6), "without an interval: 5 and 6 bootstrap samples", True),
        (
            evaluation("old"),
            evaluation("new", lambdas=Lambdas(map=1, ar_critical=0)),
            r"without an interval: .*\(`lambdas`\) differ",
            False,
        ),
    ],
)
def test_what_cannot_be_compared_is_said(old, new, said, same_test):
    verdict = verdict_on(old, new, True)
    assert verdict.same_test == same_test
    assert re.search(said, verdict.sentence)
    assert "interval [" not in verdict.sentence


def test_no_differences_at_all():
    verdict = verdict_on(evaluation("old"), evaluation("new"), False)
    assert verdict.sentence.startswith("`new` against `old`: no differences at all")
