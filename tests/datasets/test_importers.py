import json

import pytest

from zerostart.datasets.cards import Card, SplitFiles
from zerostart.datasets.image_records import ObjectRecord
from zerostart.datasets.importers import read_coco, read_split
from zerostart.datasets.voc import read_voc
from zerostart.datasets.yolo import read_yolo, read_yolo_names
from zerostart.errors import InputError

COCO = SplitFiles(annotations="train.json", images="pictures")
VOC = SplitFiles(annotations="xml", images="images", list="train.txt")
YOLO = SplitFiles(annotations="labels", images="images")
NAMES = ["dent", "scratch"]


def lay_out(folder, files):
    """Write `files` (path: text or bytes) into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def coco(**changes):
    """A COCO file of one image and one object, with some keys replaced."""
    return {
        "images": [{"id": 5, "file_name": "a.jpg", "width": 10, "height": 8}],
        "annotations": [{"id": 3, "image_id": 5, "category_id": 9, "bbox": [1, 2, 3.5, 4], "iscrowd": 0}],
        "categories": [{"id": 9, "name": "scratch"}, {"id": 7, "name": "dent"}],
    } | changes


def xml(objects="", size="<size><width>10</width><height>8</height></size>"):
    return f"<annotation><filename>misleading.jpg</filename>{size}{objects}</annotation>"


def voc_object(xmin="1", name="<name>dent</name>"):
    return f"<object>{name}<bndbox><xmin>{xmin}</xmin><ymin>2</ymin><xmax>4.5</xmax><ymax>6</ymax></bndbox></object>"


def test_coco(tmp_path):
    (record,) = read_coco(lay_out(tmp_path, {"train.json": json.dumps(coco())}), COCO)
    assert (record.file_name, record.size, record.source) == ("pictures/a.jpg", (10, 8), f"{tmp_path}/train.json, image 5")
    assert record.objects == (ObjectRecord("scratch", (1, 2, 3.5, 4), f"{tmp_path}/train.json, annotation 3"),)


def test_a_crowd_of_coco_is_marked(tmp_path):
    (record,) = read_coco(lay_out(tmp_path, {"train.json": json.dumps(coco(**replaced("annotations", iscrowd=1)))}), COCO)
    assert [item.crowd for item in record.objects] == [True]


def test_voc(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>"  # VOC's body parts are no objects
    second = voc_object().replace("</name>", f"</name>{part}")
    files = {"train.txt": "b.1\n\na\n", "images/a.jpg": "", "images/b.1.PNG": "", "xml/a.xml": xml()}
    first, other = read_voc(lay_out(tmp_path, files | {"xml/b.1.xml": xml(voc_object("0") + second)}), VOC)
    assert (first.file_name, first.size, other.file_name, other.objects) == ("images/b.1.PNG", (10, 8), "images/a.jpg", ())
    assert first.objects == (
        ObjectRecord("dent", (0, 2, 4.5, 4), f"{tmp_path}/xml/b.1.xml, object 1"),
        ObjectRecord("dent", (1, 2, 3.5, 4), f"{tmp_path}/xml/b.1.xml, object 2"),
    )


def test_yolo(tmp_path):
    files = {"images/b/x.jpg": "", "images/a.jpg": "", "labels/b/x.txt": "1 0.5 0.5 0.25 1\n\n", "labels/classes.txt": "dent"}
    empty, record = read_yolo(lay_out(tmp_path, files), YOLO, NAMES)
    assert (empty.file_name, empty.objects) == ("images/a.jpg", ())
    assert (record.file_name, record.size) == ("images/b/x.jpg", None)
    source = f"{tmp_path}/labels/b/x.txt, line 1"
    assert record.objects == (ObjectRecord("scratch", (0.375, 0, 0.25, 1), source, rounding=0.00075),)


def test_a_yolo_list_selects_and_orders_the_images(tmp_path):
    files = {f"images/{stem}.jpg": "" for stem in "abc"} | {"labels/b.txt": "", "train.txt": "./images/c.jpg\nimages/a.jpg\n"}
    records = read_yolo(lay_out(tmp_path, files), YOLO.model_copy(update={"list": "train.txt"}), NAMES)
    assert [record.file_name for record in records] == ["images/c.jpg", "images/a.jpg"]


@pytest.mark.parametrize("text", ["names: [dent, scratch]", "nc: 2\nnames:\n  1: scratch\n  0: dent"])
def test_yolo_names(tmp_path, text):
    assert read_yolo_names(lay_out(tmp_path, {"data.yaml": text}) / "data.yaml") == NAMES


@pytest.mark.parametrize(("names", "expected"), [(None, "dent"), (["bump", "scratch"], "bump")])
def test_names_of_the_card_go_before_data_yaml(tmp_path, names, expected):
    card = Card(
        name="small",
        format="yolo",
        obtain="draw it",
        prompts="small",
        classes=NAMES,
        critical=["dent"],
        names=names,
        splits={"train": YOLO, "val": YOLO, "test": YOLO},
    )
    files = {"data.yaml": "names: [dent, scratch]", "images/a.jpg": "", "labels/a.txt": "0 .5 .5 1 1"}
    (record,) = read_split(card, lay_out(tmp_path, files), "val")
    assert record.objects[0].class_name == expected


def twice(key):
    return {key: coco()[key] + coco()[key]}


def replaced(key, **changes):
    return {key: [coco()[key][0] | changes]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, r": images: input should be a valid array"),
        (twice("images"), ": id 5 stands twice in 'images'"),
        (twice("annotations"), ": id 3 stands twice in 'annotations'"),
        (twice("categories"), ": id 9 stands twice in 'categories'"),
        (
            {
                "categories": [{"id": 9, "name": "dent"}, {"id": 8, "name": "dent"}],
                "annotations": [{"id": k, "image_id": 5, "category_id": k, "bbox": [1, 2, 3, 4]} for k in (8, 9)],
            },
            ": name 'dent' stands twice in 'categories'",
        ),
        (replaced("annotations", image_id=6), ", annotation 3: image_id 6 is not the id of an image"),
        (replaced("annotations", category_id=0), ", annotation 3: category_id 0 is not the id of a category"),
        (replaced("annotations", iscrowd=2), r": annotations\[0\].iscrowd: input should be less than or equal to 1"),
        (replaced("annotations", bbox=[1, 2, 3]), r": annotations\[0\].bbox\[3\]: field missing"),
        (replaced("annotations", bbox=[1, 2, 3, "4"]), r": annotations\[0\].bbox\[3\]: input should be a valid number"),
        (replaced("annotations", bbox=[1, 2, 3, True]), r": annotations\[0\].bbox\[3\]: input should be a valid number"),
        (replaced("images", width="10"), r": images\[0\].width: input should be a valid number"),
        ({"images": [{"id": 5}]}, r": images\[0\].file_name: field missing"),
    ],
)
def test_coco_refusals(tmp_path, changes, message):
    lay_out(tmp_path, {"train.json": json.dumps(coco(**changes))})
    with pytest.raises(InputError, match=f"train.json{message}"):
        read_coco(tmp_path, COCO)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [', ": not valid JSON: Expecting value: line 1 column 13"),
        (b'{"images": "\xff"}', ": not UTF-8 text"),
        ("[]", ": input should be an object"),
        (None, ": no such file; annotations are expected there"),
    ],
)
def test_coco_malformed_file(tmp_path, content, message):
    lay_out(tmp_path, {} if content is None else {"train.json": content})
    with pytest.raises(InputError, match=f"train.json{message}"):
        read_coco(tmp_path, COCO)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train.txt": None}, "train.txt: no such file"),
        ({"train.txt": b"\xff"}, "train.txt: not UTF-8 text: invalid start byte at byte 0"),
        ({"train.txt": "a\nz\n"}, "train.txt: no image for 'z'; .*images/z.jpg is expected"),
        ({"images/a.jpg": None}, "images: no such folder; the images are expected there"),
        ({"images/a.png": ""}, "images/a.png: a second image with the stem 'a' beside images/a.jpg"),
        ({"xml/a.xml": None}, "xml/a.xml: no such file"),
        ({"xml/a.xml": "<annotation>"}, "xml/a.xml: not valid XML: no element found"),
        ({"xml/a.xml": xml(size="")}, "xml/a.xml: 'size/width' is missing; a number is expected"),
        (
            {"xml/a.xml": xml(voc_object() + voc_object("left"))},
            "object 2: 'bndbox/xmin' is 'left'; a number is expected",
        ),
        ({"xml/a.xml": xml("<object><name>dent</name></object>")}, "a.xml, object 1: 'bndbox/xmin' is missing"),
        ({"xml/a.xml": xml(voc_object(name=""))}, "a.xml, object 1: 'name' is missing; a class name is expected"),
    ],
)
def test_voc_refusals(tmp_path, changes, message):
    files = {"train.txt": "a\n", "images/a.jpg": "", "xml/a.xml": xml(voc_object())} | changes
    lay_out(tmp_path, {name: content for name, content in files.items() if content is not None})
    with pytest.raises(InputError, match=message):
        read_voc(tmp_path, VOC)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels/a.txt": None}, "labels: no such folder; the label files are expected there"),
        ({"images/a.jpg": None}, "images: no such folder; the images are expected there"),
        ({"labels/z.txt": ""}, "labels/z.txt: a label file without an image; one with the same stem is expected in .*images"),
        ({"labels/a.txt": "0 .5 .5 1 1\n0 .5 .5 1"}, "a.txt, line 2: '0 .5 .5 1' found; a class index and four numbers"),
        ({"labels/a.txt": "0 .1 .1 .9 .1 .9"}, "a.txt, line 1: '0 .1 .1 .9 .1 .9' found; a class index and four numbers"),
        ({"labels/a.txt": "dent .5 .5 1 1"}, "a.txt, line 1: 'dent .5 .5 1 1' found; a class index and four numbers"),
        ({"labels/a.txt": "2 .5 .5 1 1"}, r"a.txt, line 1: class index 2 found; 0 to 1 are expected \(dent, scratch\)"),
        ({"labels/a.txt": "-1 .5 .5 1 1"}, "a.txt, line 1: class index -1 found"),
        ({"labels/a.txt": b"\xff"}, "a.txt: not UTF-8 text"),
        ({"train.txt": "images/z.jpg"}, "train.txt: no image 'images/z.jpg' in .*images; paths relative to"),
    ],
)
def test_yolo_refusals(tmp_path, changes, message):
    files = {"images/a.jpg": "", "labels/a.txt": "0 .5 .5 1 1"} | changes
    lay_out(tmp_path, {name: content for name, content in files.items() if content is not None})
    with pytest.raises(InputError, match=message):
        read_yolo(tmp_path, YOLO.model_copy(update={"list": "train.txt" if "train.txt" in files else None}), NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: {1: dent, 2: scratch}", "'names' with a list of class names, or a mapping of 0..n-1 to them"),
        ("names: [dent, 3]", "'names' has 3 as class 1; 'names' with a list"),
        ("nc: 2", "'names' with a list"),
        ("names: [", "not valid YAML"),
        ("names: [dent, dent]", "class 'dent' stands twice in 'names'"),
    ],
)
def test_yolo_names_refusals(tmp_path, text, message):
    with pytest.raises(InputError, match=f"data.yaml: {message}"):
        read_yolo_names(lay_out(tmp_path, {"data.yaml": text}) / "data.yaml")
