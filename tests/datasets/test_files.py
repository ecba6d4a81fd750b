"""Files of a data set are found through links and under any spelling of their names."""

import os
import time
import unicodedata
from pathlib import Path

import pytest
from small_sets import import_yolo

from zerostart.datasets.files import files_below, pictures_below, read_content, read_text, spelled
from zerostart.datasets.stems import Alike
from zerostart.errors import InputError


def test_linked_folders_are_entered_once(tmp_path):
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "real/deep/a.jpg").touch()
    (tmp_path / "set").mkdir()
    (tmp_path / "set/images").symlink_to(tmp_path / "real")
    (tmp_path / "real/deep/back").symlink_to(tmp_path / "set")  # a circle
    assert files_below(tmp_path / "set") == [tmp_path / "set/images/deep/a.jpg"]


def test_pictures_are_told_by_name_without_those_of_macos(tmp_path):
    for name in ("b.JPG", "a.jfif", "._a.jfif", "c.txt", "d.heic"):
        (tmp_path / name).touch()
    assert [path.name for path in pictures_below(tmp_path)] == ["a.jfif", "b.JPG"]


@pytest.mark.parametrize(("stored", "asked"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_name_is_found_in_the_other_unicode_form(tmp_path, stored, asked):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / unicodedata.normalize(stored, "Tür.png")).touch()
    expected = "images/" + unicodedata.normalize(stored, "Tür.png")
    assert spelled(tmp_path, "images\\" + unicodedata.normalize(asked, "Tür.png")) == expected


def test_a_name_without_a_file_stays(tmp_path):
    assert spelled(tmp_path, "a\\b.png") == "a\\b.png" and spelled(tmp_path, "a\0b" + "x" * 300) == "a\0b" + "x" * 300


def test_a_mark_is_skipped_and_what_is_no_file_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa")
    assert read_text(tmp_path / "a.txt") == "a"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: is a pipe; a file is expected"):
        read_content(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["images/train.png", "labels/val.txt", "train.txt"])
@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_a_data_set_with_what_never_ends_is_refused_at_once(tmp_path, name, kind):
    """A pipe that nobody writes to, and /dev/zero: as a picture, as its labels, as a split's list."""
    lists = [name.removesuffix(".txt")] if name == "train.txt" else []
    import_yolo(tmp_path, {})
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name) if kind == "a pipe" else (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match=f"{Path(name).name}.*({kind}|not a regular file)"):
        import_yolo(tmp_path, {}, draw=False, lists=lists)


def test_a_folder_with_two_names_is_found_by_the_first_of_them(tmp_path, monkeypatch):
    """Whatever order the file system lists its folders in."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x.png").touch()
    (tmp_path / "a").symlink_to(tmp_path / "b", target_is_directory=True)
    walk = os.walk

    def backwards(*arguments, **options):
        for place, folders, names in walk(*arguments, **options):
            folders.sort(reverse=True)
            yield place, folders, names

    monkeypatch.setattr(os, "walk", backwards)
    assert files_below(tmp_path) == [tmp_path / "a/x.png"]


def test_names_alike_are_found_without_looking_at_all_of_them():
    names = Alike(f"{k}/\u00e4" for k in range(100_000))
    started = time.monotonic()
    assert all(names.find(f"{k}\\a\u0308") == f"{k}/\u00e4" for k in range(20_000))
    assert names.find("x") is None
    assert time.monotonic() - started < 10
