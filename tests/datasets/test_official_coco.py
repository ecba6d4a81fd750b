"""A file of the shape of COCO's own instances_val2017.json is read, and COCO's files of other tasks are told from it.

The shape is that of the published file: all of its top-level keys and every key of its records, 80 categories whose ids have
gaps up to 90, crowds as uncompressed run lengths, pictures without an object, decimals of two places, boxes a pixel wide and up
to the border.
"""

import json

import numpy as np
import pytest
from PIL import Image

from zerostart.datasets.cards import Card
from zerostart.datasets.checks import import_dataset
from zerostart.datasets.coco_file import read_coco_file
from zerostart.detector.coco import COCO_CLASSES
from zerostart.errors import InputError
from zerostart.predict import read_source
from zerostart.tagging.cards import RealSource
from zerostart.tagging.pictures.sources import read_real

GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
"""Ids from 1 to 90 that COCO's categories skip."""
IDS = [number for number in range(1, 91) if number not in GAPS]
SIZES = {"000000397133": (640, 427), "000000037777": (352, 230), "000000000139": (640, 426)}
LICENSE = {"url": "http://creativecommons.org/licenses/by-nc-sa/2.0/", "id": 1, "name": "Attribution-NonCommercial-ShareAlike"}
BORDER = [418.28, 0.0, 221.72, 426.0]
"""Up to the right and lower edge of its picture."""


def record(number, stem, category, box, **changes):
    x, y, width, height = box
    ring = [x, y, x + width, y, x + width, y + height]
    known = {
        "segmentation": [ring],
        "area": 702.1057499999998,
        "iscrowd": 0,
        "image_id": int(stem),
        "bbox": box,
        "category_id": category,
        "id": number,
    }
    return known | changes


def crowd(number, stem, box):
    """Counts run down the columns, zeros first: x, y, width and height are whole here."""
    (width, height), (x, y, w, h) = SIZES[stem], box
    counts = [x * height + y, h, *[height - h, h] * (w - 1)]
    mask = {"counts": [*counts, width * height - sum(counts)], "size": [height, width]}
    return record(900100000000 + number, stem, 1, box, segmentation=mask, iscrowd=1)


def instances(stems, more=()):
    """The file for pictures of SIZES: an object of each category in the first of them, and what `more` says."""
    first = stems[0]
    images = [
        {
            "license": 4,
            "file_name": f"{stem}.jpg",
            "coco_url": f"http://images.cocodataset.org/val2017/{stem}.jpg",
            "height": SIZES[stem][1],
            "width": SIZES[stem][0],
            "date_captured": "2013-11-14 17:02:52",
            "flickr_url": "http://farm7.staticflickr.com/6116/6255196340_da26cf2c9e_z.jpg",
            "id": int(stem),
        }
        for stem in stems
    ]
    objects = [record(1768 + k, first, category, [5.0 + 3 * k, 20.25, 31.13, 40.07]) for k, category in enumerate(IDS)]
    return {
        "info": {
            "description": "COCO 2017 Dataset",
            "url": "http://cocodataset.org",
            "version": "1.0",
            "year": 2017,
            "contributor": "COCO Consortium",
            "date_created": "2017/09/01",
        },
        "licenses": [LICENSE],
        "images": images,
        "annotations": [*objects, *more],
        "categories": [
            {"supercategory": "thing", "id": number, "name": name} for number, name in zip(IDS, COCO_CLASSES, strict=True)
        ],
    }


CARD = Card.model_validate(
    {
        "name": "coco",
        "format": "coco",
        "obtain": "from cocodataset.org",
        "prompts": "coco",
        "classes": COCO_CLASSES,
        "critical": ["person"],
        "splits": {
            split: {"annotations": f"annotations/instances_{split}2017.json", "images": f"{split}2017"}
            for split in ("train", "val", "test")
        },
    }
)
PATH = "annotations/instances_val2017.json"


def write(folder, more=()):
    (folder / "annotations").mkdir()
    for index, split in enumerate(("train", "val", "test")):
        (folder / f"{split}2017").mkdir()
        for number, (stem, size) in enumerate(SIZES.items()):
            Image.new("RGB", size, (index * 80, number * 80, 0)).save(folder / f"{split}2017/{stem}.jpg")
        content = instances(list(SIZES), more if split == "val" else ())
        (folder / f"annotations/instances_{split}2017.json").write_text(json.dumps(content))
    return folder


QUIRKS = [
    record(1, "000000000139", 62, BORDER),
    record(2, "000000000139", 44, [305.45, 211.28, 0.81, 1.03]),
    record(3, "000000000139", 1, [0.0, 0.0, 640.0, 426.0]),
    record(4, "000000000139", 85, [639.0, 0.96, 1.37, 3.0]),  # 0.37 pixels over the border
    record(5, "000000000139", 90, [1, 2, 3, 4]),  # whole numbers
    crowd(139, "000000000139", [100, 30, 200, 60]),
]


