"""Mutated files of every kind that people bring: read, or refused by InputError, never anything else."""

import contextlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from zerostart.config import read_checked
from zerostart.datasets.cards import Card, load_card
from zerostart.datasets.checks import import_dataset
from zerostart.errors import InputError
from zerostart.language.prompts import load_prompts
from zerostart.params import Params
from zerostart.predict import read_source
from zerostart.retrieval.crops.coco_layout import read_coco_photos
from zerostart.retrieval.crops.zone_layout import read_zone_photos
from zerostart.tagging.cards import RealSource
from zerostart.tagging.pictures.sources import read_real

ROOT = Path(__file__).parents[2]
CLASSES = ["dent", "crack"]
SPLITS = {"train": "a", "val": "b", "test": "c"}
"""The one picture of each split: only the files of train are mutated, so that all checks behind the readers are reached."""
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}],
    "annotations": [
        {"id": k, "image_id": 1, "category_id": k, "bbox": [1, 2, 3, 3 + k], "segmentation": [[1, 1, 5, 1, 5, 5]], "iscrowd": 0}
        for k in (1, 2)
    ],
    "categories": [{"id": 1, "name": "dent"}, {"id": 2, "name": "crack"}],
}
BOX = "<object><name>dent</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>6</ymax></bndbox></object>"
BOXES = BOX + BOX.replace("dent", "crack")
VOC = f'<?xml version="1.0" encoding="utf-8"?><annotation><size><width>20</width><height>10</height></size>{BOXES}</annotation>'
YOLO = "0 .5 .5 .1 .2\n1 .1 .2 .5 .2 .3 .6\n"
LABELME = {
    "shapes": [
        {"label": "2", "points": [[1, 1], [5, 1], [5, 5]], "shape_type": "polygon"},
        {"label": "3", "points": [[1, 1], [5, 5]], "shape_type": "circle"},
    ],
    "imageWidth": 20,
    "imageHeight": 10,
}
STEM = "zona1_ko_2_3_17_zona_5"


def card(format, **more) -> dict:
    files = {"annotations": {"coco": "{}.json", "voc": "xml", "yolo": "labels"}[format], "images": "images"}
    files |= {} if format == "coco" else {"list": f"{format}_{{}}.txt"}
    fields = {
        "name": "mine",
        "format": format,
        "obtain": "draw it",
        "prompts": "mine",
        "classes": CLASSES,
        "critical": ["dent"],
    }
    return fields | {"splits": {split: {key: value.format(split) for key, value in files.items()} for split in SPLITS}} | more


def import_as(format):
    def read(folder: Path) -> None:
        import_dataset(Card.model_validate(card(format)), folder)

    return read


READERS = {
    "coco": ("train.json", json.dumps(COCO), import_as("coco")),
    "predict": (
        "a.json",
        json.dumps(COCO),
        lambda folder: read_source(folder / "a.json", folder / "images", ("dent", "crack")),
    ),
    "tagging": (
        "a.json",
        json.dumps(COCO),
        lambda folder: read_real(RealSource(format="coco", path="images", labels="a.json"), folder),
    ),
    "retrieval": ("train.json", json.dumps(COCO), read_coco_photos),
    "csv": (
        "a.csv",
        "file,tag\na.png,dent\n",
        lambda folder: read_real(RealSource(format="csv", path="images", labels="a.csv"), folder),
    ),
    "voc": ("xml/a.xml", VOC, import_as("voc")),
    "yolo": ("labels/a.txt", YOLO, import_as("yolo")),
    "yolo names": ("data.yaml", "names:\n  0: dent\n  1: crack\n", import_as("yolo")),
    "yolo list": ("yolo_train.txt", "images/a.png\n", import_as("yolo")),
    "labelme": (f"{STEM}_labelDANO_modificado.json", json.dumps(LABELME), read_zone_photos),
    "card": ("mine.yaml", yaml.safe_dump(card("coco", aliases={"x": "dent"})), lambda folder: load_card("mine", folder)),
    "prompts": ("p.yaml", (ROOT / "data/prompts/synthetic.yaml").read_text(), lambda folder: load_prompts(folder / "p.yaml")),
    "params": ("params.yaml", (ROOT / "params.yaml").read_text(), lambda folder: read_checked(folder / "params.yaml", Params)),
}
ODD = ["", "\0", "-1", "1e999", "NaN", "null", "true", "[]", "{}", '"x"', "\ufeff", "../..", "/", "\\", "é"]
ODD += ["9" * 400, "[" * 900, ": &a [*a]", "!!python/x", "<", "&e;"]


@st.composite
def mutated(draw, text: str) -> bytes:
    """The text with up to four places cut out, doubled, or replaced by something odd; sometimes bytes that are no text."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.sampled_from([*ODD, text[start:end] * 2])) + text[end:]
    content = text.encode()
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.binary(max_size=3)) + content[at:]
    return content


def lay_out(folder: Path) -> Path:
    """Everything but what the readers read first, which lies in READERS."""
    for name in ("images", "xml", "labels"):
        (folder / name).mkdir()
    for number, (split, stem) in enumerate(SPLITS.items()):
        Image.new("RGB", (20, 10), (80 * number, 0, 0)).save(folder / f"images/{stem}.png")
        picture = COCO["images"][0] | {"file_name": f"{stem}.png"}
        (folder / f"{split}.json").write_text(json.dumps(COCO | {"images": [picture]}))
        (folder / f"xml/{stem}.xml").write_text(VOC)
        (folder / f"labels/{stem}.txt").write_text(YOLO)
        (folder / f"voc_{split}.txt").write_text(f"{stem}\n")
        (folder / f"yolo_{split}.txt").write_text(f"images/{stem}.png\n")
    (folder / "data.yaml").write_text("names: [dent, crack]")
    (folder / f"{STEM}_imageDANO_original.jpg").touch()
    return folder


@pytest.mark.parametrize("reader", READERS)
def test_a_mutated_file_is_read_or_refused(tmp_path_factory, reader):
    name, text, read = READERS[reader]
    folder = lay_out(tmp_path_factory.mktemp("fuzz"))

    @settings(max_examples=160, deadline=20_000, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(mutated(text))
    def check(content):
        (folder / name).write_bytes(content)
        with contextlib.suppress(InputError):
            read(folder)

    check()


@pytest.mark.parametrize("reader", READERS)
def test_the_unmutated_files_are_read(tmp_path, reader):
    name, text, read = READERS[reader]
    folder = lay_out(tmp_path)
    (folder / name).write_text(text)
    read(folder)
