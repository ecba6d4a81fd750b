"""The process that owns the models: one set, loaded at its start; for another set another process is started."""

import argparse
import mmap
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from zerostart.errors import InputError, printable
from zerostart.serving import frames
from zerostart.serving.children import channel_of_child
from zerostart.serving.options import CaseFilters, Look
from zerostart.serving.parts import Places

if TYPE_CHECKING:
    from zerostart.serving.model_set import ModelSet


def picture_of(file: int, size: list[int]) -> Image.Image:
    """A picture whose pixels are those of a file, not copied."""
    pixels = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
    return Image.frombuffer("RGB", tuple(size), pixels, "raw", "RGB", 0, 1)


def crop_of(image: Image.Image, box: list[float]) -> Image.Image:
    """What a box shows, at least one pixel."""
    left, top = min(int(box[0]), image.width - 1), min(int(box[1]), image.height - 1)
    right, bottom = max(left + 1, round(box[2])), max(top + 1, round(box[3]))
    return image.crop((left, top, min(right, image.width), min(bottom, image.height)))


def answer(models: "ModelSet", message: dict[str, Any], files: list[int]) -> dict[str, Any]:
    """Raises InputError for what a client has to change."""
    image = picture_of(files[0], message["size"]) if files else None
    if message["do"] == "about":
        return models.about
    if message["do"] == "inspect":
        return models.inspect(image, Look.model_validate(message["look"]))
    if image is not None and message["box"]:
        image = crop_of(image, message["box"])
    return models.cases(message["k"], CaseFilters.model_validate(message["filters"]), image, message["text"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("channel", type=int)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--tagger", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--runtime", choices=("onnx", "torch"), required=True)
    options = parser.parse_args()
    channel = channel_of_child()
    from zerostart.serving.model_set import (
        ModelSet,  # takes seconds, and from the line above on this process ends with its parent
    )

    models = ModelSet.load(Places(options.checkpoint, options.index, options.tagger), options.cache, options.runtime)
    while True:
        try:
            message, files = frames.receive(channel)
        except EOFError:
            return
        try:
            reply = answer(models, message, files)
        except InputError as error:
            reply = {"error": printable(str(error)), "status": 422}
        except Exception:
            traceback.print_exc(file=sys.stderr)
            reply = {"error": "this picture met a defect of the server, which its log describes", "status": 500}
        finally:
            for file in files:
                os.close(file)
        frames.send(channel, reply)


if __name__ == "__main__":
    main()
