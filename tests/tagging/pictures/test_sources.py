"""COCO files of photos are checked as those of a detector are, and a photo in two folders has both tags."""

import json

import numpy as np
import pytest
from PIL import Image

from zerostart.errors import InputError
from zerostart.tagging.cards import RealSource
from zerostart.tagging.pictures.cleaning import clean, reasons
from zerostart.tagging.pictures.sources import read_real

SOURCE = RealSource(format="coco", path="photos", labels="a.json")
COCO = {
    "images": [{"id": k, "file_name": f"{k}.png", "width": 20, "height": 10} for k in (1, 2)],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]}],
    "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}],
}


def write(folder, **changes):
    (folder / "photos").mkdir(exist_ok=True)
    for index in (1, 2):
        Image.new("RGB", (20, 10), (index, 0, 0)).save(folder / f"photos/{index}.png")
    (folder / "a.json").write_text(json.dumps(COCO | changes))
    return folder


def test_tags_and_shares(tmp_path):
    first, second = read_real(SOURCE, write(tmp_path)).items
    assert (first.labels, first.areas, second.labels) == (("red",), {"red": 0.5}, ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": COCO["images"] + [COCO["images"][0] | {"file_name": "3.png"}]}, "id 1 stands twice in 'images'"),
        ({"categories": [{"id": 1, "name": "red"}, {"id": 1, "name": "blue"}]}, "id 1 stands twice in 'categories'"),
        ({"images": COCO["images"] + [COCO["images"][0] | {"id": 3}]}, "image 3: '1.png' is the picture of image 1 as well"),
        ({"annotations": [COCO["annotations"][0] | {"bbox": None}]}, "annotation 1: bbox is missing"),
        (
            {"annotations": [COCO["annotations"][0] | {"bbox": [0, 0, 40, 10]}]},
            "annotation 1: its bbox covers 2 of the picture",
        ),
    ],
)
def test_refusals(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_real(SOURCE, write(tmp_path, **changes))


def test_a_size_that_is_not_the_photos_is_refused(tmp_path):
    write(tmp_path, images=[COCO["images"][0] | {"width": 40, "height": 20}])
    (item,) = read_real(SOURCE, tmp_path).items
    with pytest.raises(InputError, match=r"size 40×20 is annotated, but .*1\.png is 20×10"):
        item.read(None)
    write(tmp_path, images=[image | {"width": 40} for image in COCO["images"]])
    with pytest.raises(InputError, match=r"photos: 2 defects\n  picture \(2\): .*1\.png is 20×10.*2\.png is 20×10"):
        list(clean(read_real(SOURCE, tmp_path).items, 64, [], {}, True))


@pytest.mark.parametrize(("join", "labels"), [(True, ("blue", "red")), (False, ("blue",))])
def test_one_photo_in_two_folders_has_both_tags(tmp_path, join, labels):
    for tag in ("blue", "red"):
        (tmp_path / "photos" / tag).mkdir(parents=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (10, 20, 3), dtype=np.uint8)).save(
            tmp_path / f"photos/{tag}/a.png"
        )
    kept, left_out = [], {}
    items = read_real(RealSource(format="folders", path="photos"), tmp_path).items
    assert len(list(clean(items, 64, kept, left_out, join))) == 1
    assert kept[0].labels == labels
    assert reasons(left_out) == {"duplicate, tags joined" if join else "duplicate": 1}


def test_a_photo_that_is_missing_is_not_called_unreadable(tmp_path):
    write(tmp_path)
    (tmp_path / "photos/1.png").write_bytes(b"")
    (tmp_path / "tags.csv").write_text("1.png,red\n2.png,red\n3.png,blue\n")
    items = read_real(RealSource(format="csv", path="photos", labels="tags.csv"), tmp_path).items
    left_out = {}
    assert len(list(clean(items, 64, [], left_out, True))) == 1
    assert reasons(left_out) == {"unreadable": 1, "missing": 1}
