"""The process that opens what strangers send: hostile bytes in, upright RGB pixels out, nothing else.

It can be killed at any moment: it holds no model, no secret and no file of its own. Its memory is limited by the system.
"""

import io
import mmap
import os
import resource
import sys

import numpy as np
from PIL import Image

from zerostart.datasets.pictures import FORMATS, PictureError, read_picture
from zerostart.serving import frames
from zerostart.serving.children import channel_of_child

ANIMATED = ("GIF", "PNG", "TIFF", "WEBP")
"""Formats with several pictures in one file; a telephone's JPEG with a preview behind it (MPO) is one picture."""
QUALITY = 92


def decode(content: bytes) -> Image.Image:
    """The one picture of a file, as :func:`zerostart.datasets.pictures.read_picture` sees it; raises PictureError."""
    if _has_several(content):
        raise PictureError("an animation, or a file of several pages; one picture is expected")
    return read_picture(content).rgb


def _has_several(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.format == "TIFF":
                return image.tag_v2.next != 0  # where the next page lies; counting them would walk through all
            return image.format in ANIMATED and getattr(image, "is_animated", False)
    except Exception:  # what is wrong with the file itself is for the reader to say
        return False


def answer(message: dict, file: int) -> tuple[dict, int | None]:
    """To `as: pixels` the size, and a file of H·W·3 bytes; to `as: jpeg` the size, and the picture as a JPEG."""
    with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as mapped:
        content = bytes(mapped)
    try:
        image = decode(content)
        return {"size": list(image.size)}, _written(image, message["as"])
    except PictureError as error:
        return {"error": f"the picture cannot be used: {error}", "status": 415}, None
    except MemoryError:
        return {"error": "the picture cannot be used: decoding it takes more memory than is allowed here", "status": 413}, None


def _written(image: Image.Image, kind: str) -> int:
    file = frames.memory_file(kind)
    try:
        if kind == "jpeg":
            with open(os.dup(file), "wb") as stream:
                image.save(stream, "JPEG", quality=QUALITY)
        else:
            frames.write_all(file, np.ascontiguousarray(image).data)
    except BaseException:
        os.close(file)
        raise
    return file


def main() -> None:
    channel = channel_of_child()
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            message, files = frames.receive(channel)
        except EOFError:
            return
        reply, out = answer(message, files[0])
        os.close(files[0])
        frames.send(channel, reply, [] if out is None else [out])
        if out is not None:
            os.close(out)


if __name__ == "__main__":
    main()
