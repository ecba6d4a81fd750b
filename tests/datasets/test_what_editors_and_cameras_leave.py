"""Files as editors, spreadsheets and cameras leave them: the right value, or a sentence that names the file."""

import json
import struct
import unicodedata
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from small_sets import CLASSES, import_yolo

from zerostart.datasets.cards import Card
from zerostart.datasets.checks import import_dataset
from zerostart.datasets.coco_file import read_coco_file
from zerostart.datasets.pictures import open_rgb
from zerostart.errors import InputError
from zerostart.predict import read_source
from zerostart.tagging.cards import RealSource
from zerostart.tagging.pictures.sources import read_real

LINES = "0 .5 .5 .2 .2\n1 .5 .5 .4 .4\n"


def test_windows_line_ends_in_labels_lists_and_names(tmp_path):
    import_yolo(tmp_path, {})
    for split in ("train", "val", "test"):
        (tmp_path / f"labels/{split}.txt").write_bytes(LINES.replace("\n", "\r\n").encode())
        (tmp_path / f"{split}.txt").write_bytes(f"images/{split}.png\r\n".encode())
    (tmp_path / "classes.txt").write_bytes(b"dent\r\nscratch\r\n\r\n")
    imported = import_yolo(tmp_path, {}, draw=False, named=False, lists=("train", "val", "test"))
    for coco in imported.splits.values():
        assert [one["bbox"] for one in coco["annotations"]] == [[40, 20, 20, 10], [30, 15, 40, 20]]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
@pytest.mark.parametrize("name", ["labels/train.txt", "train.txt", "classes.txt", "data.yaml"])
def test_text_that_is_not_utf_8_is_named(tmp_path, encoding, name):
    """What a Windows editor calls ANSI, and what it calls Unicode."""
    import_yolo(tmp_path, {})
    text = {"labels/train.txt": LINES + "# Größe\n", "train.txt": "images/train.png\nimages/Größe.png\n"}
    text |= {"classes.txt": "dent\nscratch\nGröße\n", "data.yaml": "names: [dent, scratch, Größe]\n"}
    (tmp_path / name).write_bytes(text[name].encode(encoding))
    with pytest.raises(InputError, match=rf"{name.replace('.', '[.]')}: not UTF-8 text: .* at byte"):
        import_yolo(tmp_path, {}, draw=False, named="train" in name, lists=("train",) if name == "train.txt" else ())


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_json_and_csv_that_are_not_utf_8_are_named(tmp_path, encoding):
    (tmp_path / "a").mkdir()
    for name, text in (("a.json", '{"images": "Größe"}'), ("a.csv", "a.png,Größe\n")):
        (tmp_path / name).write_bytes(text.encode(encoding))
        with pytest.raises(InputError, match=rf"{name[:-4]}.*: not UTF-8 text"):
            read_real(RealSource(format={"n": "coco", "v": "csv"}[name[-1]], path="a", labels=name), tmp_path)


def test_blanks_around_a_class_name_do_not_matter(tmp_path):
    """A card cannot name such a class, so that an alias would be no way out."""
    import_yolo(tmp_path, {})
    for text in ("names: ['dent ', ' scratch']", "names: {0: 'dent', 1: \"scratch\\t\"}"):
        imported = import_yolo(tmp_path, {}, draw=False, named=False, files={"data.yaml": text})
        assert [one["category_id"] for one in imported.splits["train"]["annotations"]] == [0, 1]
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("dent  \n scratch\t\n")
    assert import_yolo(tmp_path, {}, draw=False, named=False).splits["val"]["annotations"][1]["category_id"] == 1
    content = {"images": [{"id": 1, "file_name": "images/train.png", "width": 100, "height": 50}], "annotations": []}
    content["categories"] = [{"id": 1, "name": "dent "}, {"id": 2, "name": " scratch"}]
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert list(read_source(tmp_path / "a.json", tmp_path, CLASSES).categories.values()) == [1, 2]
    content["categories"] = [{"id": 1, "name": "dent "}, {"id": 2, "name": "dent"}, {"id": 3, "name": "  "}]
    content["annotations"] = [{"id": k, "image_id": 1, "category_id": k, "bbox": [1, 2, 3, 4]} for k in (1, 2)]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"categories\[2\]\.name: string should have at least 1[^\0]*'dent' stands twice"):
        read_coco_file(tmp_path / "a.json")


