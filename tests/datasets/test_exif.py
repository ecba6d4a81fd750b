"""Pictures are turned upright wherever they are read: the same pixels, sizes and boxes for all eight EXIF orientations."""

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from zerostart.datasets.cards import Card
from zerostart.datasets.checks import build_splits
from zerostart.datasets.image_files import read_image_files
from zerostart.datasets.pictures import TURNS, open_rgb, read_picture
from zerostart.detector.pixels import read_image
from zerostart.errors import InputError
from zerostart.tagging.pictures.decoding import decode

UNDONE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""The orientation that turns a picture back: only the quarter turns are not their own opposites."""
# 48×32, in blocks of 16 pixels, which a JPEG of quality 95 without subsampling keeps to a few levels.
UPRIGHT = np.repeat(np.repeat(np.random.default_rng(0).integers(30, 220, (2, 3, 3), dtype=np.uint8), 16, axis=0), 16, axis=1)


def save_turned(path, orientation, upright=None, **options):
    """The picture stored such that it is upright once it is turned as EXIF says; Pillow's own exif_transpose is the judge."""
    upright = upright or Image.fromarray(UPRIGHT)
    stored = upright.transpose(TURNS[UNDONE[orientation]]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path, exif=exif, **({"quality": 95, "subsampling": 0} if path.suffix == ".jpg" else {}), **options)
    with path.open("rb") as file, Image.open(file) as saved:
        turned = ImageOps.exif_transpose(saved)
        assert (turned.mode, turned.size) == (upright.mode, upright.size)
        np.testing.assert_allclose(np.asarray(turned, float), np.asarray(upright, float), atol=6)


def check_readers(path, orientation, expected, tolerance=0):
    """All readers see `expected` (32×48×3), and the sizes are those of the upright and of the stored pixels."""
    seen = open_rgb(path)
    assert seen.size == (48, 32)
    np.testing.assert_allclose(np.asarray(seen, float), expected, atol=tolerance)
    np.testing.assert_allclose(decode(path).astype(float), expected, atol=tolerance)
    small = np.asarray(Image.fromarray(expected).resize((24, 24), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    np.testing.assert_allclose(read_image(path, 24).astype(float), small, atol=tolerance)
    picture = read_picture(path)
    stored = (32, 48) if orientation >= 5 else (48, 32)
    assert (picture.rgb.size, picture.size) == ((48, 32), (48, 32))
    assert (picture.stored_size, picture.orientation) == (stored, orientation)
    if not picture.deep:
        (file,) = read_image_files(path.parent, {path.name: "a record"}).values()
        assert (file.size, file.stored_size) == ((48, 32), stored)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_reader_sees_the_upright_picture(tmp_path, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    if suffix == "webp":
        save_turned(tmp_path / "a.png", orientation)
        with Image.open(tmp_path / "a.png") as image:
            image.save(path, lossless=True, exif=image.getexif())
    else:
        save_turned(path, orientation)
    check_readers(path, orientation, UPRIGHT, tolerance=6 if suffix == "jpg" else 0)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_reader_sees_an_upright_tiff_of_any_mode(tmp_path, mode, compression, orientation):
    """Pillow maps uncompressed ones of most modes into memory where it is given a path, with width and height exchanged."""
    grey = Image.fromarray(UPRIGHT).convert("L")
    if mode == "I;16":
        upright, expected = Image.fromarray(np.asarray(grey, np.uint16) * 257), grey.convert("RGB")
    else:
        upright = Image.fromarray(UPRIGHT).convert(mode)
        expected = upright.convert("RGB")
    save_turned(tmp_path / "a.tif", orientation, upright, compression=compression)
    check_readers(tmp_path / "a.tif", orientation, np.asarray(expected))


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "gif", "webp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_ordinary_pictures_have_the_pixels_that_pillow_gives(tmp_path, suffix, mode):
    if (suffix, mode) == ("jpg", "P"):
        mode = "CMYK"
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (37, 53, 3), dtype=np.uint8)).convert(mode).save(path)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(np.asarray(open_rgb(path)), expected)
    np.testing.assert_array_equal(decode(path), expected)


def test_damaged_exif_leaves_the_picture_as_it_is(tmp_path):
    Image.fromarray(UPRIGHT).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=95, subsampling=0)
    np.testing.assert_allclose(np.asarray(open_rgb(tmp_path / "a.jpg"), float), UPRIGHT, atol=6)


def write_set(folder, orientation, size):
    """Three pictures, one per split, with a box drawn on the upright picture, and the size that the file annotates."""
    (folder / "images").mkdir(parents=True)
    for shift, split in enumerate(("train", "val", "test")):
        save_turned(folder / f"images/{split}.png", orientation, Image.fromarray(np.roll(UPRIGHT, 16 * shift, axis=1)))
        content = {
            "images": [{"id": 1, "file_name": f"images/{split}.png", "width": size[0], "height": size[1]}],
            "annotations": [
                {"id": index, "image_id": 1, "category_id": index, "bbox": [33, index, 14, 30 - index]} for index in (1, 2)
            ],
            "categories": [{"id": 1, "name": "dent"}, {"id": 2, "name": "scratch"}],
        }
        (folder / f"{split}.json").write_text(json.dumps(content))


CARD = Card(
    name="turned",
    format="coco",
    obtain="draw it",
    prompts="turned",
    classes=("dent", "scratch"),
    critical=("dent",),
    splits={split: {"annotations": f"{split}.json", "images": "."} for split in ("train", "val", "test")},
)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_data_set_gives_the_upright_ones_annotations(tmp_path, orientation):
    write_set(tmp_path / "upright", 1, (48, 32))
    write_set(tmp_path / "turned", orientation, (48, 32))
    assert build_splits(CARD, tmp_path / "turned") == build_splits(CARD, tmp_path / "upright")


def test_sizes_of_the_stored_pixels_are_refused_with_the_word_exif(tmp_path):
    write_set(tmp_path / "turned", 6, (32, 48))
    with pytest.raises(InputError) as caught:
        build_splits(CARD, tmp_path / "turned")
    assert "size 32×48 is annotated, but" in str(caught.value)
    assert (
        "is 48×32; the annotated size is that of the stored pixels, before they are turned as EXIF orientation 6 says"
        in str(caught.value)
    )
