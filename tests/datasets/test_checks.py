import json
import runpy
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from zerostart.datasets.cards import Card, load_card
from zerostart.datasets.checks import build_splits, known_objects
from zerostart.datasets.findings import Findings
from zerostart.datasets.image_records import ImageRecord, ObjectRecord
from zerostart.errors import InputError
from zerostart.outputs import write_json

REPOSITORY = Path(__file__).parents[2]
FORMATS = ("coco", "voc", "yolo")
SPLITS = ("train", "val", "test")
CLASSES = ("scratch", "dent", "hole")
WIDTH, HEIGHT = 40, 30
# split: image stem: objects as (class, x, y, width, height) in pixels
SMALL = {
    "train": {"a": [("dent", 0, 0, 40, 30), ("hole", 1, 2, 3, 4)], "b": [("scratch", 9, 9, 6, 6)]},
    "val": {"c": [("scratch", 5, 5, 10, 10)]},
    "test": {"d": [("scratch", 5, 5, 10, 20), ("dent", 8, 0, 32, 10)]},
}
SPLIT_FILES = {
    "coco": {"annotations": "annotations/{split}.json", "images": "."},
    "voc": {"annotations": "xml", "images": "images", "list": "{split}.txt"},
    "yolo": {"annotations": "labels", "images": "images", "list": "{split}.txt"},
}


def card(format, **changes):
    files = {split: {key: text.format(split=split) for key, text in SPLIT_FILES[format].items()} for split in SPLITS}
    fields = {"name": "small", "format": format, "obtain": "draw it", "prompts": "small", "splits": files}
    # The sources number the classes in another order than the card.
    names = {"names": sorted(CLASSES)} if format == "yolo" else {}
    return Card.model_validate(fields | {"classes": CLASSES, "critical": ["scratch"]} | names | changes)


def pixels(stem):
    """A picture that depends on its stem only."""
    return np.random.default_rng(list(stem.encode())).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def write_images(folder, content):
    (folder / "images").mkdir(parents=True)
    for images in content.values():
        for stem in images:
            Image.fromarray(pixels(stem)).save(folder / f"images/{stem}.png")


def write_annotations(folder, format, content, size=(WIDTH, HEIGHT)):
    for split, images in content.items():
        {"coco": write_coco, "voc": write_voc, "yolo": write_yolo}[format](folder, split, images, size)


def write_coco(folder, split, images, size):
    # Descending ids starting anywhere, as some tools write them.
    ids = {stem: 1000 - index for index, stem in enumerate(images)}
    categories = {name: 9 - index for index, name in enumerate(sorted({*CLASSES, *(o[0] for i in images.values() for o in i)}))}
    objects = [(ids[stem], name, box) for stem, items in images.items() for name, *box in items]
    content = {
        "images": [{"id": ids[s], "file_name": f"images/{s}.png", "width": size[0], "height": size[1]} for s in images],
        "annotations": [
            {"id": 77 - index, "image_id": image_id, "category_id": categories[name], "bbox": box}
            for index, (image_id, name, box) in enumerate(objects)
        ],
        "categories": [{"id": class_id, "name": name} for name, class_id in categories.items()],
    }
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / f"annotations/{split}.json").write_text(json.dumps(content))


def write_voc(folder, split, images, size):
    (folder / "xml").mkdir(exist_ok=True)
    (folder / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in images))
    for stem, items in images.items():
        objects = ""
        for name, x, y, width, height in items:
            edges = {"xmin": x, "ymin": y, "xmax": x + width, "ymax": y + height}
            box = "".join(f"<{key}>{value}</{key}>" for key, value in edges.items())
            objects += f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"
        dimensions = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
        (folder / f"xml/{stem}.xml").write_text(f"<annotation>{dimensions}{objects}</annotation>")


