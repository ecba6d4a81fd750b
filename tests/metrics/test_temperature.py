"""Temperatures undo each other; an error on resamples is that of their images."""

import numpy as np
import pytest

from zerostart.metrics.calibration import expected_calibration_error
from zerostart.metrics.temperature import best_temperature, resampled_errors, tempered


def test_a_resample_is_the_error_of_its_images():
    rng = np.random.default_rng(0)
    score, image = rng.uniform(0, 1, 300), rng.integers(6, size=300)
    correct = rng.random(300) < score**2
    twice = np.array([1, 0, 2, 1, 1, 1])
    drawn = np.repeat(np.arange(300), twice[image])
    found = resampled_errors(score, correct, image, np.stack([np.ones(6), twice, np.zeros(6)], axis=1))
    expected = [expected_calibration_error(score[i], correct[i]) for i in (np.arange(300), drawn)]
    assert found == pytest.approx([*expected, 0.0])


def test_the_temperature_undoes_another_one():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 40_000)
    correct = rng.random(len(logits)) < 1 / (1 + np.exp(-logits))
    score = 1 / (1 + np.exp(-logits / 2))  # as if everything had been divided by 2
    temperature = best_temperature(score, correct)
    assert temperature == pytest.approx(0.5, rel=0.03)
    assert tempered(score, 0.5) == pytest.approx(1 / (1 + np.exp(-logits)))
    assert expected_calibration_error(tempered(score, temperature), correct) < 0.02
    assert (np.argsort(tempered(score, 0.5), kind="stable") == np.argsort(score, kind="stable")).all()
