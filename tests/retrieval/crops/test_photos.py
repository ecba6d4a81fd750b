"""What stands around a photo: shapes, sizes, copies."""

import json

import pytest
from PIL import Image

from stages.retrieval.crops import apart, checked_photos
from zerostart.errors import InputError
from zerostart.retrieval.crops.coco_layout import read_coco_photos
from zerostart.retrieval.crops.photos import RECORD, TEST, Photo, together
from zerostart.retrieval.crops.zone_layout import read_zone_photos
from zerostart.retrieval.params import RetrievalParams

STEM = "zona1_ko_2_3_17_zona_5"


def zone_photo(folder, *shapes, **more):
    (folder / f"{STEM}_imageDANO_original.jpg").touch()
    content = {"shapes": [{"label": "2", "points": points, "shape_type": kind} for kind, points in shapes]} | more
    text = "\ufeff" + json.dumps(content)
    (folder / f"{STEM}_labelDANO_modificado.json").write_text(text, encoding="utf-8")
    (folder / f"._{STEM}_imageDANO_original.jpg").touch()
    return read_zone_photos(folder)


def test_rectangles_and_circles_are_read_as_such(tmp_path):
    """Corners in any order; a circle of radius 5 (3, 4, 5) around (30, 40)."""
    (photo,) = zone_photo(
        tmp_path, ("rectangle", [[50, 10], [20, 60]]), ("circle", [[30, 40], [33, 44]]), imageWidth=64, imageHeight=48
    )
    assert [damage.box for damage in photo.damages] == [(20, 10, 50, 60), (25, 35, 35, 45)]
    assert photo.size == (64, 48)


@pytest.mark.parametrize("kind", ["points", "point", "line", "linestrip", "mask"])
def test_what_spans_no_area_is_refused_by_name(tmp_path, kind):
    with pytest.raises(
        InputError, match=rf"shape 1: a shape of type '{kind}' found; a polygon, rectangle or circle is expected"
    ):
        zone_photo(tmp_path, (kind, [[1, 1], [5, 1], [5, 5]]))


def test_a_circle_of_three_points_and_a_damage_twice(tmp_path):
    with pytest.raises(InputError, match=r"a circle of 3 point\(s\) found; 2 are expected"):
        zone_photo(tmp_path, ("circle", [[1, 1], [5, 1], [5, 5]]))
    with pytest.raises(InputError, match="a dent with the very same box stands there twice"):
        zone_photo(tmp_path, *[("rectangle", [[1, 1], [5, 5]])] * 2)


def test_boxes_without_polygons_are_taken(tmp_path):
    for split in ("train", "val", "test"):
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": []}
        image = {"id": 1, "file_name": f"{split}.jpg", "width": 64, "height": 48}
        content = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "dent"}]}
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    photos = read_coco_photos(tmp_path)
    assert [photo.damages[0].box for photo in photos] == [(1, 2, 4, 6)] * 3 and photos[0].size == (64, 48)


def test_no_picture_is_on_record_and_asks(tmp_path):
    photos = [Photo(name, name, "unknown", (), split=split) for name, split in (("a", RECORD), ("b", TEST), ("c", TEST))]
    digests = {"a": "1", "b": "1", "c": "2"}
    assert [photo.split for photo in together(photos, digests)] == [RECORD, RECORD, TEST]
    zones = RetrievalParams.model_construct(layout="zones")
    assert [photo.split for photo in apart(photos, digests, zones)] == [RECORD, RECORD, TEST]
    (tmp_path / "images").mkdir()
    for split, gray in (("train", 9), ("val", 9), ("test", 8)):
        Image.new("L", (9, 9), gray).save(tmp_path / f"images/{split}.png")
        content = {"images": [{"id": 1, "file_name": f"{split}.png"}], "annotations": [], "categories": []}
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    message = r"'images/train.png' \(split 'record'\) and 'images/val.png' \(split 'val'\) have the same pixels"
    with pytest.raises(InputError, match=message):
        checked_photos(tmp_path, RetrievalParams.model_construct(layout="coco"))