def write_yolo(folder, split, images, size):
    (folder / "labels").mkdir(exist_ok=True)
    (folder / f"{split}.txt").write_text("".join(f"images/{stem}.png\n" for stem in images))
    for stem, items in images.items():
        lines = ""
        for name, x, y, width, height in items:
            box = ((x + width / 2) / WIDTH, (y + height / 2) / HEIGHT, width / WIDTH, height / HEIGHT)
            lines += f"{sorted(CLASSES).index(name)} {' '.join(f'{value:.6f}' for value in box)}\n"
        (folder / f"labels/{stem}.txt").write_text(lines)


def write_dataset(folder, format, content=SMALL, size=(WIDTH, HEIGHT)):
    folder.mkdir()
    write_images(folder, content)
    write_annotations(folder, format, content, size)
    return folder


def refusal(format, folder, **card_changes):
    with pytest.raises(InputError) as caught:
        build_splits(card(format, **card_changes), folder)
    return str(caught.value)


# Where the record of SMALL's one object in val stands.
VAL_OBJECT = {"coco": "annotations/val.json, annotation 77", "voc": "xml/c.xml, object 1", "yolo": "labels/c.txt, line 1"}
VAL_IMAGE = {"coco": "annotations/val.json, image 1000", "voc": "xml/c.xml", "yolo": "labels/c.txt"}


@pytest.mark.parametrize("format", ["coco", "voc"])  # YOLO's rounded boxes are compared below
def test_the_coco_output(tmp_path, format):
    splits = build_splits(card(format), write_dataset(tmp_path / "raw", format))
    assert splits["train"] == {
        "info": {"dataset": "small", "critical": ["scratch"]},
        "images": [
            {"id": 1, "file_name": "images/a.png", "width": 40, "height": 30},
            {"id": 2, "file_name": "images/b.png", "width": 40, "height": 30},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 30], "area": 1200, "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
            {"id": 3, "image_id": 2, "category_id": 0, "bbox": [9, 9, 6, 6], "area": 36, "iscrowd": 0},
        ],
        "categories": [{"id": 0, "name": "scratch"}, {"id": 1, "name": "dent"}, {"id": 2, "name": "hole"}],
    }
    assert [item["category_id"] for item in splits["test"]["annotations"]] == [0, 1]


@pytest.mark.parametrize("format", FORMATS)
def test_pycocotools_reads_the_output(tmp_path, format):
    splits = build_splits(card(format), write_dataset(tmp_path / "raw", format))
    for split, images in SMALL.items():
        write_json(tmp_path / "coco.json", splits[split])
        peer = COCO(tmp_path / "coco.json")
        assert [peer.imgs[i]["file_name"] for i in peer.getImgIds()] == [f"images/{stem}.png" for stem in images]
        for image_id, objects in zip(peer.getImgIds(), images.values(), strict=True):
            found = peer.loadAnns(peer.getAnnIds(imgIds=image_id))
            assert [peer.cats[item["category_id"]]["name"] for item in found] == [name for name, *_ in objects]
        assert peer.getCatIds() == [0, 1, 2]


@st.composite
def contents(draw):
    """SMALL with random objects, at multiples of 1/8 pixel, in the images of train."""

    def side(limit):
        start = draw(st.integers(0, limit * 8 - 1))
        return start / 8, (draw(st.integers(start + 1, limit * 8)) - start) / 8

    def item():
        (x, width), (y, height) = side(WIDTH), side(HEIGHT)
        return draw(st.sampled_from(CLASSES)), x, y, width, height

    objects = list(dict.fromkeys(item() for _ in range(draw(st.integers(0, 6)))))
    cut = draw(st.integers(0, len(objects)))
    extra = {"e": objects[:cut], "f": objects[cut:]}
    return SMALL | {"train": SMALL["train"] | extra}


