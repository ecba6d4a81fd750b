"""What files are written: the same bytes for the same content, and whole or not at all."""

import json
import os
import resource
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from zerostart.errors import InputError
from zerostart.outputs import (
    check_sheet,
    output_file,
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


def test_three_searches_at_once_leave_one_whole_sheet(tmp_path):
    """Each writes its picture over that of the others, two hundred times; none fails, and nothing else is left."""
    code = (
        "import sys; from PIL import Image; from zerostart.outputs import write_sheet\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for _ in range(200): write_sheet('search.png', Image.new('L', (200, 200), int(sys.argv[1])))"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([sys.executable, "-c", code, gray], cwd=tmp_path, **pipes) for gray in ("10", "20", "30")]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        process.communicate()
    assert [process.returncode for process in running] == [0, 0, 0]
    assert os.listdir(tmp_path) == ["search.png"]
    with Image.open(tmp_path / "search.png") as sheet:
        ((count, gray),) = sheet.getcolors()
    assert count == 200 * 200 and gray in (10, 20, 30)
