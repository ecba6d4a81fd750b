"""Write outputs so that a killed run leaves nothing half-written and equal results are equal bytes."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zerostart.errors import InputError


@contextmanager
def output_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` when the block ends without an exception."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_new_folder(path: Path) -> None:
    """Raise InputError unless `path` does not exist or is an empty folder: a command replaces its output as a whole."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; a new folder is expected")
    if path.is_dir() and any(path.iterdir()):
        raise InputError(f"{path}: exists and is not empty; a new folder is expected")


@contextmanager
def output_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; it replaces `path` when the block ends without an exception."""
    path = Path(path).resolve()  # `.` has no name that a temporary one could be made of
    temporary, replaced = (path.with_name(f".tmp-{kind}{path.name}") for kind in ("", "old-"))
    for folder in (temporary, replaced):
        shutil.rmtree(folder, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            os.replace(path, replaced)  # removing it takes time: killed meanwhile, half a folder would stay at `path`
        os.replace(temporary, path)
    finally:
        for folder in (temporary, replaced):
            shutil.rmtree(folder, ignore_errors=True)


def rounded(value: Any, digits: int = 6) -> Any:
    """Round every float in a nested structure.

    Raises ValueError on NaN and infinity, which JSON does not know and DVC cannot compare.
    """
    if isinstance(value, dict):
        return {str(key): rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be written to JSON")
        return round(value, digits) + 0.0  # + 0.0 turns -0.0 into 0.0
    return value


def write_json(path: str | Path, value: Any, digits: int = 6) -> None:
    """Write JSON with sorted keys and floats rounded to `digits` decimals."""
    with output_file(path) as temporary:
        temporary.write_text(json.dumps(rounded(value, digits), indent=1, sort_keys=True) + "\n")
