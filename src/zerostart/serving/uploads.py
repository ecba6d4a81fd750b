"""The form of an inspection: read with bounds on everything; the picture goes into memory when its turn comes."""

import os
import re
import shutil
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from zerostart.config import explain_problems
from zerostart.serving import frames
from zerostart.serving.options import Look
from zerostart.serving.refusals import Refusal
from zerostart.serving.store import Store

MOST_BYTES = 64 << 20
"""Of a request."""
MOST_FIELDS, MOST_FIELD = 64, 4096
LISTS = ("zone", "damage", "severity")
LONGEST_NAME = 120

FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "oneOf": [{"required": ["picture"]}, {"required": ["id"]}],
                    "properties": {
                        "id": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "Of a picture in the store"},
                        "picture": {"type": "string", "format": "binary", "description": "BMP, GIF, JPEG, PNG, TIFF or WebP"},
                        "engine": {"type": "string", "enum": ["baseline", "refined", "both"], "default": "both"},
                        "tiling": {"type": "string", "enum": ["1", "6", "grid"], "default": "1"},
                        "views": {"type": "string", "description": "With tiling 6: indices or names, separated by commas"},
                        "tags": {"type": "string", "enum": ["standard", "hd", "auto", "none"], "default": "auto"},
                        "part": {"type": "string", "maxLength": 200, "description": "Of what the picture shows"},
                        "k": {"type": "integer", "minimum": 0, "maximum": 50, "default": 5},
                        **{name: {"type": "array", "items": {"type": "string", "maxLength": 200}} for name in LISTS},
                    },
                },
                "encoding": {"picture": {"contentType": "image/*"}},
            }
        },
    }
}
"""For the OpenAPI document."""


class Upload:
    """A picture that was sent, on disk where it is large, and how to look at it."""

    def __init__(self, source: BinaryIO, name: str | None, look: Look):
        self.source, self.name, self.look = source, name, look

    @asynccontextmanager
    async def in_memory(self) -> AsyncIterator[int]:
        """A file in memory with the picture."""
        file = await run_in_threadpool(_in_memory, self.source)
        try:
            yield file
        finally:
            os.close(file)


@asynccontextmanager
async def read_upload(request: Request, store: Store) -> AsyncIterator[Upload]:
    """The form of `POST /v1/inspections`: a picture, or the id of one that the store has; raises Refusal."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Refusal(415, "a form (multipart/form-data) with the file `picture` is expected")
    try:
        form = await request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD)
    except Refusal:  # of what bounds the body
        raise
    except HTTPException as error:
        raise Refusal(400, f"the form cannot be read: {error.detail}") from None
    try:
        picture, known = form.get("picture"), form.get("id")
        look = _look({name: form.getlist(name) for name in form if name not in ("picture", "id")})
        if picture is None and isinstance(known, str):
            path, name = await run_in_threadpool(_stored, store, known)
            with path.open("rb") as content:
                yield Upload(content, name, look)
            return
        if not isinstance(picture, UploadFile) or known is not None:
            raise Refusal(
                422, "the form has no file `picture` or more beside it; either it or the `id` of a known one is expected"
            )
        if not picture.size:
            raise Refusal(415, "the file `picture` is empty; a picture is expected")
        yield Upload(picture.file, clean_name(picture.filename), look)
    finally:
        await form.close()


def _stored(store: Store, picture_id: str) -> tuple[Path, str | None]:
    """File and name of a picture."""
    known = store.inspection(picture_id) if re.fullmatch("[0-9a-f]{64}", picture_id) else None
    if known is None or not (path := store.picture(picture_id)).is_file():
        raise Refusal(404, "the store has no picture with this `id`")
    return path, known[1]["picture"]["file_name"]


def _look(fields: dict[str, list[Any]]) -> Look:
    if strange := [name for name in fields if name not in Look.model_fields]:
        raise Refusal(422, f"the form has a field {strange[0][:80]!r}; {', '.join(Look.model_fields)} are known")
    if twice := [name for name, values in fields.items() if len(values) > 1 and name not in LISTS]:
        raise Refusal(422, f"the field `{twice[0]}` is there twice; each is expected once")
    try:
        return Look.model_validate({name: values if name in LISTS else values[0] for name, values in fields.items()})
    except ValidationError as error:
        raise Refusal(422, explain_problems(error, "field")) from None


def _in_memory(source: BinaryIO) -> int:
    file = frames.memory_file("upload")
    try:
        with open(os.dup(file), "wb") as stream:
            source.seek(0)
            shutil.copyfileobj(source, stream, 1 << 20)
    except BaseException:
        os.close(file)
        raise
    return file


def clean_name(name: str | None) -> str | None:
    """The base name of a file as it may be shown: no folders, nothing invisible or that turns the direction of writing."""
    base = (name or "").replace("\\", "/").rpartition("/")[2]
    kept = "".join(c for c in base if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")).strip()
    return None if kept in ("", ".", "..") else kept[:LONGEST_NAME]
