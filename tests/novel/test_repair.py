"""What a sentence moves, by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zerostart.errors import InputError
from zerostart.novel.material import Seen
from zerostart.novel.repair import Arm, Repair, easily_taken_for, moves, report


def found() -> Repair:
    """Two pictures of two queries; the first query of each is on an object."""
    before = np.array([[0.0, -5.0], [-1.0, 0.0]])
    after = np.array([[1.0, -4.0], [-3.0, 1.0]])
    right = np.array([[True, False], [True, False]])
    arms = [
        Arm(said, (0.1, 0.2), ap, logits)
        for said, ap, logits in (("", 0.5, before), ("a line", 0.6, after), ("a hole", 0.5, before))
    ]
    return Repair("crack", "dent", *arms, right, np.zeros((2, 2, 4)), [Path("a"), Path("b")])


def test_moves_are_counted_where_one_side_reaches_the_threshold():
    """-5 to -4 stays below 0.3 and is no detection; -1 (0.27) to -3 neither."""
    one = found()
    assert moves(one, one.sentence) == {"right rise": 1, "right fall": 0, "wrong rise": 1, "wrong fall": 0}
    assert set(moves(one, one.wrong).values()) == {0}


def test_the_report_has_the_control_beside_the_sentence():
    lines = report(found(), None).split("\n")
    assert lines[0] == "crack on val, AP50 without a sentence: 0.5000"
    assert "the sentence (a line): 0.6000 (+0.1000), alpha 0.1 and 0.2" in lines[1]
    assert "the wrong sentence, of 'dent', (a hole): 0.5000 (+0.0000)" in lines[2]


def test_the_sheet_replaces_no_file_of_somebody_else(tmp_path):
    pictures = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in pictures:
        Image.new("RGB", (32, 32)).save(path)
    one = found()._replace(pictures=pictures, boxes=np.tile([2.0, 2.0, 9.0, 9.0], (2, 2, 1)))
    content = pictures[0].read_bytes()
    with pytest.raises(InputError, match=r"a\.png: exists, and is no picture sheet"):
        report(one, pictures[0])
    assert pictures[0].read_bytes() == content
    for _ in range(2):
        assert report(one, tmp_path / "sheet.png").endswith("sheet.png: the detections that move most")


def test_the_rival_is_the_class_that_the_detector_gives_most_beside_the_right_one():
    logits = np.array([[3.0, 1.0, 0.0], [3.0, 1.0, 0.5], [0.0, 9.0, 9.0]])
    seen = Seen(None, np.zeros(0), np.zeros(0), np.array([0, 0, 1]), logits)
    assert easily_taken_for(seen, 0) == 1