@settings(max_examples=25, deadline=None)
@given(contents())
def test_the_three_formats_give_the_same_output(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("property")
    write_images(folder, content)
    results = {}
    for format in FORMATS:
        write_annotations(folder, format, content)
        results[format] = build_splits(card(format), folder)
    assert results["voc"] == results["coco"]
    for split in SPLITS:
        ours, yolo = results["coco"][split], results["yolo"][split]
        assert {key: yolo[key] for key in ("info", "images", "categories")} == {
            key: ours[key] for key in ("info", "images", "categories")
        }
        assert [a["bbox"] for a in ours["annotations"]] == [box for items in content[split].values() for _, *box in items]
        for annotation, expected in zip(yolo["annotations"], ours["annotations"], strict=True):
            # Six decimals of a fraction: 0.5e-6 for the centre and half of that for the size, of 40 pixels.
            assert annotation["bbox"] == pytest.approx(expected["bbox"], abs=4e-5)
            assert annotation["area"] == pytest.approx(expected["area"], abs=4e-3)
            assert all(annotation[key] == expected[key] for key in ("id", "image_id", "category_id", "iscrowd"))


def test_an_alias_renames_a_class_of_the_source(tmp_path):
    content = SMALL | {"val": {"c": [("scuff", 5, 5, 10, 10)]}}
    folder = write_dataset(tmp_path / "raw", "voc", content)
    assert "class 'scuff' is not in the card" in refusal("voc", folder)
    splits = build_splits(card("voc", aliases={"scuff": "scratch"}), folder)
    assert splits["val"]["annotations"][0]["category_id"] == 0


def with_val_box(*box, name="scratch"):
    return SMALL | {"val": {"c": [(name, *box)]}}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((-1, 5, 10, 10), "reaches outside its image of 40×30 pixels"),
        ((5, -1, 10, 10), "reaches outside its image of 40×30 pixels"),
        ((31, 5, 10, 10), "reaches outside its image of 40×30 pixels"),
        ((5, 21, 10, 10), "reaches outside its image of 40×30 pixels"),
        ((5, 5, 0, 10), "is empty; a width and a height above 0 are expected"),
        ((5, 5, 10, -2), "is empty; a width and a height above 0 are expected"),
        ((40, 5, 0.25, 10), "is empty; a width and a height above 0 are expected"),  # nothing is left after clipping
        ((5, 5, 10, float("nan")), "finite numbers are expected"),
        ((5, 5, float("inf"), 10), "finite numbers are expected"),
    ],
)
def test_bad_boxes(tmp_path, format, box, message):
    found = refusal(format, write_dataset(tmp_path / "raw", format, with_val_box(*box)))
    assert f"raw/{VAL_OBJECT[format]}: box [" in found
    assert message in found


@pytest.mark.parametrize("format", FORMATS)
def test_half_a_pixel_over_the_border_is_clipped(tmp_path, format):
    folder = write_dataset(tmp_path / "raw", format, with_val_box(-0.4, 10, 10.4, 20.4))
    (annotation,) = build_splits(card(format), folder)["val"]["annotations"]
    assert annotation["bbox"] == pytest.approx([0, 10, 10, 20], abs=1e-4)
    assert annotation["area"] == pytest.approx(200, abs=1e-2)


@pytest.mark.parametrize("format", ["coco", "voc"])
def test_unknown_class(tmp_path, format):
    found = refusal(format, write_dataset(tmp_path / "raw", format, with_val_box(5, 5, 10, 10, name="rust")))
    assert f"{VAL_OBJECT[format]}: class 'rust' is not in the card 'small' (scratch, dent, hole)" in found


def test_unknown_class_in_yolo(tmp_path):
    folder = write_dataset(tmp_path / "raw", "yolo")
    found = refusal("yolo", folder, names=["dent", "hole", "rust"])
    assert "labels/c.txt, line 1: class 'rust' is not in the card 'small'" in found


