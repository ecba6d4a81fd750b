"""`auto` is credited with the engine that it takes: made-up engines, of which one knows photos and one academic pictures."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from zerostart.tagging.judging import auto

SIDES = {"academic": 32, "real": 80}


class Store:
    """Four test pictures of one tag; a picture's pixels say which domain it is from."""

    def __init__(self, domain: str):
        self.side, self.value = SIDES[domain], {"academic": 10, "real": 200}[domain]
        self.shapes, self.targets = np.full((4, 2), self.side), np.ones((4, 1), np.uint8)

    def of_split(self, split: str) -> np.ndarray:
        assert split == "test"
        return np.arange(4)

    def images(self, part: np.ndarray) -> list[torch.Tensor]:
        return [torch.full((3, self.side, self.side), self.value, dtype=torch.uint8) for _ in part]


@pytest.fixture
def judged(monkeypatch):
    """Each engine is right about its own domain only; a photo is known by its size, and by its novelty."""

    def scores(model, images, size, windows, overlap):
        own = [(image.float().mean() > 100) == (model == "hd") for image in images]
        return np.array(own, np.float32)[:, None, None]

    monkeypatch.setattr(auto, "window_scores", scores)
    monkeypatch.setattr(auto, "picture_features", lambda model, images, size: [float(i.float().mean()) for i in images])
    monkeypatch.setattr(auto, "novelty", lambda home, features: np.array(features))
    rules = SimpleNamespace(chosen=lambda engine, windows: np.array([0.5]))
    rules.engine_for = lambda side, novelty: "hd" if side > 50 else "standard"  # by size alone
    models = {"standard": ("standard", 32), "hd": ("hd", 32)}
    return auto.judge_auto(models, rules, None, {domain: Store(domain) for domain in SIDES})


def accuracies(group: dict) -> tuple[float, ...]:
    return tuple(group[f"subset_accuracy_{engine}"] for engine in ("standard", "hd", "auto"))


def test_auto_is_right_where_it_takes_the_right_engine(judged):
    assert accuracies(judged["academic_own_size"]) == (1, 0, 1)
    assert accuracies(judged["real_own_size"]) == (0, 1, 1)
    assert [judged[f"{domain}_own_size"]["share_hd"] for domain in SIDES] == [0, 1]


def test_auto_is_wrong_where_the_size_deceives_it(judged):
    assert accuracies(judged["academic_exchanged_size"]) == (1, 0, 0)
    assert accuracies(judged["real_exchanged_size"]) == (0, 1, 0)
    assert [judged[f"{domain}_exchanged_size"]["share_hd"] for domain in SIDES] == [1, 0]


def test_novelty_tells_the_domains_at_any_size(judged):
    assert judged["novelty_AUC_own_size"] == judged["novelty_AUC_exchanged_size"] == 1
