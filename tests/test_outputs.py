"""An output is there whole or not at all, and equal results are equal bytes."""

import errno
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zerostart.errors import InputError
from zerostart.outputs import (
    MARKER,
    check_new_folder,
    output_file,
    output_folder,
    stage_folder,
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
        said = json.dumps({name: hashlib.sha256(name.encode()).hexdigest()[:16]}, indent=0).encode()
        assert tree(path) == {name: name.encode()} | ({MARKER: said} if marker else {})
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


COMMANDS = {
    "predict": ["x.png", "--out"],
    "export": ["--format", "onnx", "--out"],
    "convert": ["x.pth", "--config", "x.yml", "--out"],
    "report": ["main", "--out"],
    "figures": [],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_replaces_the_checkout(tmp_path, monkeypatch, command):
    """`--out nope/..`, where there is no nope: written there, and then put in the place of everything, .git included."""
    monkeypatch.chdir(checkout(tmp_path))
    before = tree(tmp_path)
    for path, said in (("nope/..", "is the working directory or lies above it"), ("nope/../keep", "keep: ")):
        monkeypatch.setattr(sys, "argv", [command, *COMMANDS[command], path])
        with pytest.raises(InputError, match=said):
            importlib.import_module(f"zerostart.{command}").main()
    assert tree(tmp_path) == before


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
    """Its marker has one name a line, or a list of them."""
    for marker in (f"a\n{name}", json.dumps(["a", name])):
        shutil.rmtree(tmp_path / "result", ignore_errors=True)
        (tmp_path / "result").mkdir()
        for path in ("a", name):
            (tmp_path / "result" / path).touch()
        (tmp_path / "result" / MARKER).write_text(marker)
        with output_folder(tmp_path / "result"):
            pass
        assert tree(tmp_path) == {f"result/{MARKER}": b"{}"}


@pytest.mark.parametrize("change", ["edited", "a link", "a pipe", "a folder"])
def test_what_somebody_changed_in_our_folder_is_never_replaced(tmp_path, change):
    """Notes in a report, a threshold in the settings of an export."""
    with output_folder(tmp_path / "result") as temporary:
        (temporary / "report.md").write_text("better")
    file = tmp_path / "result" / "report.md"
    if change == "edited":
        file.write_text("BETTER")  # as long as before
    else:
        file.unlink()
        {"a link": lambda: file.symlink_to("/dev/zero"), "a pipe": lambda: os.mkfifo(file), "a folder": file.mkdir}[change]()
    if change == "a folder":
        (file / "notes.txt").write_text("mine")
    before = sorted(os.listdir(tmp_path / "result"))
    said = "holds 'report.md/notes.txt'" if change == "a folder" else "'report.md' was changed since zerostart wrote it"
    with pytest.raises(InputError, match=said):
        output_folder(tmp_path / "result").__enter__()
    assert sorted(os.listdir(tmp_path / "result")) == before


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"[" * 100_000, b'[["photo.jpg"]]', b"{}", b"null", b'{"photo.jpg": 1}', b'{"photo.jpg": null}']
)
def test_a_marker_that_somebody_spoiled_protects_everything(tmp_path, content):
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "photo.jpg").write_text("mine")
    (tmp_path / "result" / MARKER).write_bytes(content)
    with pytest.raises(InputError, match=r"'photo.jpg'(, which no command| was changed)"):
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


def test_a_new_folder_clears_away_the_lock_of_a_writer_that_was_killed_at_its_end(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/weights").touch()
    (tmp_path / ".tmp-lock-out").write_text("4194305")
    with pytest.raises(InputError, match="exists and is not empty"):
        check_new_folder(tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]
