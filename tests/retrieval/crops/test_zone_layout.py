"""Photos with LabelMe files: what is read, and one sentence for each thing that can be wrong with them."""

import json

import pytest

from zerostart.errors import InputError
from zerostart.retrieval.crops.photos import RECORD, TEST, VAL, Damage, Photo, hold_out
from zerostart.retrieval.crops.zone_layout import read_zone_photos
from zerostart.retrieval.drawn.photos import generate_panels
from zerostart.retrieval.vocabulary import LABELS

TRIANGLE = [[10, 20], [30, 20], [10, 50]]
KO, OK = "zona1_ko_2_3_17_zona_5", "zona1_ok_2_3_18_zona_2"


def write(folder, stem=KO, shapes=(), kind="labelDANO_modificado"):
    (folder / f"{stem}_imageDANO_original.jpg").touch()
    content = {"shapes": [{"label": label, "points": points} for label, points in shapes]}
    (folder / f"{stem}_{kind}.json").write_text(json.dumps(content))


def refusal(folder):
    with pytest.raises(InputError) as caught:
        read_zone_photos(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}/", "")


def test_damages_have_types_and_boxes_and_label_9_is_ignored(tmp_path):
    write(tmp_path, shapes=[("2", TRIANGLE), (4, TRIANGLE), ("9", [[0, 0], [5, 0], [5, 5]])])
    write(tmp_path, OK, kind="imageDANO_original")
    damaged, clean = read_zone_photos(tmp_path)
    assert (damaged.car, clean.car) == ("17", "18")  # by the moment in the name: one car, ten zones
    assert damaged.zone == "rear_bumper" and clean.zone == "hood_center"
    box = (10, 20, 30, 50)
    assert damaged.damages == (Damage("dent", "unknown", box), Damage("deep_scratch", "unknown", box))
    assert damaged.ignored == ((0, 0, 5, 5),)
    assert clean.damages == clean.ignored == ()


def test_a_name_off_the_convention(tmp_path):
    (tmp_path / "IMG_0001.jpg").touch()
    assert refusal(tmp_path) == (
        "IMG_0001.jpg: the file name is off the convention; "
        "zona1_{ko|ok}_2_3_<timestamp>_zona_<1-10>_imageDANO_original.jpg is expected"
    )


def test_zone_11(tmp_path):
    write(tmp_path, "zona1_ko_2_3_17_zona_11")
    assert refusal(tmp_path) == "zona1_ko_2_3_17_zona_11_imageDANO_original.jpg: zone 11 found; 1 to 10 are expected"


def test_an_image_without_its_json(tmp_path):
    (tmp_path / f"{KO}_imageDANO_original.jpg").touch()
    message = f"no such file; the LabelMe annotations of {KO}_imageDANO_original.jpg are expected there"
    assert refusal(tmp_path) == f"{KO}_labelDANO_modificado.json: {message}"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"shapes": 1}', '{"shapes": [{"label": "2"}]}'])
def test_malformed_json(tmp_path, content):
    write(tmp_path)
    (tmp_path / f"{KO}_labelDANO_modificado.json").write_text(content)
    assert refusal(tmp_path).startswith(f"{KO}_labelDANO_modificado.json: not a LabelMe file: ")


@pytest.mark.parametrize("label", ["0", "10", "dent", "02"])
def test_a_label_outside_1_to_9(tmp_path, label):
    write(tmp_path, shapes=[("2", TRIANGLE), (label, TRIANGLE)])
    assert refusal(tmp_path) == f"{KO}_labelDANO_modificado.json, shape 2: label '{label}' found; 1 to 9 are expected"


def test_a_polygon_of_two_points(tmp_path):
    write(tmp_path, shapes=[("2", TRIANGLE[:2])])
    assert refusal(tmp_path).endswith("shape 1: a polygon of 2 point(s) found; at least 3 are expected")


def test_damage_on_an_ok_photo(tmp_path):
    write(tmp_path, OK, [("2", TRIANGLE)], kind="imageDANO_original")
    assert refusal(tmp_path).endswith("1 damage polygon(s) found; none is expected beside an 'ok' photo")


def test_the_drawn_panels_are_in_this_layout_and_their_bytes_do_not_depend_on_the_workers(tmp_path):
    (one := tmp_path / "one").mkdir()
    (two := tmp_path / "two").mkdir()
    generate_panels(one, seed=1, photos=20, workers=1)
    generate_panels(two, seed=1, photos=20, workers=2)
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {path.name: path.read_bytes() for path in two.iterdir()}
    photos = read_zone_photos(one)
    assert len({photo.zone for photo in photos}) == 10
    assert [bool(photo.damages) for photo in photos].count(True) == 10
    damages = [damage for photo in photos for damage in photo.damages]
    assert {damage.type for damage in damages} <= set(LABELS.values())
    assert all(0 <= d.box[0] < d.box[2] <= 784 and 0 <= d.box[1] < d.box[3] <= 588 for d in damages)


def test_a_share_of_the_damaged_and_of_the_clean_is_held_out():
    damage = Damage("dent", "unknown", (0, 0, 1, 1))
    photos = [Photo(str(i), "", "unknown", (damage,) if i < 8 else ()) for i in range(20)]
    held = hold_out(photos, 0.125, 0.25, seed=3)
    counts = {
        split: [sum(p.split == split and bool(p.damages) == damaged for p in held) for damaged in (True, False)]
        for split in (VAL, TEST)
    }
    assert counts == {VAL: [1, 2], TEST: [2, 3]} and sum(photo.split == RECORD for photo in held) == 12
    assert hold_out(photos, 0.125, 0.25, 3) == held != hold_out(photos, 0.125, 0.25, 4)


def test_all_photos_of_a_car_are_on_one_side():
    """Twelve cars of three photos each; one photo of every second car is damaged, and then the car is."""
    damage = Damage("dent", "unknown", (0, 0, 1, 1))
    photos = [
        Photo(f"{car}-{i}", "", "unknown", (damage,) if car % 2 and i == 1 else (), car=str(car))
        for i in range(3)
        for car in range(12)
    ]
    held = hold_out(photos, 0.2, 0.3, seed=0)
    sides = {photo.car: photo.split for photo in held}
    assert all(photo.split == sides[photo.car] for photo in held)
    assert [[sides[str(car)] for car in range(odd, 12, 2)].count(TEST) for odd in (0, 1)] == [2, 2]


def test_a_damaged_photo_without_a_polygon_is_refused(tmp_path):
    write(tmp_path)
    assert (
        refusal(tmp_path) == f"{KO}_labelDANO_modificado.json: no polygon found; a 'ko' photo is expected to have at least one"
    )


def test_a_coordinate_that_is_no_number_is_refused(tmp_path):
    write(tmp_path, shapes=[("2", TRIANGLE)])
    path = tmp_path / f"{KO}_labelDANO_modificado.json"
    path.write_text(path.read_text().replace("50", "1e999"))
    assert "finite" in refusal(tmp_path)
