"""Which critical objects are won and lost, and the pictures of them."""

import io

import numpy as np
import pytest
from coco_samples import annotation, boxes_of, coco, logit
from PIL import Image

from zerostart.evaluation.changes import Change, changes, draw_changes
from zerostart.evaluation.picture_sheet import BOX, CAPTION, COLUMNS, HEADER, LIMIT, OBJECT, PICTURE, TILE
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator
from zerostart.metrics.operating_point import OperatingPoint


def picture_of(image_id):
    return Image.new("L", (100, 100), 40 + image_id)


def change(index=0):
    return Change(index, "crack", (10, 10, 30, 30), (20, 20, 30, 30), ("dent", 0.3), ("crack", 0.6))


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def judged():
    """Images 7 and 3, in this order. Crack 1: won. Crack 2: lost. Dent 3: won, but not critical. Crack 4: both."""
    objects = [
        annotation(1, 7, 0, 0, 0, 20, 20),
        annotation(2, 3, 0, 50, 50, 20, 20),
        annotation(3, 3, 1, 0, 0, 20, 20),
        annotation(4, 7, 0, 50, 50, 20, 20),
    ]
    truth = coco([7, 3], [(100, 100)] * 2, objects, ["crack", "dent"])
    boxes = np.stack([boxes_of((0, 0, 20, 20), (50, 50, 20, 20))] * 2)
    evaluator = FrozenBoxEvaluator(boxes, np.array([7, 3]), truth)
    logits = {
        "baseline": np.stack([logit([0.3, 0.6], [0.9, 0.1]), logit([0.1, 0.2], [0.8, 0.1])]),
        "refined": np.stack([logit([0.7, 0.4], [0.9, 0.1]), logit([0.1, 0.9], [0.4, 0.1])]),
    }
    return evaluator, logits, {name: OperatingPoint(evaluator, values, 0.5) for name, values in logits.items()}


def test_won_and_lost_hand_calculated(judged):
    (won,), (lost,) = changes(*judged, critical=["crack"])
    assert (won.image_id, won.actual, won.object_box) == (7, "crack", (0, 0, 20, 20))
    assert won.found_box == pytest.approx((0, 0, 20, 20), abs=1e-5)
    assert won.baseline == ("dent", pytest.approx(0.6))
    assert won.refined == ("crack", pytest.approx(0.7))
    assert (lost.image_id, lost.object_box) == (3, (50, 50, 20, 20))
    assert lost.refined == ("crack", pytest.approx(0.4))


def test_largest_change_of_score_first(judged):
    won, _ = changes(*judged, critical=["crack", "dent"])
    assert [c.actual for c in won] == ["dent", "crack"]  # 0.2 -> 0.9 before 0.3 -> 0.7


def test_boxes_are_drawn_where_they_are():
    sheet = draw_changes([change()], "won", picture_of)
    # Object and box span 10..50; the crop of side 40·1.6 = 64 starts at -2, so a pixel becomes PICTURE/64 wide.
    left, top = round(12 * PICTURE / 64), HEADER + round(12 * PICTURE / 64)
    assert sheet.getpixel((left, top)) == OBJECT
    assert sheet.getpixel((round(22 * PICTURE / 64), HEADER + round(22 * PICTURE / 64))) == BOX


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (COLUMNS + 1, 2), (LIMIT + 9, LIMIT // COLUMNS)])
def test_size_and_deterministic_bytes(count, rows):
    found = [change(i) for i in range(count)]
    sheet = draw_changes(found, "won", picture_of)
    assert sheet.size == (COLUMNS * TILE, HEADER + rows * (TILE + CAPTION))
    assert png(sheet) == png(draw_changes(found, "won", picture_of))


def test_none_is_said():
    sheet = draw_changes([], "won", picture_of)
    assert sheet.size == (COLUMNS * TILE, HEADER + CAPTION)
    blank = Image.new("RGB", (COLUMNS * TILE, CAPTION), (255, 255, 255))
    assert sheet.crop((0, HEADER, COLUMNS * TILE, HEADER + CAPTION)).tobytes() != blank.tobytes()