@pytest.mark.parametrize("format", FORMATS)
class TestRefusals:
    """Defects that every format can have."""

    def test_missing_folder(self, tmp_path, format):
        assert refusal(format, tmp_path / "raw") == f"{tmp_path}/raw: no such folder; draw it"

    def test_class_never_seen(self, tmp_path, format):
        content = SMALL | {"train": {"a": [("dent", 0, 0, 40, 30)]}}
        found = refusal(format, write_dataset(tmp_path / "raw", format, content))
        assert "raw: no object of class 'hole' in any split" in found

    @pytest.mark.parametrize("split", ["val", "test"])
    def test_no_critical_object(self, tmp_path, format, split):
        content = SMALL | {split: {"c" if split == "val" else "d": [("dent", 0, 0, 9, 9)]}}
        found = refusal(format, write_dataset(tmp_path / "raw", format, content))
        assert f"split '{split}' has no object of a critical class (scratch); at least one" in found

    @pytest.mark.parametrize("split", SPLITS)
    def test_empty_split(self, tmp_path, format, split):
        found = refusal(format, write_dataset(tmp_path / "raw", format, SMALL | {split: {}}))
        assert f"raw: split '{split}' has no images; at least one is expected" in found

    def test_one_file_in_two_splits(self, tmp_path, format):
        content = SMALL | {"test": SMALL["test"] | SMALL["val"]}
        found = refusal(format, write_dataset(tmp_path / "raw", format, content))
        assert "image 'images/c.png' is in split 'val' and again in split 'test'; each image is expected once" in found

    def test_equal_pixels_in_two_splits(self, tmp_path, format):
        folder = write_dataset(tmp_path / "raw", format)
        with Image.open(folder / "images/a.png") as image:
            image.convert("RGBA").save(folder / "images/d.png")  # other bytes, the same picture
        found = refusal(format, folder)
        assert "'images/a.png' (split 'train') and 'images/d.png' (split 'test') have the same pixels" in found

    def test_equal_pixels_in_one_split_are_legal(self, tmp_path, format):
        folder = write_dataset(tmp_path / "raw", format)
        shutil.copy(folder / "images/a.png", folder / "images/b.png")
        assert len(build_splits(card(format), folder)["train"]["images"]) == 2

    @pytest.mark.parametrize("damage", ["truncated", "text", "empty", "chunk", "header"])
    def test_unreadable_image(self, tmp_path, format, damage):
        folder = write_dataset(tmp_path / "raw", format)
        path = folder / "images/c.png"
        content = path.read_bytes()
        idat = content.index(b"IDAT")
        damaged = {
            "truncated": content[:-1000],
            "text": b"not an image",
            "empty": b"",
            "chunk": content[: idat - 4] + (1000).to_bytes(4, "big") + content[idat:],  # too short a length: SyntaxError
            "header": content[:11] + b"\x02" + content[12:],  # ValueError: IHDR has 13 bytes
        }
        path.write_bytes(damaged[damage])
        found = refusal(format, folder)
        assert "images/c.png: not a readable image (" in found
        assert found.endswith(f"{VAL_IMAGE[format]} is its annotation")

    def test_missing_image(self, tmp_path, format):
        folder = write_dataset(tmp_path / "raw", format)
        (folder / "images/c.png").unlink()
        expected = {
            "coco": f"images/c.png: no such image; {folder}/annotations/val.json, image 1000 is its annotation",
            "voc": "val.txt: no image for 'c'",
            "yolo": "labels/c.txt: a label file without an image",
        }
        assert expected[format] in refusal(format, folder)


@pytest.mark.parametrize("suffix", ["jpg", "bmp"])
def test_truncated_images_of_other_kinds(tmp_path, suffix):
    folder = write_dataset(tmp_path / "raw", "voc")
    (folder / "images/c.png").unlink()
    path = folder / f"images/c.{suffix}"
    Image.fromarray(pixels("c")).save(path)
    assert build_splits(card("voc"), folder)["val"]["images"][0]["file_name"] == f"images/c.{suffix}"
    path.write_bytes(path.read_bytes()[:-200])
    assert f"images/c.{suffix}: not a readable image (" in refusal("voc", folder)


def test_a_size_that_could_exhaust_memory(tmp_path):
    folder = write_dataset(tmp_path / "raw", "voc")
    (folder / "images/c.png").unlink()
    path = folder / "images/c.bmp"
    Image.fromarray(pixels("c")).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:18] + (60_000).to_bytes(4, "little") * 2 + content[26:])  # width and height
    assert "images/c.bmp: not a readable image (Image size (3600000000 pixels) exceeds limit" in refusal("voc", folder)


