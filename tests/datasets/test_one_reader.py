"""A COCO file that contradicts itself is refused by everyone who takes one: what is wrong is wrong for all."""

import json

import pytest
from PIL import Image

from zerostart.datasets.cards import Card
from zerostart.datasets.checks import import_dataset
from zerostart.errors import InputError
from zerostart.predict import read_source
from zerostart.retrieval.crops.coco_layout import read_coco_photos
from zerostart.tagging.cards import RealSource
from zerostart.tagging.pictures.sources import read_real

CLASSES = ["dent", "crack"]
SPLITS = ("train", "val", "test")
IMAGES = [{"id": k, "file_name": f"{k}.png", "width": 20, "height": 10} for k in (1, 2)]
CATEGORIES = [{"id": k, "name": name} for k, name in enumerate(CLASSES, 1)]
BOXES = [{"id": k, "image_id": k, "category_id": k, "bbox": [1, 2, 3, 4]} for k in (1, 2)]
CARD = Card(
    name="mine",
    format="coco",
    obtain="draw it",
    prompts="mine",
    classes=CLASSES,
    critical=["dent"],
    splits={split: {"annotations": f"{split}.json", "images": "images"} for split in SPLITS},
)
READERS = {
    "import": lambda folder: import_dataset(CARD, folder),
    "predict": lambda folder: read_source(folder / "train.json", folder / "images", tuple(CLASSES)),
    "tagging": lambda folder: read_real(RealSource(format="coco", path="images", labels="train.json"), folder),
    "retrieval": read_coco_photos,
}
DEFECTS = {
    "two merged exports": ({"images": [IMAGES[0], IMAGES[1] | {"id": 1}]}, "id 1 stands twice in 'images'"),
    "a renaming": ({"categories": [*CATEGORIES, {"id": 2, "name": "hole"}]}, "id 2 stands twice in 'categories'"),
    "a class twice": (
        {
            "categories": [*CATEGORIES, {"id": 3, "name": "crack"}],
            "annotations": [*BOXES, BOXES[0] | {"id": 3, "category_id": 3}],
        },
        "name 'crack' stands twice in 'categories'",
    ),
    "a picture twice": (
        {"images": [IMAGES[0], IMAGES[1] | {"file_name": "1.png"}]},
        "'1.png' is the picture of image 1 as well",
    ),
    "no such image": ({"annotations": [BOXES[0] | {"image_id": 9}]}, "image_id 9 is not the id of an image of this file"),
    "no such category": ({"annotations": [BOXES[0] | {"category_id": 9}]}, "category_id 9 is not the id of a category"),
    "an infinite category": (
        {"categories": [*CATEGORIES, {"id": float("inf"), "name": "hole"}]},
        r"categories\[2\]\.id: input should be a valid integer",
    ),
    "fractions": ({"annotations": [BOXES[0] | {"bbox": [0.1, 0.2, 0.3, 0.4]}]}, "every bbox lies in \\[0, 1\\]"),
    "NaN": ({"annotations": [BOXES[0] | {"bbox": [1, 2, float("nan"), 4]}]}, ""),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_file_that_contradicts_itself(tmp_path, reader, defect):
    if (reader, defect) == ("predict", "NaN"):
        return  # it reads no boxes
    changes, message = DEFECTS[defect]
    (tmp_path / "images").mkdir()
    for number in range(1, 7):
        Image.new("RGB", (20, 10), (40 * number, 0, 0)).save(tmp_path / f"images/{number}.png")
    for index, split in enumerate(SPLITS):
        images = [image | {"file_name": f"{2 * index + image['id']}.png"} for image in IMAGES]
        content = {"images": images, "annotations": BOXES, "categories": CATEGORIES}
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    READERS[reader](tmp_path)
    content = json.loads((tmp_path / "train.json").read_text()) | changes
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"train\.json.*{message}"):
        READERS[reader](tmp_path)
