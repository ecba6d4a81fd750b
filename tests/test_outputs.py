"""An output is there whole or not at all, and equal results are equal bytes."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from zerostart.errors import InputError
from zerostart.outputs import (
    MARKER,
    check_new_folder,
    check_sheet,
    output_file,
    output_folder,
    reserve,
    rounded,
    stage_folder,
    write_array,
    write_csv,
    write_jpeg,
    write_json,
    write_records,
    write_sheet,
)


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


def test_a_file_gets_its_name_in_one_step(tmp_path):
    """Copied there it would be half there for a while: it is the temporary file itself that is renamed."""
    with output_file(tmp_path / "numbers.csv") as temporary:
        temporary.write_text("whole")
        number = temporary.stat().st_ino
    assert (tmp_path / "numbers.csv").stat().st_ino == number


@pytest.mark.parametrize(("folder", "marker"), [(output_folder, True), (stage_folder, False)])
def test_a_folder_replaces_the_old_one_completely(tmp_path, folder, marker):
    path = tmp_path / "deep" / "model"
    for name in ("first", "second"):
        with folder(path) as temporary:
            (temporary / name).write_text(name)
        assert tree(path) == {name: name.encode()} | ({MARKER: f'[\n"{name}"\n]'.encode()} if marker else {})
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
    with pytest.raises(KeyboardInterrupt), stage_folder(path) as temporary:
        (temporary / "weights").write_text("half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == {"model/weights": b"old"}


@pytest.mark.parametrize("output", [output_file, output_folder, stage_folder])
def test_an_exception_leaves_nothing_where_nothing_was(tmp_path, output):
    with pytest.raises(ZeroDivisionError), output(tmp_path / "result") as temporary:
        target = temporary if output is output_file else temporary / "weights"
        target.write_text("half")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def left_behind(folder: Path, *names: str) -> None:
    """Folders as a killed process leaves them: SIGKILL runs no `finally`."""
    for name in names:
        (folder / name).mkdir()
        (folder / name / "weights").write_text(name)


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    left_behind(tmp_path, "model", ".tmp-new-model", ".tmp-old-model", ".tmp-gone-model")
    with stage_folder(tmp_path / "model") as temporary:
        assert os.listdir(temporary) == []
        (temporary / "weights").write_text("new")
    assert tree(tmp_path) == {"model/weights": b"new"}


def test_killed_between_the_two_renamings_the_old_folder_comes_back_before_anything_else(tmp_path):
    left_behind(tmp_path, ".tmp-new-model", ".tmp-old-model")
    with pytest.raises(ZeroDivisionError), stage_folder(tmp_path / "model"):
        assert tree(tmp_path / "model") == {"weights": b".tmp-old-model"}
        raise ZeroDivisionError
    assert tree(tmp_path) == {"model/weights": b".tmp-old-model"}


def test_a_folder_whose_removal_was_cut_short_does_not_come_back(tmp_path):
    left_behind(tmp_path, ".tmp-gone-model")
    with pytest.raises(ZeroDivisionError), stage_folder(tmp_path / "model"):
        raise ZeroDivisionError
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("other", ["old-x", "new-x", "gone-x", "lock-x", "x.lock", "x", "99-x"])
def test_writers_of_neighbours_do_not_meet_whatever_they_are_called(tmp_path, other):
    inner = tmp_path / ("x" if other != "x" else "old-x")
    with output_folder(tmp_path / other) as first:
        (first / "a").write_text("first")
        for content in ("second", "third"):
            with stage_folder(inner) as second:
                (second / "a").write_text(content)
        with output_file(tmp_path / "x.csv") as third:
            third.write_text("a table")
    assert {name: content for name, content in tree(tmp_path).items() if MARKER not in name} == {
        f"{other}/a": b"first",
        f"{inner.name}/a": b"third",
        "x.csv": b"a table",
    }


def test_a_folder_that_is_called_as_a_leftover_of_a_file_stays(tmp_path):
    left_behind(tmp_path, ".tmp-4194305-numbers.csv")
    with output_file(tmp_path / "numbers.csv") as temporary:
        temporary.write_text("ours")
    assert sorted(tree(tmp_path)) == [".tmp-4194305-numbers.csv/weights", "numbers.csv"]


def test_nothing_is_removed_under_its_final_name(tmp_path, monkeypatch):
    """Removing many files takes time: cut short, half of the old folder would pass for a whole one."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "weights").write_text("old")
    removed = []
    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda folder, **options: removed.append(folder) or remove(folder, **options))
    with stage_folder(path) as temporary:
        (temporary / "weights").write_text("new")
    assert removed and path not in removed
    assert tree(tmp_path) == {"model/weights": b"new"}


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