def test_category_ids_in_quotes_are_refused_once(tmp_path):
    """In the categories they are an error, of which annotations say nothing new; in the annotations records to leave out."""
    image = {"id": 1, "file_name": "a.png", "width": 9, "height": 9}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": [image], "annotations": [box], "categories": [{"id": "1", "name": "dent"}]}))
    with pytest.raises(InputError, match=r"categories\[0\]\.id: input should be a valid integer"):
        read_coco_file(path)
    quoted = [box | {"id": k, "category_id": "1"} for k in range(5)]
    path.write_text(json.dumps({"images": [image], "annotations": quoted, "categories": [{"id": 1, "name": "dent"}]}))
    with pytest.raises(
        InputError, match=r"5 defects\n  annotations\.category_id \(5\): .*annotations\[2\]\.category_id: input"
    ):
        read_coco_file(path)


def test_pictures_of_one_stem_are_two_in_coco_and_an_error_where_stems_are_names(tmp_path):
    import_yolo(tmp_path, {})
    Image.new("RGB", (100, 50), "red").save(tmp_path / "images/train.jpg")
    with pytest.raises(InputError, match=r"images/train\.png: a second image with the stem 'train' beside images/train\.jpg"):
        import_yolo(tmp_path, {}, draw=False)
    Image.new("RGB", (100, 50), "blue").save(tmp_path / "images/train.bmp")
    for split, names in (("train", ["train.jpg", "train.png", "train.bmp"]), ("val", ["val.png"]), ("test", ["test.png"])):
        images = [{"id": k, "file_name": name, "width": 100, "height": 50} for k, name in enumerate(names)]
        boxes = [
            {"image_id": k, "category_id": c, "bbox": [1, 2, 3, 4 + c]} for k in range(len(names)) for c in range(len(CLASSES))
        ]
        categories = [{"id": k, "name": name} for k, name in enumerate(CLASSES)]
        (tmp_path / f"{split}.json").write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    splits = {split: {"annotations": f"{split}.json", "images": "images"} for split in ("train", "val", "test")}
    fields = {"name": "a", "format": "coco", "obtain": "x", "prompts": "a", "classes": CLASSES, "critical": CLASSES}
    coco = import_dataset(Card.model_validate(fields | {"splits": splits}), tmp_path).splits["train"]
    assert [one["file_name"] for one in coco["images"]] == ["images/train.jpg", "images/train.png", "images/train.bmp"]


