from pathlib import Path

import pytest
import yaml

from zerostart.datasets.cards import load_card
from zerostart.errors import InputError

REPOSITORY = Path(__file__).parents[2]
FILES = {"annotations": "labels", "images": "images"}
SMALL = {
    "name": "small",
    "format": "coco",
    "obtain": "draw it",
    "prompts": "small",
    "classes": ["dent", "scratch"],
    "critical": ["scratch"],
    "splits": {"train": FILES, "val": FILES, "test": FILES},
}


@pytest.fixture
def load(tmp_path):
    """Load SMALL with some keys replaced (None: left out)."""

    def load(**changes):
        content = {key: value for key, value in (SMALL | changes).items() if value is not None}
        (tmp_path / "small.yaml").write_text(yaml.safe_dump(content))
        return load_card("small", tmp_path)

    return load


@pytest.mark.parametrize(
    ("name", "classes", "critical"),
    [
        (
            "synthetic",
            ("normal", "perforation", "fracture", "scratch", "dent", "contamination"),
            ("fracture", "scratch", "contamination"),
        ),
        (
            "neu-det",
            ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"),
            ("crazing", "inclusion", "scratches"),
        ),
    ],
)
def test_shipped_cards(name, classes, critical):
    card = load_card(name, REPOSITORY / "data/datasets")
    assert (card.classes, card.critical) == (classes, critical)
    assert (REPOSITORY / f"data/prompts/{card.prompts}.yaml").exists()


def test_an_alias_stands_for_a_class(load):
    card = load(aliases={"scuff": "scratch"})
    assert [card.class_of(name) for name in ("scuff", "dent", "rust")] == ["scratch", "dent", "rust"]


def test_a_card_is_frozen(load):
    with pytest.raises(ValueError, match="frozen"):
        load().name = "other"


@pytest.mark.parametrize("name", ["smal", "../small", "small.yaml", ""])
def test_an_unknown_name_lists_the_cards(load, tmp_path, name):
    load()
    (tmp_path / "other.yaml").touch()
    with pytest.raises(InputError, match=f"no card for dataset '{name}'; .* existing: other, small$"):
        load_card(name, tmp_path)


def test_no_card_at_all(tmp_path):
    with pytest.raises(InputError, match=r"existing: none$"):
        load_card("small", tmp_path / "absent")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: [dent", "not valid YAML"),
        (b"classes: \xff", "not UTF-8 text"),
        ("- dent", "a mapping of names to values"),
        ("", "a mapping of names to values"),
    ],
)
def test_malformed_file(tmp_path, text, message):
    (tmp_path / "small.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=f"small.yaml: {message}"):
        load_card("small", tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"prompts": None}, "key 'prompts' is missing"),
        ({"format": "kitti"}, "key 'format' is 'kitti': input should be 'coco', 'voc' or 'yolo'"),
        ({"classes": "dent"}, "key 'classes' is 'dent'"),
        ({"classes": ["dent", False]}, "key 'classes.1' is False: input should be a valid string"),
        ({"classes": ["dent", "scratch "]}, "key 'classes.1' is 'scratch '"),
        ({"splits": {"train": FILES, "val": FILES}}, "key 'splits.test' is missing"),
        ({"name": "other"}, "'name' is 'other'; the file's own name, 'small', is expected"),
        ({"classes": ["scratch"]}, "'classes' has 1 entry; at least 2 are expected"),
        ({"classes": ["dent", "scratch", "dent"]}, "'dent' stands twice in 'classes'"),
        ({"critical": ["scratch", "scratch"]}, "'scratch' stands twice in 'critical'"),
        ({"critical": []}, "'critical' is empty; at least one class is expected"),
        ({"critical": ["rust"]}, r"critical class 'rust' is not in 'classes' \(dent, scratch\)"),
        ({"aliases": {"scuff": "rust"}}, "alias 'scuff' stands for 'rust', not in 'classes'"),
        ({"aliases": {"dent": "scratch"}}, "alias 'dent' is itself in 'classes'"),
        ({"format": "voc"}, "key 'splits.train.list' is missing; format voc"),
        (
            {"splits": SMALL["splits"] | {"val": FILES | {"list": "val.txt"}}},
            "key 'splits.val.list' has no meaning",
        ),
        ({"names": ["dent", "scratch"]}, "key 'names' has a meaning in format yolo only, not in coco"),
        ({"format": "yolo", "names": ["dent", "dent"]}, "'dent' stands twice in 'names'"),
    ],
)
def test_refusals(load, changes, message):
    with pytest.raises(InputError, match=f"small.yaml: {message}"):
        load(**changes)


@pytest.mark.parametrize("key", ["annotations", "images", "list", "prompts"])
@pytest.mark.parametrize("place", ["/etc/passwd", "../../../etc/passwd", "a/../../b", "C:\\data", "\0"])
def test_a_card_cannot_leave_the_folder_of_its_data(load, key, place):
    if key == "prompts":
        changes = {"prompts": place}
    else:
        changes = {"format": "voc", "splits": dict.fromkeys(SMALL["splits"], FILES | {"list": "a.txt", key: place})}
    if (key, place) == ("prompts", "C:\\data"):
        return  # a file's name like any other
    with pytest.raises(InputError, match=rf"small.yaml: key '(splits\.train\.)?{key}' is ") as refused:
        load(**changes)
    assert str(refused.value).isprintable()