def checkout(folder: Path) -> Path:
    (folder / ".git").mkdir(parents=True)
    (folder / "keep").mkdir()
    (folder / "keep" / "photo.jpg").write_text("mine")
    return folder


@pytest.mark.parametrize("path", ["nope/..", ".", "..", "nope/../..", "/"])
@pytest.mark.parametrize("writer", [output_folder, stage_folder, check_new_folder])
def test_the_working_directory_and_what_lies_above_is_never_replaced(tmp_path, monkeypatch, writer, path):
    work = checkout(tmp_path / "work")
    monkeypatch.chdir(work)
    with pytest.raises(InputError, match="is the working directory or lies above it"):
        run = writer(Path(path))
        run.__enter__()
    assert tree(tmp_path) == {"work/keep/photo.jpg": b"mine"}
    assert os.listdir(work) and (work / ".git").is_dir()


@pytest.mark.parametrize("writer", [output_folder, stage_folder, check_new_folder])
def test_a_repository_is_never_replaced(tmp_path, monkeypatch, writer):
    checkout(tmp_path / "other")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(InputError, match="other: is a git repository"):
        writer(Path("../other")).__enter__()
    assert tree(tmp_path) == {"other/keep/photo.jpg": b"mine"}


def test_what_no_command_wrote_is_never_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(checkout(tmp_path))
    for path in ("keep", "nope/../keep"):
        with pytest.raises(InputError, match=r"keep: holds 'photo.jpg', which no command of zerostart wrote there"):
            output_folder(path).__enter__()
    with pytest.raises(InputError, match="is not empty"):
        check_new_folder(Path("nope/../keep"))
    with output_folder("result") as temporary:
        (temporary / "images").mkdir()
        (temporary / "images" / "1.png").write_text("drawn")
    (tmp_path / "result" / "images" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"result: holds 'images/notes.txt'"):
        output_folder("result").__enter__()
    assert (tmp_path / "keep" / "photo.jpg").read_text() == (tmp_path / "result/images/notes.txt").read_text() == "mine"
    assert not list(tmp_path.glob(".tmp-*"))


NAMES = {
    "not UTF-8": os.fsdecode(b"dent\xff.png"),
    "two lines": "dent\nnotes.txt",
    "a bracket": "[1]",
    "letters": "Schürfwunde 傷.png",
}


@pytest.mark.parametrize("case", NAMES)
def test_a_file_may_have_any_name(tmp_path, case):
    for content in ("first", "second"):
        with output_folder(tmp_path / "result") as temporary:
            (temporary / NAMES[case]).write_text(content)
        assert (tmp_path / "result" / NAMES[case]).read_text() == content
    (tmp_path / "result" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes.txt'"):
        output_folder(tmp_path / "result").__enter__()


@pytest.mark.parametrize("name", ["drawn.png", "[1]", "7", "{}", "Schürfwunde.png"])
def test_a_folder_of_an_earlier_version_is_still_known(tmp_path, name):
    """Its marker has one name a line."""
    (tmp_path / "result").mkdir()
    for path in ("a", name):
        (tmp_path / "result" / path).touch()
    (tmp_path / "result" / MARKER).write_text(f"a\n{name}")
    with output_folder(tmp_path / "result"):
        pass
    assert tree(tmp_path) == {f"result/{MARKER}": b"[]"}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b'[["photo.jpg"]]', b"{}", b"null"])
def test_a_marker_that_somebody_spoiled_protects_everything(tmp_path, content):
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "photo.jpg").write_text("mine")
    (tmp_path / "result" / MARKER).write_bytes(content)
    with pytest.raises(InputError, match=r"holds 'photo.jpg'"):
        output_folder(tmp_path / "result").__enter__()


