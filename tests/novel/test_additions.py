"""What people add in words: files that keep what stands in them."""

import numpy as np
import pytest
import yaml
from novel_sample import CARD, PROMPTS, write_card_and_prompts

from zerostart.errors import InputError
from zerostart.novel.additions import add_class, edited, ignore, load_additions, remove_class


@pytest.fixture
def root(tmp_path):
    write_card_and_prompts(tmp_path)
    return tmp_path


def texts(root):
    return [(root / f"data/{kind}/parts.yaml").read_text() for kind in ("datasets", "prompts")]


def test_a_class_is_added_behind_what_stands_there_and_can_be_taken_away(root):
    add_class("parts", "star crack", ["lines that meet", "a dark star"], np.ones((2, 3)), root)
    card, prompts = texts(root)
    assert card == f"{CARD}new:\n  - star crack\n"
    assert prompts == f"{PROMPTS}new:\n  star crack:\n  - lines that meet\n  - a dark star\n"
    added = load_additions("parts", root)
    assert added.new == {"star crack": ("lines that meet", "a dark star")} and added.shots["star crack"].shape == (2, 3)
    add_class("parts", "heat tint", ["a blue patch"], root=root)
    add_class("parts", "star crack", ["a star"], root=root)  # other sentences, and no boxes any more
    added = load_additions("parts", root)
    assert added.new == {"star crack": ("a star",), "heat tint": ("a blue patch",)} and not added.shots
    for name in added.new:
        remove_class("parts", name, root)
    assert texts(root) == [CARD, PROMPTS]


def test_what_is_ignored_stands_in_the_prompts_once(root):
    for _ in range(2):
        ignore("parts", ["a chalk line"], root)
    assert load_additions("parts", root).ignore == ("a chalk line",)


def test_bad_additions_are_refused_and_nothing_is_written(root):
    with pytest.raises(InputError, match="'dent' is a class of parts already"):
        add_class("parts", "dent", ["a hollow"], root=root)
    with pytest.raises(InputError, match="'rust' is none of the new classes"):
        remove_class("parts", "rust", root)
    assert texts(root) == [CARD, PROMPTS]
    (root / "data/datasets/parts.yaml").write_text(f"{CARD}new: [rust]\n")
    with pytest.raises(InputError, match="the new class 'rust' has no sentence"):
        load_additions("parts", root)
    (root / "data/datasets/parts.yaml").write_text(f"{CARD}new: [dent]\n")
    with pytest.raises(InputError, match="'dent' stands in 'classes' and in 'new'"):
        load_additions("parts", root)


def test_a_block_is_replaced_wherever_it_stands_and_comments_stay(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("# first\nnew:\n  - a\n\n  - b  # why\nlast: 1\n")
    assert edited(path, "new", ["c"]) == "# first\nlast: 1\nnew:\n  - c\n"
    path.write_text("text: |\n  new:\n  - a\n")
    assert yaml.safe_load(edited(path, "new", ["c"])) == {"text": "new:\n- a\n", "new": ["c"]}
    path.write_text("{text: 1, new: [a]}\n")
    with pytest.raises(InputError, match="edit it by hand"):
        edited(path, "new", ["c"])
