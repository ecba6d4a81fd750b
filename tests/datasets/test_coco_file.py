"""The one reader of COCO files: what each of its users may rely on."""

import json

import pytest

from zerostart.datasets.coco_file import read_coco_file
from zerostart.errors import InputError

IMAGE = {"id": 5, "file_name": "a.jpg", "width": 10, "height": 8}
BOX = {"id": 3, "image_id": 5, "category_id": 9, "bbox": [1, 2, 3.5, 4]}
CATEGORIES = [{"id": 9, "name": "scratch"}, {"id": 7, "name": "dent"}]


def write(folder, bom=b"", **changes):
    content = {"images": [IMAGE], "annotations": [BOX], "categories": CATEGORIES} | changes
    (folder / "a.json").write_bytes(bom + json.dumps(content).encode())
    return folder / "a.json"


@pytest.mark.parametrize("crowd", [{}, {"iscrowd": 0}, {"iscrowd": False}, {"iscrowd": None}])
def test_a_single_object_however_it_is_said(tmp_path, crowd):
    assert read_coco_file(write(tmp_path, annotations=[BOX | crowd])).annotations[0].iscrowd == 0


@pytest.mark.parametrize("number", [1e300, -1e300, 2.0**63])
def test_an_id_beyond_64_bits_is_refused(tmp_path, number):
    """It is whole, as all large floats are, but JSON that holds it is read nowhere."""
    with pytest.raises(InputError, match=r"images\[0\]\.id: input should be (less|greater) than"):
        read_coco_file(write(tmp_path, images=[{"id": number, "file_name": "a.png", "width": 9, "height": 9}]))


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999", "9" * 5000])
def test_a_category_id_that_is_no_number_is_refused(tmp_path, number):
    path = write(tmp_path)
    path.write_text(path.read_text().replace('"id": 7', f'"id": {number}'))
    with pytest.raises(
        InputError, match=r"a\.json: (categories\[1\]\.id: input should be a valid integer|not valid JSON: the num)"
    ):
        read_coco_file(path)


@pytest.mark.parametrize("crowd", [1, True])
def test_a_crowd_with_a_run_length_mask(tmp_path, crowd):
    mask = {"counts": [0, 10, 70], "size": [8, 10]}
    (found,) = read_coco_file(write(tmp_path, annotations=[BOX | {"iscrowd": crowd, "segmentation": mask}])).annotations
    assert (found.iscrowd, found.bbox) == (1, (1, 2, 3.5, 4))


def test_whole_floats_are_ids_and_a_byte_order_mark_is_skipped(tmp_path):
    floats = BOX | {"id": 3.0, "image_id": 5.0, "category_id": 9.0}
    coco = read_coco_file(write(tmp_path, b"\xef\xbb\xbf", annotations=[floats], images=[IMAGE | {"id": 5.0}]))
    assert (coco.annotations[0].id, coco.annotations[0].image_id, coco.images[0].id) == (3, 5, 5)
    with pytest.raises(InputError, match=r"annotations\[0\]\.id: input should be a valid integer"):
        read_coco_file(write(tmp_path, annotations=[BOX | {"id": 3.5}]))


def test_a_category_that_owns_nothing_gives_way_to_its_namesake(tmp_path):
    root = {"id": 0, "name": "scratch", "supercategory": "none"}
    assert read_coco_file(write(tmp_path, categories=[root, *CATEGORIES])).names() == {9: "scratch", 7: "dent"}
    without = read_coco_file(write(tmp_path, categories=[root, *CATEGORIES], annotations=[]))  # a split that shows none of them
    assert without.names() == {9: "scratch", 7: "dent"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [IMAGE, IMAGE | {"file_name": "b.jpg"}]}, "id 5 stands twice in 'images'"),
        ({"categories": [*CATEGORIES, {"id": 9, "name": "hole"}]}, "id 9 stands twice in 'categories'"),
        ({"images": [IMAGE, IMAGE | {"id": 6}]}, "image 6: 'a.jpg' is the picture of image 5 as well"),
        ({"annotations": [BOX | {"bbox": [0.1, 0.2, 0.3, 0.4]}]}, r"every bbox lies in \[0, 1\], as fractions of the image do"),
        ({"annotations": [BOX | {"bbox": None}]}, "annotation 3: bbox is missing"),
        ({"images": [{"id": 5, "file_name": "a.jpg"}]}, r"images\[0\]\.width: field missing"),
    ],
)
def test_refusals(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_coco_file(write(tmp_path, **changes))