@pytest.mark.parametrize("name", ["loop", "loop/below", "null\0character"])
@pytest.mark.parametrize("writer", [output_folder, stage_folder, check_new_folder])
def test_where_no_folder_can_lie_is_a_sentence(tmp_path, writer, name):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match=r"no folder can lie there \(.+\); a new folder is expected"):
        writer(tmp_path / name).__enter__()


def test_what_is_put_into_the_folder_meanwhile_is_kept(tmp_path):
    with pytest.raises(InputError, match=r"holds 'photo.jpg'"), output_folder(tmp_path / "result"):
        (tmp_path / "result").mkdir()
        (tmp_path / "result" / "photo.jpg").write_text("mine")
    assert tree(tmp_path) == {"result/photo.jpg": b"mine"}


def test_a_link_to_a_folder_is_followed(tmp_path):
    (tmp_path / "large-disk").mkdir()
    (tmp_path / "data").symlink_to("large-disk")
    with stage_folder(tmp_path / "data" / "cache") as temporary:
        (temporary / "a").write_text("a")
    assert (tmp_path / "large-disk" / "cache" / "a").read_text() == "a"


def test_a_move_that_fails_leaves_the_old_folder(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("old")
    move = os.replace

    def full(source, target):
        if Path(source).name == ".tmp-new-model":
            raise OSError(errno.ENOSPC, "No space left on device")
        move(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"), stage_folder(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("new")
    assert tree(tmp_path) == {"model/weights": b"old"}


WRITER = """
import sys, time
from zerostart.outputs import output_file, stage_folder
with (stage_folder if sys.argv[1] == "folder" else output_file)(sys.argv[2]) as temporary:
    (temporary / "a" if sys.argv[1] == "folder" else temporary).write_text("from the process")
    print("writing", flush=True)
    sys.stdin.readline()
"""


def start(kind: str, path: Path) -> subprocess.Popen:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", WRITER, kind, str(path)], **pipes)
    assert process.stdout.readline() == "writing\n"
    return process


def test_a_second_writer_of_a_folder_is_told_who_the_first_is(tmp_path):
    process = start("folder", tmp_path / "model")
    with pytest.raises(InputError, match=f"model: process {process.pid} is writing it"):
        stage_folder(tmp_path / "model").__enter__()
    process.communicate("go on\n")
    assert process.returncode == 0
    assert tree(tmp_path) == {"model/a": b"from the process"}


def test_a_killed_writer_leaves_no_lock(tmp_path):
    process = start("folder", tmp_path / "model")
    process.kill()
    process.communicate()
    with stage_folder(tmp_path / "model") as temporary:
        (temporary / "b").write_text("ours")
    assert tree(tmp_path) == {"model/b": b"ours"}


def test_two_writers_of_a_file_do_not_meet(tmp_path):
    process = start("file", tmp_path / "numbers.csv")
    with output_file(tmp_path / "numbers.csv") as temporary:
        temporary.write_text("ours")
    assert (tmp_path / "numbers.csv").read_text() == "ours"
    process.communicate("go on\n")
    assert process.returncode == 0
    assert tree(tmp_path) == {"numbers.csv": b"from the process"}


def test_the_leftovers_of_a_killed_writer_of_a_file_go(tmp_path):
    process = start("file", tmp_path / "numbers.csv")
    process.kill()
    process.communicate()
    (tmp_path / f".tmp-{os.getpid()}-other.csv").write_text("somebody else's")
    with output_file(tmp_path / "numbers.csv") as temporary:
        temporary.write_text("ours")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".tmp-{os.getpid()}-other.csv", "numbers.csv"]


def test_a_table_has_the_bytes_that_pandas_wrote(tmp_path):
    records = [
        {"class": 'a, "b"', "count": 1, "score": 0.1, "seen": True, "low": float("nan")},
        {"class": "ä", "count": np.int64(22), "score": np.float64(2 / 3), "seen": False, "low": -0.0},
        {"class": "c", "count": 3, "score": 1e-9, "seen": True, "more": None, "low": 1e10},
        {"class": "d\ne", "count": 3, "score": 1.0, "seen": True, "more": 1.5},
    ]
    pd.DataFrame(records).to_csv(tmp_path / "pandas.csv", index=False, float_format="%.6f")
    write_records(tmp_path / "own.csv", records)
    write_csv(tmp_path / "rows.csv", list(records[0]), [[r.get(key) for key in records[0]] for r in records])
    pd.DataFrame(records)[list(records[0])].to_csv(tmp_path / "columns.csv", index=False, float_format="%.6f")
    assert (tmp_path / "own.csv").read_bytes() == (tmp_path / "pandas.csv").read_bytes()
    assert (tmp_path / "rows.csv").read_bytes() == (tmp_path / "columns.csv").read_bytes()
    assert b"-0.000000" in (tmp_path / "own.csv").read_bytes()


def test_a_table_without_rows_has_its_header(tmp_path):
    write_csv(tmp_path / "a.csv", ("class", "AP"), [])
    assert (tmp_path / "a.csv").read_bytes() == b"class,AP\n"


def test_a_picture_is_written_whole_or_not_at_all(tmp_path):
    """Pillow's own way takes no notice that the disk took only a part; a limit on a file's size stands for the full disk."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    picture.save(tmp_path / "expected.jpg", quality=90)
    write_jpeg(tmp_path / "found.jpg", picture, 90)
    assert (tmp_path / "found.jpg").read_bytes() == (tmp_path / "expected.jpg").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_jpeg(tmp_path / "cut.jpg", picture, 90)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    "array", [np.arange(10016, dtype=np.float32), np.ones((3, 0)), np.float64(2), np.asfortranarray(np.eye(40))]
)
def test_an_array_is_written_whole_or_not_at_all(tmp_path, array):
    """The bytes of `np.save`; which takes no notice where the last of 40,192 bytes fail."""
    np.save(tmp_path / "expected.npy", array)
    write_array(tmp_path / "found.npy", array)
    assert (tmp_path / "found.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()
    limits, whole = resource.getrlimit(resource.RLIMIT_FSIZE), (tmp_path / "expected.npy").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole - 4, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_array(tmp_path / "cut.npy", array)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_room_for_a_memory_map_is_taken_beforehand(tmp_path):
    """A file made by seeking has no blocks on the disk: a full one would end the process when they are first written."""
    path = tmp_path / "array.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(1000, 100))
    reserve(path)
    assert os.stat(path).st_blocks * 512 >= 400_000
    assert np.load(path).shape == (1000, 100)


def test_what_goes_wrong_says_what_was_written(tmp_path):
    for output in (output_file, stage_folder):
        with pytest.raises(RuntimeError) as raised, output(tmp_path / "model"):
            raise RuntimeError("a native library")
        assert raised.value.__notes__ == [f"while {tmp_path / 'model'} was written"]


def test_a_new_folder_clears_away_the_lock_of_a_writer_that_was_killed_at_its_end(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/weights").touch()
    (tmp_path / ".tmp-lock-out").write_text("4194305")
    with pytest.raises(InputError, match="exists and is not empty"):
        check_new_folder(tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]


def test_a_sheet_replaces_nothing_but_a_sheet(tmp_path):
    sheet, photo = Image.new("RGB", (4, 4)), tmp_path / "photo.png"
    sheet.save(photo)
    (tmp_path / "notes.png").write_text("mine")
    os.mkfifo(tmp_path / "pipe.png")
    before = tree(tmp_path)
    for name in ("photo.png", "notes.png", "pipe.png"):
        with pytest.raises(InputError, match=f"{name}: exists, and is no picture sheet of zerostart"):
            write_sheet(tmp_path / name, sheet)
    assert tree(tmp_path) == before
    with pytest.raises(InputError, match=r"the name of a \.png file is expected"):
        check_sheet(tmp_path / "sheet.jpg")
    for colour in ("red", "blue"):
        write_sheet(tmp_path / "sheet.png", Image.new("RGB", (4, 4), colour))
    assert Image.open(tmp_path / "sheet.png").getpixel((0, 0)) == (0, 0, 255)
    with pytest.raises(InputError, match="is the picture that is asked about"):
        check_sheet(tmp_path / "sheet.png", tmp_path / "sheet.png")
