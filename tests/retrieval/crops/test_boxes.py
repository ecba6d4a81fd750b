"""Crops hold real pixels only; clusters and tiles are those of a hand calculation."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zerostart.retrieval.crops.boxes import clean_tiles, cluster_boxes, damage_crop, grow, share_inside

SIDE = st.integers(20, 900)


@st.composite
def boxes_in_a_picture(draw):
    width, height = draw(SIDE), draw(SIDE)
    boxes = []
    for _ in range(draw(st.integers(1, 4))):
        left, top = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
        boxes.append((left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))))
    return (width, height), boxes


@given(boxes_in_a_picture(), st.floats(0, 2), st.integers(1, 600))
def test_a_damage_crop_is_inside_the_picture_holds_its_damages_and_is_as_large_as_it_can_be(drawn, margin, least):
    (width, height), boxes = drawn
    left, top, right, bottom = damage_crop(boxes, (width, height), margin, least)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    assert all(left <= b[0] and top <= b[1] and b[2] <= right and b[3] <= bottom for b in boxes)
    assert right - left >= min(least, width) and bottom - top >= min(least, height)


def test_the_margin_is_a_share_of_the_longer_side():
    # 40×20 with a margin of 0.25: 10 pixels on every side.
    assert damage_crop([(100, 100, 140, 120)], (800, 600), 0.25, 1) == (90, 90, 150, 130)
    # At the corner the crop of 60×40 is shifted, not padded and not smaller.
    assert damage_crop([(0, 0, 40, 20)], (800, 600), 0.25, 1) == (0, 0, 60, 40)


def test_clusters_are_single_linkage_by_the_gap_between_boxes():
    # Gaps in x: 0-1: 10, 1-2: 10, 2-3: 30; 4 is 3 right of and 4 below box 3: sqrt(9 + 16) = 5 away.
    boxes = [(0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), (80, 0, 90, 10), (93, 14, 99, 20)]
    assert cluster_boxes(boxes, 10) == [[0, 1, 2], [3, 4]]
    assert cluster_boxes(boxes, 4.9) == [[0], [1], [2], [3], [4]]
    assert cluster_boxes(boxes, 30) == [[0, 1, 2, 3, 4]]


def test_tiles_of_a_hand_drawn_picture():
    # 784 wide: tiles of 448 with a step of 448·0.75 = 336 end exactly at 784; 588 high: starts 0 and 140.
    picture = (0, 0, 784, 588)
    every = list(clean_tiles(picture, picture, [], 448, 0.25, 0.7))
    assert every == [(0, 0, 448, 448), (336, 0, 784, 448), (0, 140, 448, 588), (336, 140, 784, 588)]
    assert list(clean_tiles(picture, picture, [(10, 10, 20, 20)], 448, 0.25, 0.7)) == every[1:]
    # A vehicle in the left half covers all of the left tiles and (392 - 336) / 448 = 12.5 % of the right ones.
    assert list(clean_tiles(picture, (0, 0, 392, 588), [], 448, 0.25, 0.7)) == every[0::2]


@settings(deadline=None)
@given(SIDE, SIDE, st.integers(32, 500), st.floats(0, 0.9))
def test_tiles_stay_inside_and_cover_the_region(width, height, tile, overlap):
    region = (5, 7, 5 + width, 7 + height)
    tiles = list(clean_tiles(region, region, [], tile, overlap, 0.7))
    assert all(t[0] >= 5 and t[1] >= 7 and t[2] <= 5 + width and t[3] <= 7 + height for t in tiles)
    for axis in (0, 1):
        intervals = sorted({(t[axis], t[axis + 2]) for t in tiles})
        assert intervals[0][0] == region[axis] and intervals[-1][1] == region[axis + 2]
        assert all(after[0] <= before[1] for before, after in pairwise(intervals))


def test_grow_and_share_inside():
    assert grow((100, 100, 200, 150), 0.12, (800, 600)) == (88, 94, 212, 156)
    assert grow((0, 0, 800, 600), 0.12, (800, 600)) == (0, 0, 800, 600)
    assert share_inside((0, 0, 10, 10), (5, 0, 20, 20)) == pytest.approx(0.5)
