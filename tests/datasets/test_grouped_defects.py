"""Everything that is wrong with a data set is told at once, by kind, in every reader; `on_defect: skip` takes the rest."""

import json

import pytest
from PIL import Image
from small_sets import import_yolo

from stages.retrieval.crops import checked_photos
from zerostart.datasets.cards import Card
from zerostart.datasets.checks import import_dataset
from zerostart.datasets.coco_file import read_coco_file
from zerostart.datasets.findings import Findings
from zerostart.errors import InputError, printable
from zerostart.predict import read_source
from zerostart.retrieval.params import RetrievalParams
from zerostart.tagging.cards import RealSource
from zerostart.tagging.pictures.sources import read_real

SPLITS = ("train", "val", "test")
CLASSES = ("dent", "crack")
CATEGORIES = [{"id": k, "name": name} for k, name in enumerate(CLASSES, 1)]


def image(number, **changes):
    return {"id": number, "file_name": f"{number}.png", "width": 20, "height": 10} | changes


def box(number, image_id, category_id=1, **changes):
    return {"id": number, "image_id": image_id, "category_id": category_id, "bbox": [1, 2, 3, number]} | changes


def lay_out(folder, train, numbers=range(1, 10), **others):
    """images/NUMBER.png, the COCO file of train, and files of val (picture 8) and test (picture 9) that are in order."""
    (folder / "images").mkdir(exist_ok=True)
    for number in numbers:
        Image.new("RGB", (20, 10), (20 * number, 0, 0)).save(folder / f"images/{number}.png")
    whole = {
        split: {"images": [image(number)], "annotations": [box(1, number), box(2, number, 2)], "categories": CATEGORIES}
        for split, number in (("val", 8), ("test", 9))
    }
    for split, content in {"train": train, **whole, **others}.items():
        (folder / f"{split}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def card(format="coco", **changes):
    files = {split: {"annotations": f"{split}.json", "images": "images"} for split in SPLITS}
    if format == "voc":
        files = {split: {"annotations": "xml", "images": "images", "list": f"{split}.txt"} for split in SPLITS}
    fields = {"name": "mine", "format": format, "obtain": "draw it", "prompts": "mine", "classes": CLASSES, "splits": files}
    return Card.model_validate(fields | {"critical": ["dent"]} | changes)


def refusal(read, *arguments, **options):
    """Lines of the sentence: the heading, and how many of each kind."""
    with pytest.raises(InputError) as caught:
        read(*arguments, **options)
    heading, *kinds = str(caught.value).splitlines()
    return heading, {line.split(": ")[0].strip(): line.partition(": ")[2] for line in kinds}


DEFECTIVE = {
    "images": [image(1), image(2, width=None), image(3, file_name=7), image(4)],
    "annotations": [
        box(1, 1),
        box(2, 4, 2),
        box(3, 2),  # of an image that is left out
        box(4, 3),  # the same
        *(box(number, 99) for number in range(5, 10)),
        box(10, 1, 99),
        box(11, 1, bbox="wide"),
        box(12, 1, bbox=[1, 2, 3], iscrowd="no"),
        box(13, 1, bbox=None),
        "nothing",
    ],
    "categories": CATEGORIES,
}
KINDS = {
    "images.width": 1,
    "images.file_name": 1,
    "annotations.image_id": 5,
    "annotations.category_id": 1,
    "annotations.bbox": 3,
    "annotations": 1,
}


def test_records_of_a_coco_file_are_grouped_or_left_out(tmp_path):
    heading, kinds = refusal(import_dataset, card(), lay_out(tmp_path, DEFECTIVE))
    assert heading == f"{tmp_path}: 12 defects; `on_defect: skip` in the card leaves these records out"
    assert kinds.keys() == {f"{kind} ({count})" for kind, count in KINDS.items()}
    assert kinds["annotations.image_id (5)"].endswith("; and 2 more") and "annotation 7:" in kinds["annotations.image_id (5)"]
    assert "annotations[11].bbox[3]: field missing, annotations[11].iscrowd: input" in kinds["annotations.bbox (3)"]
    imported = import_dataset(card(on_defect="skip"), tmp_path)
    train = imported.splits["train"]
    assert train["info"]["left_out"] == KINDS
    assert [one["file_name"] for one in train["images"]] == ["images/1.png", "images/4.png"]
    assert [(one["image_id"], one["bbox"]) for one in train["annotations"]] == [(1, [1, 2, 3, 1]), (2, [1, 2, 3, 2])]


def test_records_without_an_id_keep_their_place_in_the_file(tmp_path):
    content = {
        "images": [image(1)],
        "annotations": [{}, {"image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": CATEGORIES,
    }
    _, kinds = refusal(read_coco_file, lay_out(tmp_path, content) / "train.json")
    assert "train.json, annotations[1]: image_id 5" in kinds["annotations.image_id (2)"]


def test_what_no_setting_accepts_is_named_beside_what_one_accepts(tmp_path):
    """Two merged exports whose ids collide, one of them without a box."""
    train = {"images": [image(1), image(1, file_name="2.png")], "annotations": [box(1, 1), box(1, 1, bbox=None)]}
    lay_out(tmp_path, train | {"categories": [*CATEGORIES, {"id": 2, "name": 5}]}, val="{", test="[]")
    heading, kinds = refusal(import_dataset, card(), tmp_path)
    assert heading.endswith("6 defects; `on_defect: skip` in the card leaves these records out, but for those to be mended")
    assert kinds.keys() == {
        "annotations.bbox (1)",
        "categories.name (1, to be mended)",
        "id twice (2, to be mended)",
        "annotations (2, to be mended)",
    }
    heading, kinds = refusal(import_dataset, card(on_defect="skip"), tmp_path)
    assert heading.endswith(": 5 defects") and kinds.keys() == {"categories.name (1)", "id twice (2)", "annotations (2)"}


def test_pictures_of_two_splits_are_all_named(tmp_path):
    train = {"images": [image(1), image(2)], "annotations": [box(1, 1), box(2, 2, 2)], "categories": CATEGORIES}
    lay_out(tmp_path, train)
    for number, copy in ((1, 8), (2, 9)):
        Image.new("RGB", (20, 10), (0, 20 * number, 0)).save(tmp_path / f"images/{number}.png")
        (tmp_path / f"images/{copy}.png").write_bytes((tmp_path / f"images/{number}.png").read_bytes())
    heading, kinds = refusal(import_dataset, card(on_defect="skip"), tmp_path)
    assert heading == f"{tmp_path}: 2 defects" and kinds.keys() == {"picture in two splits (2)"}


def test_predict_names_records_and_missing_pictures(tmp_path):
    lay_out(tmp_path, DEFECTIVE | {"categories": CATEGORIES[:1]})
    (tmp_path / "images/4.png").unlink()
    heading, kinds = refusal(read_source, tmp_path / "train.json", tmp_path / "images", CLASSES)
    assert heading.endswith(" defects")  # there is no card
    assert {"category (1)", "image (1)", "images.width (1)", "annotations.image_id (5)"} <= kinds.keys()


def test_tagging_names_records_and_boxes(tmp_path):
    source = RealSource(format="coco", path="images", labels="train.json")
    lay_out(tmp_path, DEFECTIVE | {"annotations": [box(1, 77), box(2, 1, bbox=[0, 0, 40, 40])]})
    heading, kinds = refusal(read_real, source, tmp_path)
    assert heading.endswith(": 4 defects")
    assert kinds.keys() == {"images.width (1)", "images.file_name (1)", "annotations.image_id (1)", "annotations.bbox (1)"}
    (tmp_path / "tags.csv").write_text("1.png\n2.png,red\n2.png,blue\n../3.png,red\n5.png\n")
    _, kinds = refusal(read_real, RealSource(format="csv", path="images", labels="tags.csv"), tmp_path)
    assert kinds.keys() == {"line without a tag column (2)", "photo twice (1)", "photo's path (1)"}


def test_retrieval_from_coco_names_records_pictures_sizes_and_boxes(tmp_path):
    """Files, pictures and boxes: what any of the steps finds is told together."""
    train = {
        "images": [image(1, width=21), image(2), image(3), image(4)],
        "categories": [*CATEGORIES, {"id": 3, "name": "cat"}],
    }
    train["annotations"] = [box(1, 77), box(2, 2, bbox=[0, 0, 40, 4]), box(3, 3, bbox=[0, 0, 0, 4]), box(4, 4, 3)]
    lay_out(tmp_path, train, test="{")
    (tmp_path / "images/2.png").write_bytes(b"")
    (tmp_path / "images/8.png").write_bytes((tmp_path / "images/4.png").read_bytes())
    heading, kinds = refusal(checked_photos, tmp_path, RetrievalParams.model_construct(layout="coco"))
    assert heading == f"{tmp_path}: 7 defects"
    assert kinds.keys() == {
        "annotations.image_id (1)",
        "polygon or box (1)",
        "category (1)",
        "image (1)",
        "image size (1)",
        "annotations (1)",
        "picture in two splits (1)",
    }


def test_labelme_names_photos_files_shapes_and_sizes(tmp_path):
    """Nine photos; every second one with something else."""

    def shape(**changes):
        return {"label": "2", "points": [[1, 1], [5, 1], [5, 5]], "shape_type": "polygon"} | changes

    files = {
        "1": {"shapes": [shape(), shape(label="10"), shape(points=[[1, 1], [2, 2]])]},
        "2": {"shapes": []},
        "3": {"shapes": "none"},
        "5": {"shapes": [shape()], "imageWidth": 999, "imageHeight": 10},
        "6": {"shapes": [shape(points=[[1, 1], [50, 1], [5, 5]])]},
        "7": {"shapes": [shape(shape_type="linestrip")]},
        "9": {"shapes": [shape()]},
    }
    for number in "123456789":
        zone = 11 if number == "8" else 5
        Image.new("L", (20, 10), int(number)).save(tmp_path / f"zona1_ko_2_3_{number}_zona_{zone}_imageDANO_original.jpg")
        if number in files:
            path = tmp_path / f"zona1_ko_2_3_{number}_zona_{zone}_labelDANO_modificado.json"
            path.write_text(json.dumps(files[number]))
    Image.new("L", (20, 10)).save(tmp_path / "photo.jpg")
    params = RetrievalParams.model_construct(layout="zones", val_share=0.25, test_share=0.25, seed=0)
    heading, kinds = refusal(checked_photos, tmp_path, params)
    assert heading == f"{tmp_path}: 10 defects"
    assert kinds.keys() == {
        "name of a photo (2)",
        "LabelMe file (2)",
        "label (1)",
        "shape (2)",
        "damage (1)",
        "image size (1)",
        "box (1)",
    }


def test_voc_names_lists_files_and_objects(tmp_path):
    """What one broken file of a thousand does not hide: another one that is broken in another way."""
    lay_out(tmp_path, "")
    inner = "<size><width>20</width><height>10</height></size>"
    corners = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>6</ymax></bndbox>"
    objects = "".join(f"<object><name>{name}</name>{corners}</object>" for name in CLASSES)
    (tmp_path / "xml").mkdir()
    for number in range(1, 10):
        (tmp_path / f"xml/{number}.xml").write_text(f"<annotation>{inner}{objects}</annotation>")
    (tmp_path / "xml/2.xml").write_text("<annotation>")
    (tmp_path / "xml/3.xml").write_text(f"<annotation>{inner}<object><name>dent</name></object>{objects}</annotation>")
    (tmp_path / "images/5.jpg").write_bytes((tmp_path / "images/5.png").read_bytes())
    for split, stems in (("train", "1 2 3 5 77"), ("val", "8"), ("test", "9")):
        (tmp_path / f"{split}.txt").write_text("\n".join(stems.split()))
    _, kinds = refusal(import_dataset, card("voc"), tmp_path)
    assert kinds.keys() == {"list (1)", "VOC file (1)", "VOC object (1)", "stem (1, to be mended)"}
    (tmp_path / "images/5.jpg").unlink()
    imported = import_dataset(card("voc", on_defect="skip"), tmp_path)
    assert [len(coco["annotations"]) for coco in imported.splits.values()] == [6, 2, 2]
    assert imported.splits["val"]["info"]["left_out"] == {"VOC file": 1, "VOC object": 1, "list": 1}


def test_yolo_names_files_and_lines(tmp_path):
    """A label file that is no text goes with its picture: without its labels it would pass for one without objects."""
    import_yolo(tmp_path, {})
    for number, name in enumerate(("utf16", "more")):
        Image.new("RGB", (100, 50), (0, 0, 50 * number)).save(tmp_path / f"images/{name}.png")
    (tmp_path / "labels/utf16.txt").write_bytes("0 .5 .5 .2 .2\n".encode("utf-16"))
    (tmp_path / "labels/more.txt").write_text("0 .5 .5 .2 .2\n0 .5 .5\n")
    (tmp_path / "labels/alone.txt").write_text("")
    (tmp_path / "train.txt").write_text("images/train.png\nimages/utf16.png\nimages/more.png\nimages/none.png\n")
    options = {"draw": False, "lists": ("train",)}
    _, kinds = refusal(import_yolo, tmp_path, {}, **options)
    assert kinds.keys() == {"list (1)", "label file (2)", "YOLO line (1)"}
    assert "utf16.txt: not UTF-8 text" in kinds["label file (2)"]
    imported = import_yolo(tmp_path, {}, on_defect="skip", **options)
    assert [one["file_name"] for one in imported.splits["train"]["images"]] == ["images/train.png", "images/more.png"]


def test_without_collecting_the_first_is_raised():
    for keep in (Findings().defect, Findings().error):
        with pytest.raises(InputError, match="a sentence"):
            keep("kind", "a sentence")


def test_many_kinds_are_all_named_on_the_terminal():
    """Three records of each would be longer than what is printed, and the middle would be cut out."""
    findings = Findings(collect=True, setting="a setting")
    for kind in range(12):
        for record in range(9):
            findings.defect(f"kind {kind}", f"file {kind}, record {record}: {150 * 'x'}")
    with pytest.raises(InputError) as caught:
        findings.refuse("here")
    lines = printable(str(caught.value)).splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == [f"  kind {kind} (9)" for kind in range(12)]
    assert all(line.endswith("; and 8 more") for line in lines[1:])
