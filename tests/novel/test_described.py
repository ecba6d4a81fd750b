"""Words beside a data set's own objects: which are taken, which are refused, and that they join the school."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from novel_sample import CARD, encoder
from tiny_detector import write_images

from zerostart.datasets.cards import Card
from zerostart.errors import InputError
from zerostart.novel.captions import load_words
from zerostart.novel.described import Described, Found, class_facts, join, read_described, remarks
from zerostart.novel.material import School
from zerostart.novel.queries import Looks

JAGGED = {"form": "line", "arrangement": "single", "edge": "jagged", "tone": "dark"}
BOX = [8.0, 8.0, 16.0, 16.0]


@pytest.fixture
def card(tmp_path):
    """Two pictures with an annotation each, ids 10 and 11, in `tmp_path`."""
    coco = write_images(tmp_path, 2)
    coco["categories"] = [{"id": 0, "name": "crack"}, {"id": 1, "name": "dent"}]
    coco["annotations"] = [
        {"id": 10 + index, "image_id": image["id"], "category_id": index, "bbox": BOX, "area": 256, "iscrowd": 0}
        for index, image in enumerate(coco["images"])
    ]
    (tmp_path / "a.json").write_text(json.dumps(coco))
    return Card(**yaml.safe_load(CARD))


def write(folder: Path, number: int, **fields) -> None:
    coco = json.loads((folder / "a.json").read_text())
    coco["annotations"][number] |= fields
    (folder / "a.json").write_text(json.dumps(coco))


def read(card, folder, of_classes=None):
    images = [image["file_name"] for image in json.loads((folder / "a.json").read_text())["images"]]
    return read_described(card, folder, images, {"crack": JAGGED} if of_classes is None else of_classes)


def test_nothing_written_is_nothing_described(card, tmp_path):
    found = read(card, tmp_path)
    assert found.objects == [] and not found.unused


def test_attributes_of_cvat_become_facts_and_its_books_are_passed_over(card, tmp_path):
    write(tmp_path, 0, attributes={"Tone": "Bright", "tint": "brown", "edge": "", "occluded": False, "severity": 3})
    write(tmp_path, 1, attributes={"tone": "dark"})  # a dent, of which nothing is known: dark what?
    found = read(card, tmp_path)
    (one,) = found.objects
    assert one.facts == {**JAGGED, "tone": "bright", "tint": "brown"} and one.box == tuple(BOX)
    assert found.unused == {"attribute 'severity'": 1, "attributes without a form": 1}


def test_what_cannot_be_told_is_open_whatever_its_class_has(card, tmp_path):
    write(tmp_path, 0, attributes={"tone": "bright", "edge": None})
    assert read(card, tmp_path).objects[0].facts == {"form": "line", "arrangement": "single", "tone": "bright"}


def test_an_object_with_another_form_than_its_class_has_nothing_of_it(card, tmp_path):
    write(tmp_path, 0, attributes={"form": "ring", "tone": "dark"})
    assert read(card, tmp_path).objects[0].facts == {"form": "ring", "tone": "dark"}


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"tone": "drak"}, r"annotation 10: tone is 'drak' \(near: dark\); one of dark, bright, shaded"),
        ({"tine": "blue"}, r"annotation 10: the vocabulary has no attribute 'tine' \(near: tone, tint"),
        ({"inside": "sign"}, "annotation 10: a line has no attribute 'inside'"),
        (["dark"], "annotation 10: its attributes are no mapping"),
    ],
)
def test_attributes_outside_the_vocabulary_are_refused_with_the_nearest(card, tmp_path, attributes, said):
    write(tmp_path, 0, attributes=attributes)
    with pytest.raises(InputError, match=said):
        read(card, tmp_path)


def test_captions_and_rows_of_the_table_are_sentences(card, tmp_path):
    write(tmp_path, 0, caption=" a thin  crack ")
    (tmp_path / "descriptions.csv").write_text('annotation_id,text\n11,"round, shallow"\n11,a hollow\n10,a jagged line\n')
    first, second = read(card, tmp_path).objects
    assert first.sentences == ("a thin crack", "a jagged line") and second.sentences == ("round, shallow", "a hollow")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("11,a hollow\n", "its first line is not annotation_id,text"),
        ("annotation_id,text\n12,a hollow\n", "line 2: train has no annotation 12"),
        ("annotation_id,text\n11,\n", "line 2: an annotation's id and a sentence are expected"),
        ("annotation_id,text\n11,round, shallow\n", "line 2: an annotation's id and a sentence are expected"),
    ],
)
def test_rows_that_belong_to_nothing_are_refused(card, tmp_path, text, said):
    (tmp_path / "descriptions.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read(card, tmp_path)


def test_a_caption_that_is_no_text_is_refused(card, tmp_path):
    write(tmp_path, 1, caption=["a hollow"])
    with pytest.raises(InputError, match=r"annotation 11: caption is \['a hollow'\]; a sentence is expected"):
        read(card, tmp_path)


def test_flags_and_descriptions_of_labelme_are_sentences(card, tmp_path):
    name = json.loads((tmp_path / "a.json").read_text())["images"][1]["file_name"]
    shape = {"label": "dent", "points": [[24, 8], [8, 24], [20, 20]], "shape_type": "polygon"}
    shapes = [shape | {"flags": {"round": True, "dark": False, "soft": True}, "description": "a shallow hollow"}, shape]
    (tmp_path / name).with_suffix(".json").write_text(json.dumps({"imagePath": name, "shapes": shapes}))
    (one,) = read(card, tmp_path).objects
    assert one.sentences == ("a shallow hollow", "round, soft") and one.box == (8, 8, 16, 16) and one.file_name == name
    (tmp_path / name).with_suffix(".json").write_text(json.dumps({"imagePath": name, "shapes": [{"points": []}]}))
    with pytest.raises(InputError, match="shape 1: not a shape of LabelMe"):
        read(card, tmp_path)


def school(dimensions: int) -> School:
    rng = np.random.default_rng(0)
    nothing = np.zeros((0, 1))
    captions = rng.standard_normal((3, 2, 5))
    return School(rng.standard_normal((3, dimensions)), [], nothing, captions, [], nothing, nothing, nothing, 1.0)


def looks() -> Looks:
    """One picture of 100 pixels, two queries."""
    coco = {"images": [{"id": 7, "file_name": "a.png", "width": 100, "height": 100}], "annotations": [], "categories": []}
    boxes = np.array([[[0.5, 0.5, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2]]])
    return Looks(np.arange(8.0).reshape(1, 2, 4), np.zeros((1, 2, 3)), boxes, coco)


def test_described_objects_join_the_school_with_the_query_that_covers_them():
    """Two captions a mark: three sentences of an object make two rows, the second of which is filled from the start."""
    said = ("one", "two", "three")
    objects = [
        Described("a.png", (10, 10, 20, 20), {}, said, "a"),
        Described("a.png", (80, 80, 5, 5), {}, ("a line",), "b"),  # no query covers it
        Described("elsewhere.png", (10, 10, 20, 20), {}, ("a line",), "c"),  # not of train
    ]
    joined = join(school(4), looks(), objects, load_words("en"), encoder(), seed=0)
    assert joined.seen == 1 and joined.school.captions.shape == (5, 2, 5)
    np.testing.assert_array_equal(joined.school.features[3:], [[4, 5, 6, 7]] * 2)
    expected = encoder().encode(["one", "two", "three", "one"]).reshape(2, 2, 5)
    np.testing.assert_allclose(joined.school.captions[3:], expected, atol=1e-6)
    np.testing.assert_array_equal(joined.school.captions[:3], school(4).captions)


def test_an_object_with_facts_alone_gets_captions_like_a_mark():
    joined = join(school(4), looks(), [Described("a.png", (10, 10, 20, 20), JAGGED, (), "a")], load_words("en"), encoder(), 0)
    assert joined.seen == 1 and len(joined.school.features) == 4


def test_without_described_objects_the_school_is_what_it_was():
    before = school(4)
    assert join(before, looks(), [], load_words("en"), encoder(), seed=0).school is before


def test_a_sentence_that_the_encoder_would_cut_is_refused():
    one = Described("a.png", (10, 10, 20, 20), {}, ("x" * 70,), "annotation 3")
    with pytest.raises(InputError, match="the sentence of 'annotation 3' is longer than the text encoder"):
        join(school(4), looks(), [one], load_words("en"), encoder(), 0)


def test_what_is_there_is_counted_and_strange_words_are_named(card, tmp_path):
    write(tmp_path, 0, attributes={"tone": "bright", "severity": 3}, caption="a brigth gouge")
    found, words = read(card, tmp_path), load_words("en")
    objects = [one._replace(file_name="a.png", box=(10, 10, 20, 20)) for one in found.objects]
    said = "\n".join(remarks(found, join(school(4), looks(), objects, words, encoder(), 0), words))
    assert "described objects: 1 (1 with attributes, 1 with sentences), 1 of them covered by a query" in said
    assert "not used: attribute 'severity' (1)" in said
    assert "brigth (near: bright" in said and "gouge (1)" in said
    assert remarks(Found([], Counter()), join(school(4), looks(), [], words, encoder(), 0), words) == []


def test_the_facts_of_a_data_set_s_classes():
    assert class_facts("synthetic")["fracture"]["edge"] == "jagged" and class_facts("unheard-of") == {}
