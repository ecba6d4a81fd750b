"""Images reach the detector in order, at its size, as RGB in [0, 1]."""

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_detector import write_images

from zerostart.detector.pixels import image_batches, pixel_values, read_image
from zerostart.errors import InputError


@pytest.mark.parametrize("count", [1, 3, 4, 11])  # 11: more batches than are decoded ahead
def test_batches_come_in_order_and_the_last_may_be_partial(tmp_path, count):
    coco = write_images(tmp_path, count)
    batches = list(image_batches(coco, tmp_path, 32, batch_size=2))
    assert [len(batch) for batch in batches] == [2] * (count // 2) + [1] * (count % 2)
    expected = np.stack([read_image(tmp_path / image["file_name"], 32) for image in coco["images"]])
    assert np.array_equal(torch.cat(batches).numpy(), expected)
    assert batches[0].dtype == torch.uint8


def test_an_image_is_rgb_channels_first_and_stretched(tmp_path):
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, :10] = [200, 100, 50]  # the left half
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", 8)
    assert image.shape == (3, 8, 8)
    assert image[:, :, :3].reshape(3, -1).T.tolist() == [[200, 100, 50]] * 24
    assert not image[:, :, 5:].any()


def test_grayscale_becomes_three_equal_channels(tmp_path):
    Image.fromarray(np.full((6, 6), 77, np.uint8)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 6) == 77).all()


def broken_png() -> bytes:
    """A PNG whose header is cut to four bytes, with a correct checksum."""
    chunk = b"IHDR" + b"\0\0\0\1"
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk))


@pytest.mark.parametrize("content", [None, b"", b"text", broken_png(), "truncated", "huge"])
def test_an_unreadable_image_is_named(tmp_path, content, monkeypatch):
    coco = write_images(tmp_path, 5)
    path = tmp_path / coco["images"][4]["file_name"]
    reason = "not a readable image"
    if content is None:
        path.unlink()
        reason = "no such image"
    elif content == "truncated":
        path.write_bytes(path.read_bytes()[:500])
    elif content == "huge":
        Image.new("L", (300, 300)).save(path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40_000)
    else:
        path.write_bytes(content)
    batches = image_batches(coco, tmp_path, 32, batch_size=2)
    next(batches), next(batches)
    with pytest.raises(InputError, match=rf"{path.name}: {reason}"):
        next(batches)


def test_pixel_values_are_in_the_unit_interval():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1).repeat(2, 1, 4, 4)
    values = pixel_values(images)
    assert values.dtype == torch.float32
    assert values.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(values[0, :, 0, 0], torch.tensor([0.0, 0.2, 1.0]))
    assert images[0, 1, 0, 0] == 51
