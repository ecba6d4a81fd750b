"""Images of any kind become the RGB that a person sees; what is none is refused in one sentence."""

import numpy as np
import pytest
from PIL import Image

from zerostart.datasets.pictures import open_rgb
from zerostart.errors import InputError

GREY = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "HSV", "YCbCr"])
def test_modes(mode):
    picture = Image.fromarray(np.full((3, 4), 255, np.uint8)).convert("RGB").convert(mode)
    rgb = open_rgb(picture)
    assert (rgb.mode, rgb.size) == ("RGB", (4, 3))
    assert np.asarray(rgb).min() >= 254


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_not_clipped(tmp_path, suffix):
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / f"deep.{suffix}")
    np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / f"deep.{suffix}"))[..., 0], GREY)
    np.testing.assert_array_equal(np.asarray(open_rgb(GREY.astype(np.uint16) * 257))[..., 1], GREY)


def test_exif_orientation(tmp_path):
    picture, exif = Image.fromarray(GREY), Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / "turned.png"))[..., 0], np.rot90(GREY, -1))


def test_unreadable_files(tmp_path, monkeypatch):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "truncated.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not an image")
    for name, message in {
        "missing.png": "no such image",
        "truncated.png": "not a readable image",
        "empty.png": "not a readable image",
        "text.png": "not a readable image",
    }.items():
        with pytest.raises(InputError, match=rf"{name}: {message}"):
            open_rgb(tmp_path / name)
    monkeypatch.setattr("zerostart.datasets.pictures.MOST_PIXELS", 4095)
    with pytest.raises(InputError, match=r"whole\.png: 64x64 pixels, too large to be decoded safely"):
        open_rgb(tmp_path / "whole.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow itself refuses above twice its limit
    with pytest.raises(InputError, match=r"whole\.png: not a readable image \(Image size \(4096 pixels\) exceeds limit"):
        open_rgb(tmp_path / "whole.png")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Image.new("RGB", (0, 5)), "an image of 0x5 pixels"),
        (Image.new("F", (2, 2)), "floating point pixels"),
        (Image.fromarray(np.array([[70_000]], np.int32)), "pixels from 70000 to 70000; 0 to 65535"),
        (np.zeros((2, 2), np.float32), r"an array of shape \(2, 2\) and type float32"),
        (np.zeros((2, 2, 4), np.uint8), r"an array of shape \(2, 2, 4\)"),
        (np.zeros((0, 2), np.uint8), "at least one pixel"),
    ],
)
def test_what_is_no_image(source, message):
    with pytest.raises(InputError, match=message):
        open_rgb(source)
