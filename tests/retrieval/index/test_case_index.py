"""The index gives k allowed cases whenever there are k, equals exact search where it says so, and opens only as a whole."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_samples import make_index, unit_rows

from zerostart.errors import InputError
from zerostart.retrieval.index.case_index import CASES, CONFIG, PROBE, VECTORS, open_index

VECTORS_800 = unit_rows(800, 16, 0)
INDEX = make_index(VECTORS_800, exact_below=0)  # 0: every filter goes through the graph first
QUERIES = unit_rows(12, 16, 1)


def brute_force(queries, allowed, k):
    similarity = np.where(allowed, queries @ VECTORS_800.T, -np.inf)
    return np.argsort(-similarity, axis=1)[:, :k]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 800), st.integers(1, 20), st.integers(0, 5))
def test_as_many_allowed_cases_as_possible_come_back_nearest_first(count, k, seed):
    allowed = np.zeros(800, bool)
    allowed[np.random.default_rng(seed).permutation(800)[:count]] = True
    rows, distances = INDEX.search(QUERIES, k, allowed)
    assert ((rows >= 0).sum(axis=1) == min(k, count)).all()
    assert allowed[rows[rows >= 0]].all()
    assert (np.diff(np.where(np.isinf(distances), 9, distances)) >= 0).all()
    for row, found in zip(rows, distances, strict=True):
        assert len(set(row[row >= 0])) == (row >= 0).sum()
        assert (np.isinf(found) == (row < 0)).all()


def test_few_allowed_cases_are_searched_exactly():
    allowed = np.random.default_rng(0).random(800) < 0.3
    index = make_index(VECTORS_800, exact_below=400)
    np.testing.assert_array_equal(index.search(QUERIES, 10, allowed)[0], brute_force(QUERIES, allowed, 10))
    np.testing.assert_array_equal(index.exact(QUERIES, 10), brute_force(QUERIES, np.ones(800, bool), 10))


def test_flat_and_graph_agree_and_distances_are_cosine_distances():
    rows, distances = make_index(VECTORS_800, kind="flat").search(QUERIES, 10)
    np.testing.assert_array_equal(rows, brute_force(QUERIES, np.ones(800, bool), 10))
    np.testing.assert_allclose(distances[0], 1 - VECTORS_800[rows[0]] @ QUERIES[0], atol=1e-6)
    found = INDEX.search(QUERIES, 10)[0]
    assert np.mean([len(set(a) & set(b)) for a, b in zip(rows, found, strict=True)]) >= 9.5
    filtered = INDEX.search(QUERIES, 10, np.arange(800) % 10 == 0)[0]
    truth = brute_force(QUERIES, np.arange(800) % 10 == 0, 10)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(truth, filtered, strict=True)]) >= 9.5


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_1(k):
    with pytest.raises(InputError, match=f"k is {k}; at least 1 is expected"):
        INDEX.search(QUERIES, k)


def test_a_query_of_another_dimension():
    with pytest.raises(InputError, match="the query has 8 dimensions, the index 16: it is of another model"):
        INDEX.search(QUERIES[:, :8], 5)


@pytest.fixture
def folders(tmp_path):
    """An index written twice, and another one of the same size."""
    for name, vectors in (("one", VECTORS_800), ("again", VECTORS_800), ("other", unit_rows(800, 16, 5))):
        make_index(vectors).save(tmp_path / name)
    return tmp_path


def test_written_and_opened_it_answers_the_same_and_its_bytes_are_the_same(folders):
    opened = open_index(folders / "one")
    for found, expected in zip(opened.search(QUERIES, 5), make_index(VECTORS_800).search(QUERIES, 5), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert opened.about == INDEX.about and opened.cases.equals(INDEX.cases)
    for name in (VECTORS, CASES, PROBE, CONFIG):
        assert (folders / "one" / name).read_bytes() == (folders / "again" / name).read_bytes()


def test_files_that_do_not_belong_together(folders):
    (folders / "one" / VECTORS).write_bytes((folders / "other" / VECTORS).read_bytes())
    with pytest.raises(InputError, match=r"one/vectors.faiss: not the file that config.json was written with"):
        open_index(folders / "one")


@pytest.mark.parametrize("name", [VECTORS, CASES, PROBE, CONFIG])
def test_a_missing_file(folders, name):
    (folders / "one" / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file; the stage `index` writes it"):
        open_index(folders / "one")


@pytest.mark.parametrize("content", ["[]", "{}", '{"sha256": {}, "index": {}}', '{"sha256": {}, "index": 5}'])
def test_a_damaged_configuration(folders, content):
    (folders / "one" / CONFIG).write_text(content)
    with pytest.raises(InputError, match=r"config.json: not a configuration as the stage `index` writes it"):
        open_index(folders / "one")


def test_more_than_there_are_can_be_asked_for():
    rows, distances = INDEX.search(QUERIES, 1000, None)
    assert rows.shape == (12, 1000)
    assert ((rows >= 0).sum(axis=1) == 800).all()
    assert np.isinf(distances[:, 800:]).all()


def test_an_index_of_another_kind_or_without_checksums_does_not_open(tmp_path):
    INDEX.save(tmp_path / "index")
    config = json.loads((tmp_path / "index" / CONFIG).read_text())
    (tmp_path / "index" / CONFIG).write_text(json.dumps(config | {"index": config["index"] | {"kind": "flat"}}))
    with pytest.raises(InputError, match=r"800 vectors \(IndexHNSWFlat\) beside 800 cases and kind flat; run"):
        open_index(tmp_path / "index")
    (tmp_path / "index" / CONFIG).write_text(json.dumps(config | {"sha256": {}}))
    with pytest.raises(InputError, match=r"not a configuration as the stage `index` writes it \(KeyError\)"):
        open_index(tmp_path / "index")
