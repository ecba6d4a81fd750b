"""The command: what it writes, and what it refuses in one sentence before anything is written."""

import os
import shutil
from pathlib import Path

import pytest
from novel_sample import CARD, PROMPTS, encoder, vocabulary, write_card_and_prompts
from refined_sample import run_command

from zerostart import classes
from zerostart.errors import InputError
from zerostart.novel.rows import save_vocabulary

ROOT = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path, monkeypatch):
    write_card_and_prompts(tmp_path)
    shutil.copytree(ROOT / "data/captions", tmp_path / "data/captions")
    os.makedirs(tmp_path / "models/vocabulary/parts")
    save_vocabulary(vocabulary(4, ["crack", "dent"]), tmp_path / "models/vocabulary/parts")
    monkeypatch.setattr(classes, "load_text_encoder", encoder)
    return tmp_path


def run(root, *arguments):
    return run_command(classes, root, *arguments, "--to", "parts")


def texts(root):
    return [(root / f"data/{kind}/parts.yaml").read_text() for kind in ("datasets", "prompts")]


def test_a_class_is_added_listed_and_removed(root, capsys):
    assert "'star crack' added; 3 classes now" in run(root, "add", "star crack", "--text", "dark lines that meet in a point")
    assert "form line/star" in capsys.readouterr().out
    assert "ignored from now on" in run(root, "exclude", "--text", "a thick bright line")
    assert run(root, "list") == "star crack: dark lines that meet in a point\nignored: a thick bright line"
    run(root, "remove", "star crack")
    assert texts(root) == [CARD, f"{PROMPTS}ignore:\n  - a thick bright line\n"]


def test_without_a_vocabulary_the_command_that_learns_it_is_named(root):
    shutil.rmtree(root / "models")
    with pytest.raises(InputError, match=r"models/vocabulary/parts: no such folder; `make novel DATASET=parts` learns"):
        run(root, "add", "rust", "--text", "a brown spot")
    assert texts(root) == [CARD, PROMPTS]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "dent", "--text", "a hollow"), "'dent' is a class of parts already"),
        (("add", "rust"), "'rust' has no sentence"),
        (("add", "rust", "--text", "brown", "--text", " "), "'rust' has no sentence"),
        (("add", " ", "--text", "brown"), "the new class has no name"),
        (("add", "rust", "--text", "brown " * 30), "longer than the text encoder"),
        (("exclude",), "'what is ignored' has no sentence"),
        (("repair", "rust", "--text", "brown"), "'rust' is no class of parts"),
        (("remove", "rust"), "'rust' is none of the new classes"),
        (("judge", "coco.json"), "parts has no new class"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(root, arguments, said):
    with pytest.raises(InputError, match=said):
        run(root, *arguments)
    assert texts(root) == [CARD, PROMPTS]