@pytest.mark.parametrize("name", ["images\\{}", "images/{}", ".\\images\\{}"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_coco_files_of_other_systems_find_their_pictures(tmp_path, name, form):
    """The separator of Windows, and ö as one character or, as macOS has it, as two; the file itself has the other form."""
    (tmp_path / "images").mkdir()
    for index, split in enumerate(("train", "val", "test")):
        stored = unicodedata.normalize("NFD" if form == "NFC" else "NFC", f"Größe {split}.png")
        Image.new("RGB", (9, 9), (index, 0, 0)).save(tmp_path / "images" / stored)
        written = name.format(unicodedata.normalize(form, f"Größe {split}.png"))
        boxes = [{"image_id": 1, "category_id": k, "bbox": [1, 2, 3, 4 + k]} for k in range(len(CLASSES))]
        categories = [{"id": k, "name": label} for k, label in enumerate(CLASSES)]
        image = {"id": 1, "file_name": written, "width": 9, "height": 9}
        (tmp_path / f"{split}.json").write_text(json.dumps({"images": [image], "annotations": boxes, "categories": categories}))
    splits = {split: {"annotations": f"{split}.json", "images": "."} for split in ("train", "val", "test")}
    fields = {"name": "a", "format": "coco", "obtain": "x", "prompts": "a", "classes": CLASSES, "critical": CLASSES}
    coco = import_dataset(Card.model_validate(fields | {"splits": splits}), tmp_path).splits["val"]
    assert (tmp_path / coco["images"][0]["file_name"]).is_file() and len(coco["annotations"]) == 2
    (path,) = read_source(tmp_path / "val.json", tmp_path, CLASSES).paths
    (item,) = read_real(RealSource(format="coco", path=".", labels="val.json"), tmp_path).items
    assert path.is_file() and item.read(None).shape == (9, 9, 3)


def test_images_and_labels_behind_a_link_are_not_lost(tmp_path):
    """Folders on another disk, linked into the data set: without a list every picture is taken."""
    import_yolo(tmp_path, {})
    splits = {}
    for split in ("train", "val", "test"):
        for kind, suffix in (("images", "png"), ("labels", "txt")):
            (there := tmp_path / f"disk/{split}-{kind}").mkdir(parents=True)
            (tmp_path / f"{kind}/{split}.{suffix}").rename(there / f"{split}.{suffix}")
            (tmp_path / f"{split}/{kind}").mkdir(parents=True)
            (tmp_path / f"{split}/{kind}/more").symlink_to(there)
        splits[split] = {"annotations": f"{split}/labels", "images": f"{split}/images"}
    fields = {"name": "a", "format": "yolo", "obtain": "x", "prompts": "a", "classes": CLASSES, "critical": CLASSES}
    card = Card.model_validate(fields | {"names": CLASSES, "splits": splits})
    for split, coco in import_dataset(card, tmp_path).splits.items():
        assert [one["file_name"] for one in coco["images"]] == [f"{split}/images/more/{split}.png"]
        assert len(coco["annotations"]) == 2


def test_broken_pictures_are_named_together(tmp_path):
    """Empty, cut off in the middle, 16 bits, a pointer instead of a picture."""
    import_yolo(tmp_path, {})
    noise = np.random.default_rng(5).integers(0, 256, (50, 100, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=95)
    (tmp_path / "images/train.png").write_bytes(b"")
    (tmp_path / "images/val.png").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    Image.fromarray(noise[..., 0].astype(np.uint16) * 16).save(tmp_path / "images/test.png")
    (tmp_path / "images/more.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    (tmp_path / "labels/more.txt").write_text(LINES)
    (tmp_path / "train.txt").write_text("images/train.png\nimages/more.png\n")
    with pytest.raises(InputError) as caught:
        import_yolo(tmp_path, {}, draw=False, lists=("train",))
    heading, kind = str(caught.value).splitlines()
    assert heading.endswith("4 defects; `on_defect: skip` in the card leaves these records out")
    assert kind.startswith("  image (4): ") and kind.endswith("; and 1 more")
    assert "train.png: not a readable image (an empty file)" in kind
    assert "more.png: not a readable image (a pointer of Git LFS" in kind
    assert "val.png: not a readable image (image file is truncated" in kind
    for name in ("train", "more", "val"):
        Image.fromarray(noise // (2 + len(name))).save(tmp_path / f"images/{name}.png")
    with pytest.raises(InputError, match=r"test\.png: pixels of more than 8 bits \(mode I;16"):
        import_yolo(tmp_path, {}, draw=False, lists=("train",))


def test_a_palette_with_transparency_gives_its_colours(tmp_path):
    """Both as one transparent entry and as an opacity for each; what lies under the transparency is there in the file."""
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    for transparency in (1, bytes([0, 128, 255])):
        image.save(tmp_path / "a.png", transparency=transparency)
        assert np.asarray(open_rgb(tmp_path / "a.png"))[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    image.save(tmp_path / "a.gif", transparency=1)
    assert np.asarray(open_rgb(tmp_path / "a.gif"))[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


@pytest.mark.parametrize(("ink", "expected"), [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((0, 255, 255, 0), (255, 0, 0))])
def test_a_jpeg_for_the_press_has_the_colours_of_its_inks(tmp_path, ink, expected):
    """CMYK: no ink is white. Adobe stores the inks inverted, which the marker in the file tells."""
    Image.new("CMYK", (16, 16), ink).save(tmp_path / "a.jpg", quality=100)
    assert b"Adobe" in (tmp_path / "a.jpg").read_bytes()
    np.testing.assert_allclose(np.asarray(open_rgb(tmp_path / "a.jpg"))[8, 8], expected, atol=3)


SEEN = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda stored: np.rot90(stored, 1),
}
"""What is seen of the stored pixels, by the EXIF standard's row and column of their first pixel (TIFF 6.0, page 36)."""


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("orientation", SEEN)
def test_an_orientation_written_by_hand_is_followed(tmp_path, orientation, byte_order):
    """The segment of a camera, byte by byte: TIFF header, one entry of type SHORT, no next directory."""
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:16, :16] = 255  # a white corner in the first rows and columns, and a grey one in the first rows and last columns
    stored[:16, 32:] = 128
    buffer = BytesIO()
    Image.fromarray(stored).save(buffer, "JPEG", quality=95)
    tiff = {"<": b"II*\0", ">": b"MM\0*"}[byte_order] + struct.pack(f"{byte_order}I", 8)
    tiff += struct.pack(f"{byte_order}HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    whole = buffer.getvalue()
    (tmp_path / "a.jpg").write_bytes(whole[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + whole[2:])
    seen = np.asarray(open_rgb(tmp_path / "a.jpg")).astype(int)
    np.testing.assert_allclose(seen, SEEN[orientation](stored).astype(int), atol=8)
