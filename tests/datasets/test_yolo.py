"""What YOLO exports of many tools have, beyond boxes with six decimals."""

import pytest
from PIL import Image
from small_sets import CLASSES, import_yolo

from zerostart.errors import InputError


def test_polygons_and_oriented_boxes_give_their_bounding_boxes_and_it_is_said(tmp_path):
    """A triangle over x 0.1–0.5, y 0.2–0.6, and four corners over x 0.2–0.6, y 0.1–0.9, of 100×50 pixels."""
    lines = "0 0.1 0.2 0.5 0.2 0.3 0.6\n1 0.4 0.1 0.6 0.5 0.4 0.9 0.2 0.5\n"
    imported = import_yolo(tmp_path, {"train": lines})
    assert [item["bbox"] for item in imported.splits["train"]["annotations"]] == [[10, 10, 40, 20], [20, 5, 40, 40]]
    assert any("polygon or oriented box, whose bounding box was taken: 2, first" in line for line in imported.said)


@pytest.mark.parametrize("index", ["0.0", "0.000000e+00", "0"])
def test_a_class_may_be_printed_as_a_float(tmp_path, index):
    imported = import_yolo(tmp_path, {"train": f"\ufeff{index} .5 .5 .2 .2\n1 .5 .5 .4 .4\n"})
    assert [item["category_id"] for item in imported.splits["train"]["annotations"]] == [0, 1]


def test_three_decimals_may_miss_the_border_by_their_rounding(tmp_path):
    """(0.9 + 0.201 / 2) of 1920 pixels ends 0.96 pixels outside; with six decimals that would be a mistake of somebody."""
    imported = import_yolo(tmp_path / "a", {"train": "0 0.900 0.500 0.201 0.200\n1 .5 .5 .4 .4\n"}, size=(1920, 50))
    assert imported.splits["train"]["annotations"][0]["bbox"] == pytest.approx([1535.04, 20, 384.96, 10])
    assert any("box clipped at the border of its image: 1, first" in line for line in imported.said)
    with pytest.raises(InputError, match="reaches outside its image"):
        import_yolo(tmp_path / "b", {"train": "0 0.900000 0.500000 0.201000 0.200001\n1 .5 .5 .4 .4\n"}, size=(1920, 50))


@pytest.mark.parametrize("names", ["names: {'0': dent, '1': scratch}", None])
def test_names_with_quoted_indices_or_of_a_labelling_tool(tmp_path, names):
    files = {"data.yaml": names} if names else {"classes.txt": "dent\nscratch\n"}
    imported = import_yolo(tmp_path, {"train": "0 .5 .5 .2 .2\n1 .5 .5 .4 .4\n"}, files=files, named=False)
    assert [item["category_id"] for item in imported.splits["train"]["annotations"]] == [0, 1]


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"data.yaml": "names: [scratch, dent]"}, True),
        ({"data.yaml": "names: [scratch, dent]", "classes.txt": "dent\nscratch"}, False),
    ],
)
def test_names_in_two_orders_are_refused(tmp_path, files, named):
    with pytest.raises(InputError, match=r"is class 0, but .* has it as class 1; the same order is expected"):
        import_yolo(tmp_path, {"train": "0 .5 .5 .2 .2\n1 .5 .5 .4 .4\n"}, files=files, named=named)


def test_the_offending_name_is_named(tmp_path):
    with pytest.raises(InputError, match=r"data\.yaml: 'names' has False as class 0; .* in quotes where YAML would read"):
        import_yolo(tmp_path, {"train": ""}, files={"data.yaml": "names: [no, yes]"}, named=False)


@pytest.mark.parametrize("line", ["data/images/train.png", "images\\train.png", "./images/train.png"])
def test_lists_of_other_tools(tmp_path, line):
    imported = import_yolo(tmp_path, {"train": "0 .5 .5 .2 .2\n1 .5 .5 .4 .4\n"}, files={"train.txt": line}, lists=("train",))
    assert imported.splits["train"]["images"][0]["file_name"] == "images/train.png"


def test_a_picture_that_is_not_read_is_named_beside_its_label(tmp_path):
    with pytest.raises(InputError, match=r"a label file without an image; .*more\.heic is none that is read; one of \.bmp, "):
        import_yolo(
            tmp_path, {"train": "0 .5 .5 .2 .2\n1 .5 .5 .4 .4\n"}, files={"images/more.heic": "", "labels/more.txt": ""}
        )


def test_jfif_is_read_and_what_macos_leaves_is_not(tmp_path):
    files = {"images/._train.png": "x", "labels/._train.txt": "x"}
    import_yolo(tmp_path, {"train": "0 .5 .5 .2 .2\n1 .5 .5 .4 .4\n"}, files=files)
    with Image.open(tmp_path / "images/val.png") as image:
        image.save(tmp_path / "images/val.jfif", format="JPEG")
    (tmp_path / "images/val.png").unlink()
    assert import_yolo(tmp_path, {}, draw=False).splits["val"]["images"][0]["file_name"] == "images/val.jfif"


def test_a_train_split_without_objects_is_refused(tmp_path):
    with pytest.raises(InputError, match="split 'train' has no object in 1 images; at least one is expected"):
        import_yolo(tmp_path, {"train": ""})


def test_a_class_without_an_object_in_train_is_said(tmp_path):
    imported = import_yolo(tmp_path, {"train": "0 .5 .5 .2 .2\n"})
    assert imported.said == [f"note: class '{CLASSES[1]}' has no object in train: nothing about it is learned"]
    assert all(coco["info"]["unseen_in_train"] == ["scratch"] for coco in imported.splits.values())


def test_every_defect_at_once_or_left_out(tmp_path):
    """Four boxes outside, of which three are named; one unknown class; one object twice."""
    lines = (
        "0 .5 .5 .2 .2\n1 .5 .5 .4 .4\n1 .5 .5 .4 .4\n"
        + "0 .9 .5 .4 .2\n0 .9 .6 .4 .2\n0 .9 .7 .4 .2\n0 .9 .8 .4 .2\n7 .5 .5 .1 .1\n"
    )
    with pytest.raises(InputError) as caught:
        import_yolo(tmp_path, {"train": lines})
    first, *kinds = str(caught.value).splitlines()
    assert first.endswith(": 6 defects; `on_defect: skip` in the card leaves these records out")
    assert [kind.split(":")[0].strip() for kind in kinds] == ["YOLO line (1)", "object twice (1)", "box (4)"]
    assert "labels/train.txt, line 6: box" in kinds[2] and kinds[2].endswith("; and 1 more") and "line 7" not in kinds[2]
    imported = import_yolo(tmp_path, {}, draw=False, on_defect="skip")
    assert len(imported.splits["train"]["annotations"]) == 2
    assert imported.splits["test"]["info"]["left_out"] == {"YOLO line": 1, "object twice": 1, "box": 4}


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_an_object_twice_is_a_defect_in_every_split_unless_the_card_keeps_it(tmp_path, split):
    twice = {split: "0 .5 .5 .2 .2\n1 .5 .5 .4 .4\n0 .5 .5 .2 .2\n"}
    with pytest.raises(InputError, match=rf"{split}\.txt, line 3: 'dent' with the very box of .*{split}\.txt, line 1; each"):
        import_yolo(tmp_path, twice)
    kept = import_yolo(tmp_path, twice, draw=False, repeated_objects="keep")
    assert len(kept.splits[split]["annotations"]) == 3
