"""The school's pictures."""

import numpy as np
import pytest

from zerostart.novel.facts import FORMS, completed, differences
from zerostart.novel.kinds import load_kinds
from zerostart.novel.marks import draw_mark
from zerostart.novel.scenes import draw_picture, paint_marks, school_mark

LIGHT = np.array([0.6, 0.8])


@pytest.mark.parametrize("form", FORMS)
def test_marks_are_float64_and_lie_in_their_box(form):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        mark = draw_mark(completed({"form": form}, rng), rng, LIGHT)
        assert mark.gain.dtype == np.float64 and np.isfinite(mark.gain).all() and mark.gain.min() > 0
        x, y, width, height = mark.box
        outside = np.abs(mark.gain - 1).max(axis=2)
        outside[y : y + height, x : x + width] = 0
        assert outside.mean() < 0.02


def test_a_bright_mark_is_brighter_and_a_dark_one_darker():
    for tone, sign in (("bright", 1), ("dark", -1)):
        rng = np.random.default_rng(0)
        mark = draw_mark(completed({"form": "spot", "tone": tone, "rim": "none", "edge": "smooth"}, rng), rng, LIGHT)
        assert sign * (mark.gain.mean() - 1) > 0


def test_a_brown_mark_takes_blue_away():
    rng = np.random.default_rng(0)
    gain = draw_mark(completed({"form": "patch", "tone": "dark", "tint": "brown"}, rng), rng, LIGHT).gain
    assert gain[..., 2].mean() < gain[..., 0].mean()


def test_the_school_leaves_out_the_twins_of_every_kind():
    kinds = [kind.facts for purpose in ("val", "test") for kind in load_kinds(purpose)]
    draw = school_mark(kinds, ("grey", "brown", "blue"), 1.0)
    rng = np.random.default_rng(0)
    for _ in range(60):
        _, facts, _ = draw(rng, LIGHT)
        assert min(differences(kind, facts) for kind in kinds) > 0


def test_marks_keep_away_from_given_boxes():
    surface = np.full((200, 200, 3), 0.5)
    before = surface.copy()
    known = (0, 0, 200, 100)
    painted = paint_marks(surface, school_mark([], ("grey",), 0.6), 6, np.random.default_rng(3), [known])
    assert painted
    np.testing.assert_array_equal(surface[:80], before[:80])
    for one in painted:
        assert one.box[1] + one.box[3] / 2 > 90


def test_a_picture_is_the_same_every_time():
    draw = school_mark([], ("grey", "brown", "blue"), 1.0)
    first, second = (draw_picture(draw, (3, 4), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1] and first[0].dtype == np.uint8
