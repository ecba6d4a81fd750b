"""An output is there whole or not at all, and equal results are equal bytes."""

import json
import os
import shutil

import numpy as np
import pytest

from zerostart.outputs import output_file, output_folder, rounded, write_json


def tree(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "new" / "numbers.csv"
    for content in ("first", "second"):
        with output_file(path) as temporary:
            temporary.write_text(content)
            assert temporary.parent == path.parent  # a rename across file systems would not be atomic
        assert path.read_text() == content
    assert tree(tmp_path) == {"new/numbers.csv": b"second"}


def test_a_folder_replaces_the_old_one_completely(tmp_path):
    path = tmp_path / "deep" / "model"
    for name in ("first", "second"):
        with output_folder(path) as temporary:
            (temporary / name).write_text(name)
        assert tree(path) == {name: name.encode()}
    assert os.listdir(tmp_path / "deep") == ["model"]


def test_an_exception_leaves_the_old_file(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), output_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == {"numbers.csv": b"old"}


def test_an_exception_leaves_the_old_folder(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "weights").write_text("old")
    with pytest.raises(KeyboardInterrupt), output_folder(path) as temporary:
        (temporary / "weights").write_text("half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == {"model/weights": b"old"}


@pytest.mark.parametrize("output", [output_file, output_folder])
def test_an_exception_leaves_nothing_where_nothing_was(tmp_path, output):
    with pytest.raises(ZeroDivisionError), output(tmp_path / "result") as temporary:
        target = temporary / "weights" if output is output_folder else temporary
        target.write_text("half")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    """SIGKILL runs no `finally`: the temporary folders stay until the next run."""
    for leftover in (".tmp-model", ".tmp-old-model"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "half").write_text("half")
    with output_folder(tmp_path / "model") as temporary:
        assert os.listdir(temporary) == []
        (temporary / "weights").write_text("new")
    assert tree(tmp_path) == {"model/weights": b"new"}


def test_nothing_is_removed_under_its_final_name(tmp_path, monkeypatch):
    """Removing many files takes time: cut short, half of the old folder would pass for a whole one."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "weights").write_text("old")
    removed = []
    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda folder, **options: removed.append(folder) or remove(folder, **options))
    with output_folder(path) as temporary:
        (temporary / "weights").write_text("new")
    assert removed and path not in removed
    assert tree(tmp_path) == {"model/weights": b"new"}


def test_a_file_is_moved_not_copied(tmp_path):
    """A copy would be half there for a while."""
    with output_file(tmp_path / "numbers.csv") as temporary:
        temporary.write_text("new")
        written = temporary.stat().st_ino
    assert (tmp_path / "numbers.csv").stat().st_ino == written


def test_json_has_sorted_keys_and_rounded_floats(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"b": 0.12345678, "a": {"d": [1, np.float64(2.00000001)], "c": (True, None, "x")}})
    assert path.read_text() == (
        '{\n "a": {\n  "c": [\n   true,\n   null,\n   "x"\n  ],\n  "d": [\n   1,\n   2.0\n  ]\n },\n "b": 0.123457\n}\n'
    )
    write_json(path, {"b": 0.12345678}, digits=2)
    assert json.loads(path.read_text()) == {"b": 0.12}


def test_the_order_of_insertion_does_not_change_the_bytes(tmp_path):
    write_json(tmp_path / "first", {"a": 1, "b": 2})
    write_json(tmp_path / "second", {"b": 2, "a": 1})
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_minus_zero_is_zero(tmp_path):
    assert [str(value) for value in rounded([-0.0, -1e-9, 0.0])] == ["0.0", "0.0", "0.0"]
    write_json(tmp_path / "m.json", {"delta": -1e-9})
    assert "-" not in (tmp_path / "m.json").read_text()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_what_is_no_number_is_refused_and_the_old_file_stays(tmp_path, value):
    path = tmp_path / "metrics.json"
    write_json(path, {"mAP": 0.5})
    with pytest.raises(ValueError, match="cannot be written to JSON"):
        write_json(path, {"per_class": [{"AP": value}]})
    assert tree(tmp_path) == {"metrics.json": b'{\n "mAP": 0.5\n}\n'}