def test_it_is_imported(tmp_path):
    imported = import_dataset(CARD, write(tmp_path, QUIRKS))
    val = imported.splits["val"]
    assert [category["name"] for category in val["categories"]] == list(COCO_CLASSES)
    assert [(image["file_name"], image["width"], image["height"]) for image in val["images"]] == [
        (f"val2017/{stem}.jpg", *size) for stem, size in SIZES.items()
    ]
    per_image = np.bincount([one["image_id"] for one in val["annotations"]], minlength=4)
    assert per_image.tolist() == [0, 80, 0, 6]  # the second picture has no object
    assert [one["category_id"] for one in val["annotations"][:80]] == list(range(80))
    border, thin, whole, clipped, integers, region = val["annotations"][80:]
    assert border["bbox"] == BORDER and whole["bbox"] == [0, 0, 640, 426] and integers["bbox"] == [1, 2, 3, 4]
    assert thin["bbox"] == [305.45, 211.28, 0.81, 1.03] and thin["area"] == pytest.approx(0.8343)
    assert clipped["bbox"] == [639.0, 0.96, 1.0, 3.0]
    assert [one["iscrowd"] for one in val["annotations"]] == [0] * 85 + [1] and region["bbox"] == [100, 30, 200, 60]
    assert [COCO_CLASSES[one["category_id"]] for one in (border, thin, clipped, integers)] == [
        "chair",
        "bottle",
        "clock",
        "toothbrush",
    ]
    (said,) = imported.said
    assert said.startswith("note: box clipped at the border of its image: 1, first ") and said.endswith("annotation 4")


def test_boxes_without_area_and_objects_twice_are_accepted_by_settings(tmp_path):
    """Published annotations have a few boxes of height 0 and objects annotated twice."""
    flat = record(918, "000000000139", 1, [9.98, 188.56, 15.52, 0.0])
    again = record(7, "000000397133", 1, [5.0, 20.25, 31.13, 40.07])
    write(tmp_path, [*QUIRKS, flat, again])
    with pytest.raises(
        InputError, match=r"2 defects; `on_defect: skip`.*\n  object twice \(1\).*\n  box \(1\): .*annotation 918"
    ):
        import_dataset(CARD, tmp_path)
    kept = CARD.model_copy(update={"on_defect": "skip", "repeated_objects": "keep"})
    val = import_dataset(kept, tmp_path).splits["val"]
    assert len(val["annotations"]) == 87 and val["info"]["left_out"] == {"box": 1}


def test_the_other_users_of_the_file_read_it_too(tmp_path):
    folder = write(tmp_path, QUIRKS)
    source = read_source(folder / PATH, folder / "val2017", COCO_CLASSES)
    assert source.ids == [397133, 37777, 139] and source.sizes == list(SIZES.values())
    assert list(source.categories.values()) == IDS
    found = read_real(RealSource(format="coco", path="val2017", labels=PATH), folder)
    tags = {item.name: len(item.labels) for item in found.items}
    assert found.names == COCO_CLASSES
    assert tags == {"val2017/000000000139.jpg": 5, "val2017/000000037777.jpg": 0, "val2017/000000397133.jpg": 80}


SEGMENT = {"id": 3226956, "category_id": 1, "iscrowd": 0, "bbox": [413, 158, 53, 138], "area": 2840}
OTHERS = {
    "panoptic annotations": {
        "annotations": [{"segments_info": [SEGMENT], "file_name": "000000000139.png", "image_id": 139}] * 9
    },
    "captions": {"annotations": [{"image_id": 139, "id": 38, "caption": "A woman stands in the dining area."}] * 9},
}


@pytest.mark.parametrize("kind", OTHERS)
def test_files_of_other_tasks_are_refused_in_one_sentence(tmp_path, kind):
    content = instances(list(SIZES)) | OTHERS[kind]
    if kind == "captions":
        del content["categories"]
    folder = write(tmp_path)
    (folder / PATH).write_text(json.dumps(content))
    source = RealSource(format="coco", path="val2017", labels=PATH)
    for read in (
        lambda: import_dataset(CARD, folder),
        lambda: read_source(folder / PATH, folder / "val2017", COCO_CLASSES),
        lambda: read_real(source, folder),
        lambda: read_coco_file(folder / PATH, sizes=False, boxes=False),
    ):
        with pytest.raises(InputError, match=rf"instances_val2017\.json: COCO's {kind}.* as in instances_\*\.json") as refused:
            read()
        assert "\n" not in str(refused.value)


def test_the_lists_of_pictures_without_annotations_are_enough_for_predict(tmp_path):
    """image_info_test2017.json has no annotations."""
    content = {key: value for key, value in instances(list(SIZES)).items() if key != "annotations"}
    folder = write(tmp_path)
    (folder / PATH).write_text(json.dumps(content))
    assert len(read_source(folder / PATH, folder / "val2017", COCO_CLASSES).paths) == 3
