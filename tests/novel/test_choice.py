"""The choice of the parameters."""

from pathlib import Path

import pytest

from zerostart.novel.choice import ascend
from zerostart.novel.params import load_novel_params
from zerostart.records import read_json

ROOT = Path(__file__).parents[2]


def test_ascent_finds_the_best_of_a_separable_score_and_tries_nothing_twice():
    candidates = {"a": (1, 2, 3), "b": (0.0, 5.0)}
    best, tried = ascend(candidates, lambda values: -((values["a"] - 3) ** 2) + values["b"])
    assert best == {"a": 3, "b": 5.0}
    assert len({tuple(one.values.items()) for one in tried}) == len(tried) == 6


def test_of_equal_scores_the_first_stays():
    assert ascend({"a": (2, 1)}, lambda values: 0.0)[0] == {"a": 2}


def test_the_parameters_are_those_that_were_chosen_on_the_validation_kinds():
    recorded, params = (
        read_json(ROOT / "metrics/novel_choice.json", "the stage `choose` writes it"),
        load_novel_params(ROOT / "pipelines/novel/params.yaml"),
    )
    assert recorded["chosen"] == {name: pytest.approx(getattr(params, name)) for name in params.candidates}
