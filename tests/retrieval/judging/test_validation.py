"""Validation on cases whose neighbours are known."""

import numpy as np
import pytest
from retrieval_samples import case, cases_table, damaged, load, make_index, unit_rows

from zerostart.retrieval.judging import validation
from zerostart.retrieval.judging.quality import Estimate
from zerostart.retrieval.judging.validation import (
    by_chance,
    chosen_on,
    graph_recall,
    judge,
    read_cases,
    respected_filters,
    size_only,
)

PARAMS = load().validation.model_copy(update={"k": 2, "bootstrap_samples": 100})
# On record: two dents, a crack, two clean ones; the queries are a dent with a crack, and a clean crop.
ROWS = [
    damaged(0, "dent"),
    damaged(1, "dent"),
    damaged(2, "crack"),
    case(3),
    case(4),
    damaged(5, "dent", "crack", split="test"),
    case(6, split="test"),
]
RECORD, QUERIES = np.arange(5), np.arange(5, 7)
ANGLES = np.deg2rad([0, 30, 40, 90, 95, 10, 80])  # of the vectors; the dented query is nearest to cases 0, 1, 2, 3, 4
VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)


def report(texts=VECTORS, rows=ROWS, vectors=VECTORS):
    return judge(read_cases(cases_table(rows)), RECORD, QUERIES, VECTORS, texts, vectors, PARAMS, 0)


def test_hand_calculated_report():
    found = {name: estimate.value for name, estimate in report().items()}
    # The dented query's ranking is dent, dent, crack, clean, clean: 2 of 2 damaged; the clean one's first two are clean.
    assert found["coverage_damaged"] == found["coverage_clean"] == found["precision"] == 1
    assert found["AP_dent"] == pytest.approx(1)
    assert found["AP_crack"] == pytest.approx(1 / 3)
    assert found["mAP"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["text_recall"] == 1  # two held-out pictures: its own is among the first two


def test_a_text_finds_the_held_out_picture_of_its_zone_and_types():
    first = PARAMS.model_copy(update={"k": 1})
    for angle, value in ((10, 1), (80, 0)):  # of the text: beside its own picture; beside the clean one
        texts = VECTORS.copy()
        texts[5] = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        found = judge(read_cases(cases_table(ROWS)), RECORD, QUERIES, VECTORS, texts, VECTORS, first, 0)
        assert found["text_recall"].value == value


def test_turned_around_nothing_is_found():
    found = report(vectors=-VECTORS)
    assert found["coverage_damaged"].value == found["coverage_clean"].value == 0


def test_the_size_of_a_crop_alone():
    """Damaged crops of 100 pixels, clean ones of 448: size alone finds them all, and the control says so."""
    rows = [row | {"right": 100 if row["has_damage"] else 448} for row in ROWS]
    control = size_only(read_cases(cases_table(rows)), RECORD, QUERIES, PARAMS, 0)
    assert control["coverage_damaged"].value == control["coverage_clean"].value == 1
    same = size_only(read_cases(cases_table(ROWS)), RECORD, QUERIES, PARAMS, 0)
    assert min(same["coverage_damaged"].value, same["coverage_clean"].value) < 1


def test_what_chance_reaches():
    """Three of five on record are damaged, and all three share a type with the dented, cracked query; of the two pictures
    that its context may find one is its own, and one of them is drawn: 1/2."""
    found = by_chance(read_cases(cases_table(ROWS)), RECORD, QUERIES, 1)
    assert found == pytest.approx({"coverage_damaged": 0.6, "coverage_clean": 0.4, "precision": 0.6, "text_recall": 0.5})
    assert by_chance(read_cases(cases_table(ROWS)), RECORD, QUERIES, 2)["text_recall"] == pytest.approx(1)


def test_val_chooses_the_highest_mean_of_damaged_clean_and_map():
    """(0.9 + 0.5 + 0.2) / 3 is above (0.6 + 0.6 + 0.3) / 3; a measure that there is not does not count."""

    def found(**values):
        return {name: Estimate(value, value, value) for name, value in values.items()}

    first = found(coverage_damaged=0.9, coverage_clean=0.5, mAP=0.2, text_recall=0.0)
    second = found(coverage_damaged=0.6, coverage_clean=0.6, mAP=0.3, text_recall=1.0)
    assert chosen_on({"text": second, "image": first}) == "image"
    assert chosen_on({"text": first, "image": first}) == "text"
    assert chosen_on({"text": first, "image": found(coverage_clean=0.6)}) == "image"


def test_graph_recall_and_filters():
    rows = [damaged(i, "dent", severity="minor") if i % 3 == 0 else case(i) for i in range(300)]
    index = make_index(unit_rows(300, 8, 0), rows)
    cases = read_cases(index.cases)
    assert graph_recall(index, unit_rows(20, 8, 1)) > 0.95
    assert respected_filters(index, cases, unit_rows(5, 8, 2), 5) == 1


def test_the_record_need_not_come_first():
    """The same cases with the queries before them: the same numbers."""
    order = np.array([5, 6, 0, 1, 2, 3, 4])
    cases = read_cases(cases_table([ROWS[row] for row in order]))
    moved = judge(cases, np.arange(2, 7), np.arange(2), VECTORS[order], VECTORS[order], VECTORS[order], PARAMS, 0)
    assert moved == report()


def test_of_equally_near_cases_the_first_comes_first():
    """A dent, then clean cases, all at one place: the dented query's two results are the dent and a clean one."""
    rows = [damaged(0, "dent"), *(case(number) for number in range(1, 5)), damaged(5, "dent", split="test")]
    same = np.tile(np.float32([1, 0]), (6, 1))
    found = judge(read_cases(cases_table(rows)), np.arange(5), np.array([5]), same, same, same, PARAMS, 0)
    assert found["coverage_damaged"].value == found["precision"].value == 0.5
    assert found["AP_dent"].value == 1


class Careless:
    """An index whose answers are given: rows, whatever is asked."""

    def __init__(self, index, rows):
        self.cases, self.rows = index.cases, np.array(rows)

    def search(self, queries, k, allowed):
        return np.tile(self.rows, (len(queries), 1)), None


@pytest.mark.parametrize(("rows", "share"), [([0, 3], 1), ([1, 2], 0), ([0, 1], 0), ([0, -1], 0)])
def test_a_filter_that_is_not_respected_is_told(monkeypatch, rows, share):
    """Asked for dents: two of them, two clean cases, one of each, and one where there are three."""
    monkeypatch.setattr(validation, "VALID", {"damage_type": ["dent"]})
    index = make_index(unit_rows(9, 8, 0), [damaged(i, "dent", severity="minor") if i % 3 == 0 else case(i) for i in range(9)])
    found = respected_filters(Careless(index, rows), read_cases(index.cases), unit_rows(4, 8, 2), 2)
    assert found == share