def test_sixteen_bit_images(tmp_path):
    folder = write_dataset(tmp_path / "raw", "voc")
    Image.fromarray(np.full((HEIGHT, WIDTH), 30_000, np.uint16)).save(folder / "images/c.png")
    assert "images/c.png: pixels of more than 8 bits (mode I;16); 8 bits per channel are expected" in refusal("voc", folder)


@pytest.mark.parametrize("format", ["coco", "voc"])
def test_wrong_annotated_size(tmp_path, format):
    folder = write_dataset(tmp_path / "raw", format, size=(HEIGHT, WIDTH))
    found = refusal(format, folder)
    assert "raw: 4 defects; `on_defect: skip` in the card leaves these records out\n  image size (4): " in found
    assert "size 30×40 is annotated, but" in found and "and 1 more" in found
    assert "images/a.png is 40×30; the same size is expected" in found


@pytest.mark.parametrize("name", ["../secret.png", "/secret.png", "images/../images/c.png"])
def test_an_image_path_stays_inside_the_folder(tmp_path, name):
    folder = write_dataset(tmp_path / "raw", "coco")
    path = folder / "annotations/val.json"
    path.write_text(path.read_text().replace("images/c.png", name))
    assert f"val.json, image 1000: image '{name}'; a path inside" in refusal("coco", folder)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder in which the stage can run on the card `synthetic`, whose raw data are SMALL."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text()) | {"dataset": "synthetic"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Path("data/datasets").mkdir(parents=True)
    Path("data/raw").mkdir()
    fields = json.loads(card("coco", name="synthetic").model_dump_json(exclude_none=True))
    Path("data/datasets/synthetic.yaml").write_text(json.dumps(fields))  # JSON is YAML
    return write_dataset(tmp_path / "data/raw/synthetic", "coco")


def run_stage():
    runpy.run_path(str(REPOSITORY / "src/stages/dataset.py"), run_name="__main__")


def test_stage(workplace, capsys):
    run_stage()
    assert capsys.readouterr().out == (
        "dataset synthetic: train 2 images, 3 objects; val 1 images, 1 objects; test 1 images, 2 objects\n"
    )
    written = {path.name: path.read_bytes() for path in Path("data/coco").iterdir()}
    assert sorted(written) == ["test.json", "train.json", "val.json"]
    run_stage()
    assert {path.name: path.read_bytes() for path in Path("data/coco").iterdir()} == written


def test_stage_writes_nothing_on_bad_input(workplace):
    (workplace / "images/d.png").write_bytes(b"")
    with pytest.raises(SystemExit, match=r"error: data/raw/synthetic/images/d\.png: not a readable image"):
        run_stage()
    assert not Path("data/coco").exists()


def test_neu_det():
    places = [REPOSITORY / "data/raw/neu-det", REPOSITORY.parent / "shared/data/neu-det"]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        pytest.skip("NEU-DET is not in data/raw/neu-det")
    splits = build_splits(load_card("neu-det", REPOSITORY / "data/datasets"), folder)
    assert [len(splits[split]["images"]) for split in SPLITS] == [1260, 270, 270]
    annotations = [item for coco in splits.values() for item in coco["annotations"]]
    # Counted in the XML files by text search: <name>crazing</name> and so on, 4,189 in all.
    counts = [sum(item["category_id"] == class_id for item in annotations) for class_id in range(6)]
    assert counts == [689, 1011, 881, 432, 628, 548]


def test_many_identical_boxes_take_no_long(tmp_path):
    card = load_card("neu-det").model_copy(update={"repeated_objects": "refuse"})
    objects = tuple(ObjectRecord(card.classes[0], (1.0, 2.0, 3.0, 4.0), f"object {k}") for k in range(20_000))
    started = time.monotonic()
    kept = known_objects(card, ImageRecord("a.png", (20, 10), objects, "a record"), Findings(collect=True))
    assert [item.source for item in kept.objects] == ["object 0"]
    assert time.monotonic() - started < 5
