"""COCO files of type × severity: what is read, and one sentence for what is wrong."""

import json
import shutil

import pytest

from zerostart.errors import InputError
from zerostart.retrieval.crops.coco_layout import read_coco_photos
from zerostart.retrieval.crops.photos import RECORD, TEST, VAL, Damage

CATEGORIES = [{"id": i, "name": name} for i, name in enumerate(["severity-damage", "minor-dent", "severe-broken", "crack"])]


def write(folder, annotations=(), **changes):
    for split in ("train", "val", "test"):
        content = {"images": [{"id": 7, "file_name": f"{split}.jpg"}], "annotations": [], "categories": CATEGORIES}
        if split == "train":
            content["annotations"] = list(annotations)
        (folder / f"{split}.json").write_text(json.dumps(content | changes))


def annotation(**changes):
    return {"id": 3, "image_id": 7, "category_id": 1, "segmentation": [[10, 20, 30, 20, 10, 50]]} | changes


def refusal(folder):
    with pytest.raises(InputError) as caught:
        read_coco_photos(folder)
    return str(caught.value).replace(f"{folder}/", "")


def test_category_names_give_type_and_severity_and_val_and_test_are_queries(tmp_path):
    write(tmp_path, [annotation(), annotation(id=4, category_id=2), annotation(id=5, category_id=3)])
    photos = read_coco_photos(tmp_path)
    box = (10, 20, 30, 50)
    assert photos[0].damages == (Damage("dent", "minor", box), Damage("broken", "severe", box), Damage("crack", "unknown", box))
    assert [photo.split for photo in photos] == [RECORD, VAL, TEST]
    assert [photo.source for photo in photos] == ["images/train.jpg", "images/val.jpg", "images/test.jpg"]
    assert {photo.zone for photo in photos} == {"unknown"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category_id": 0}, "annotation 3: category 'severity-damage' is no damage type; surface_scratch, dent"),
        ({"category_id": 9}, "annotation 3: category_id 9 is not the id of a category of this file"),
        ({"image_id": 9}, "annotation 3: image_id 9 is not the id of an image of this file"),
        ({"segmentation": [[1, 2, 3, 4]]}, "annotation 3: a polygon of 2 point(s) found; at least 3 are expected"),
        ({"segmentation": [[1, 2, 3, 2, 5, 2]]}, "annotation 3: a polygon without area found"),
        ({"segmentation": [[1, 2, 9, 2, 5, 8], [3, 4, 5, 6]]}, "annotation 3: a polygon of 2 point(s) found"),
        ({"segmentation": [[1, 2, 3, 4, 5]]}, "annotation 3: a polygon with an odd number of coordinates found"),
        ({"segmentation": 5}, "annotation 3: neither polygons nor a bbox found; one of them is expected"),
        ({"segmentation": [5]}, "annotation 3: its segmentation: key '0' is 5: input should be a valid list"),
        ({"segmentation": [], "bbox": [1, 2, 0, 4]}, "annotation 3: bbox 1, 2, 0, 4 found; a width and a height above 0"),
    ],
)
def test_bad_annotations(tmp_path, changes, message):
    write(tmp_path, [annotation(**changes)])
    assert message in refusal(tmp_path)


@pytest.mark.parametrize("name", ["../other.jpg", "a/../../../x.jpg"])
def test_a_photo_elsewhere(tmp_path, name):
    write(tmp_path)
    (tmp_path / "train.json").write_text(
        json.dumps({"images": [{"id": 7, "file_name": name}], "annotations": [], "categories": []})
    )
    assert refusal(tmp_path).startswith(f"train.json, image 7: image 'images/{name}'; a path inside")


def test_a_missing_file(tmp_path):
    write(tmp_path)
    (tmp_path / "train.json").unlink()
    assert refusal(tmp_path) == "train.json: no such file; annotations are expected there"


def test_a_photo_or_an_id_that_is_there_twice_is_refused(tmp_path):
    write(tmp_path)
    shutil.copy(tmp_path / "train.json", tmp_path / "val.json")
    message = "val.json, image 7: images/train.jpg is that of train.json, image 7 as well; each photo is expected once"
    assert refusal(tmp_path) == message
    write(tmp_path)
    twice = [{"id": 7, "file_name": "a.jpg"}, {"id": 7, "file_name": "b.jpg"}]
    (tmp_path / "train.json").write_text(json.dumps({"images": twice, "annotations": [], "categories": []}))
    assert refusal(tmp_path) == "train.json: id 7 stands twice in 'images'; each is expected once"
