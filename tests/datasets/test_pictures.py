"""Images of any kind become the RGB that a person sees; what is none is refused in one sentence."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from zerostart.datasets.image_files import read_image_files
from zerostart.datasets.pictures import PictureError, open_rgb, read_picture
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


def deep_png(pixels):
    """Pillow writes no RGB of 16 bits."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    sealed = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(sealed)


def deep_tiff(pixels, order="<", deflated=False, planes=False):
    """One strip, or one per plane; every value that does not fit into its tag stands behind the tags."""
    height, width, channels = pixels.shape
    parts = [pixels[..., c] for c in range(channels)] if planes else [pixels]
    strips = [part.astype(f"{order}u2").tobytes() for part in parts]
    strips = [zlib.compress(strip) for strip in strips] if deflated else strips
    behind = 8 + 2 + 10 * 12 + 4
    bits, where, sizes = behind, behind + 2 * channels, behind + 2 * channels + 4 * len(strips)
    data = sizes + 4 * len(strips)
    offsets = [data + sum(map(len, strips[:k])) for k in range(len(strips))]
    lists = struct.pack(f"{order}{channels}H{2 * len(strips)}I", *[16] * channels, *offsets, *map(len, strips))
    tags = [(256, 1, width), (257, 1, height), (258, channels, bits), (259, 1, 8 if deflated else 1), (262, 1, 2)]
    tags += [(273, len(strips), where if planes else data), (277, 1, channels), (278, 1, height)]
    tags += [(279, len(strips), sizes if planes else len(strips[0])), (284, 1, 2 if planes else 1)]
    packed = [struct.pack(f"{order}HHII", tag, 3 if tag == 258 else 4, *rest) for tag, *rest in tags]
    start = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    return start + b"".join(packed) + struct.pack(f"{order}I", 0) + lists + b"".join(strips)


COLOURED = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint16)
DEEP = {
    "rgb.png": deep_png(COLOURED * 257),
    "rgba.png": deep_png(np.dstack([COLOURED * 257, np.full((3, 4), 65535, np.uint16)])),
    **{f"{o}.tif": deep_tiff(COLOURED * 257, order) for o, order in (("intel", "<"), ("motorola", ">"))},
    "deflated.tif": deep_tiff(COLOURED * 257, deflated=True),
    "planes.tif": deep_tiff(COLOURED * 257, deflated=True, planes=True),
}


@pytest.mark.parametrize("name", DEEP)
def test_colours_of_16_bits_are_scaled_and_refused_in_data_sets(tmp_path, name):
    (tmp_path / name).write_bytes(DEEP[name])
    picture = read_picture(tmp_path / name)
    np.testing.assert_array_equal(np.asarray(picture.rgb), COLOURED)
    assert picture.deep
    with pytest.raises(InputError, match=rf"{name}: pixels of more than 8 bits \(mode RGBA?;16[BLN]\); 8 bits per channel are"):
        read_image_files(tmp_path, {name: "a record"})


@pytest.mark.parametrize("order", "<>")
def test_uncompressed_planes_of_16_bits_are_refused(order):
    with pytest.raises(PictureError, match="16 bits per channel in separate planes, uncompressed"):
        read_picture(deep_tiff(COLOURED * 257, order, planes=True))


@pytest.mark.parametrize("suffix", ["bmp", "gif", "jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_ordinary_pictures_are_not_deep(tmp_path, suffix, mode):
    picture = Image.fromarray(GREY).convert(mode)
    picture.convert("L" if (suffix, mode) == ("jpg", "P") else mode).save(tmp_path / f"a.{suffix}")
    assert not read_picture(tmp_path / f"a.{suffix}").deep


def test_a_bitmap_of_5_6_and_5_bits_is_not_deep():
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0) + struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    content = b"BM" + struct.pack("<IHHI", 70, 0, 0, 66) + header + struct.pack("<HH", 0xF800, 0x1F)
    picture = read_picture(content)
    assert not picture.deep
    assert np.asarray(picture.rgb).tolist() == [[[255, 0, 0], [0, 0, 255]]]


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
