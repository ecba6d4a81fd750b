"""The table and the sentence, on numbers made up so that the answer is plain."""

import numpy as np
import pytest

from zerostart.ablation.cells import Cell
from zerostart.ablation.report import alpha_rows, difference, markdown, table, verdict

SEEDS, SAMPLES = 5, 200
IMAGES = np.random.default_rng(0).normal(0, 0.02, SAMPLES + 1) * (np.arange(SAMPLES + 1) > 0)
"""What the draw of the images does to every detector alike."""


def cell(composite: float, spread=0.0, noise=0.0, seed=1):
    rng = np.random.default_rng(seed)
    seeds = rng.normal(0, 1, SEEDS)
    values = composite + spread * (seeds - seeds.mean())[:, None] + IMAGES + rng.normal(0, noise, (SEEDS, SAMPLES + 1))
    scores = {f"test_{metric}": values for metric in ("mAP", "AR_critical", "composite")}
    return scores | {
        "val_composite": np.array([[0.1] * SEEDS, [0.3] * SEEDS]),
        "scale": np.array(10.0),
        "alpha": np.zeros((SEEDS, 7)),
    }


BASELINE = {"test_composite": 0.5 + IMAGES}
ARMS = ("text_descriptive", "shuffled", "one_hot", "same_cosines", "no_text", "affine")


def cells(**composites):
    return {Cell(arm, 1.0): cell(composites.get(arm, 0.52), noise=0.002, seed=i) for i, arm in enumerate(ARMS)}


def test_what_the_images_do_to_both_cancels():
    found = difference(cell(0.53), BASELINE)
    assert found.mean == pytest.approx(0.03)
    assert found.interval == pytest.approx((0.03, 0.03))


def test_the_interval_covers_the_choice_of_the_seeds():
    """The bootstrapped mean of five values has the standard error std(values)/sqrt(5)."""
    varied = cell(0.53, spread=0.01)
    found = difference(varied, BASELINE)
    deviation = np.std(varied["test_composite"][:, 0]) / np.sqrt(SEEDS)
    assert found.interval.high - found.interval.low == pytest.approx(2 * 1.96 * deviation, rel=0.2)
    paired = difference(varied, cell(0.51, spread=0.01))
    assert paired.interval == pytest.approx((0.02, 0.02))  # the same seeds: their spread cancels


def test_text_must_beat_every_control():
    assert verdict(cells(text_descriptive=0.54), BASELINE).startswith("Text beats all of its 3 controls, the closest (")
    said = verdict(cells(text_descriptive=0.54, one_hot=0.54), BASELINE)
    assert said.startswith("Difference to a no-text head: +0.0")
    assert "of its 3 controls text beats shuffled, no_text." in said


def test_no_difference_is_said():
    said = verdict(cells(), BASELINE)
    assert said.startswith("No difference to a no-text head: ")
    assert "text beats none. Against the baseline: +0.0" in said


def test_a_text_below_its_controls_is_said():
    assert "; text is below shuffled, one_hot, no_text; of its 3 controls text beats none" in verdict(
        cells(text_descriptive=0.5), BASELINE
    )


def test_an_arm_that_cannot_change_a_ranking_is_no_control():
    """`affine` far below the text and everything else above it: nothing is beaten."""
    said = verdict(cells(affine=0.4, text_descriptive=0.5), BASELINE)
    assert "affine" not in said and "of its 3 controls text beats none" in said


def test_rows_and_markdown():
    given = cells(text_descriptive=0.54) | {Cell("no_text", 0.1): cell(0.51)}
    rows = table(given, BASELINE)
    first, few = rows[0], rows[-1]
    assert (first["arm"], first["group"], first["fraction"], first["lr_scale"]) == ("text_descriptive", "text", 1.0, 10.0)
    assert first["val_composite"] == pytest.approx(0.3)
    assert first["vs_baseline"] == pytest.approx(0.04, abs=0.003)
    assert first["vs_no_text"] == pytest.approx(0.02, abs=0.003)
    assert few["fraction"] == 0.1 and few["vs_no_text"] == 0  # against no_text on the same share of the images
    lines = markdown(rows, BASELINE).splitlines()
    assert len(lines) == 2 + 1 + len(ARMS)
    assert lines[2] == "| baseline (frozen detector) | | 0.5000 | | |"
    assert lines[3].startswith("| text_descriptive | 10 | 0.5")


def test_alpha_paths_join_the_phases():
    trained = cell(0.5) | {"alpha": np.tile([0, 0.1, 0.2, 0.3, 0.15, 0.2, 0.3], (SEEDS, 1))}
    rows = alpha_rows({Cell("centred", 1.0): trained, Cell("affine", 1.0): cell(0.5), Cell("centred", 0.1): trained}, (3, 2))
    assert len(rows) == SEEDS * 7
    path = [(row["phase"], row["epoch"], row["alpha"]) for row in rows[:7]]
    assert path[:4] == [("warmup", epoch, pytest.approx(0.1 * epoch)) for epoch in range(4)]
    assert path[4:] == [("head_tuning", 3, 0.15), ("head_tuning", 4, 0.2), ("head_tuning", 5, 0.3)]
