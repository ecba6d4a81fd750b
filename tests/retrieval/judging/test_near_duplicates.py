"""Copies, mirror images and pictures of their own: which of them have a twin on record."""

import numpy as np
import pytest
import yaml
from PIL import Image
from retrieval_samples import ROOT

from zerostart.records import read_json
from zerostart.retrieval.drawn.photos import render_photo
from zerostart.retrieval.embedding.backbone import load_backbone
from zerostart.retrieval.judging.near_duplicates import ALIKE, alike, with_twin


def test_the_cosine_is_of_standardised_features():
    """Mean (1, 10), deviation (1, 5) of the record's two: the queries are at 0, 90 and 0 degrees to the nearest of them."""
    record = np.array([[0.0, 5.0], [2.0, 15.0]])  # standardised: (-1, -1) and (1, 1)
    asked = np.array([[2.0, 15.0], [2.0, 5.0], [4.0, 25.0]])  # (1, 1), (1, -1), (3, 3)
    away = np.array([[2.0, 5.0]] * 3)
    assert alike(record, asked, away).tolist() == [True, False, True]
    assert alike(record, away, asked).tolist() == [True, False, True]


def test_what_never_varies_does_not_count():
    record = np.array([[0.0, 7.0], [2.0, 7.0]])
    assert alike(record, np.array([[2.0, 9.0]]), np.array([[2.0, 9.0]])).tolist() == [True]


@pytest.mark.parametrize("turned", [False, True])
def test_a_copy_is_found_as_it_is_and_mirrored(tmp_path, turned):
    """Eight panels of one zone are on record; a smaller copy of one of them asks, and a ninth panel that none is a copy of."""
    for number in range(9):
        pixels, _ = render_photo(1, True, np.random.default_rng(number))
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    copy = Image.open(tmp_path / "3.png").resize((500, 380))
    (copy.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if turned else copy).save(tmp_path / "copy.jpg", quality=80)
    record = [tmp_path / f"{number}.png" for number in range(8)]
    backbone = load_backbone(str(ROOT / "data/baselines/synthetic"))
    assert with_twin(record, [tmp_path / "copy.jpg", tmp_path / "8.png"], backbone).tolist() == [True, False]


def test_the_strategy_in_use_is_the_one_that_val_chose():
    params = yaml.safe_load((ROOT / "pipelines/retrieval/params.yaml").read_text())
    metrics = read_json(ROOT / "metrics/retrieval.json", "the stage `validate` writes it")
    assert metrics["chosen_on_val"] == params["mix"]["strategy"] and metrics["near_duplicates"]["cosine"] == ALIKE
