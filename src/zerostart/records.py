"""The one reader of JSON and YAML files: whatever lies there, it gives plain values or one sentence, and never waits.

Only a regular file of a bounded size is read (a pipe would wait for its writer for ever), as UTF-8 with or without a byte
order mark. What readers of these formats disagree about is refused: a key given twice, where the last would win in silence;
NaN and infinity in JSON; numbers beyond 64 bits; half a surrogate pair, which no file can be written with. YAML's aliases are
counted for what they stand for: ten lines of them can be a billion values.
"""

import json
import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from zerostart.errors import InputError, shown

MOST_YAML = 4 << 20
"""Bytes of a YAML file, which people write."""
MOST_JSON = 1 << 30
"""Bytes of a JSON file; COCO's own annotations have 450 million."""
MOST_VALUES = 1_000_000
"""Of a YAML file, its aliases written out."""
DEEPEST = 100
"""Levels of nesting of a YAML file."""
WRONG_SHAPE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading values out of a JSON file of another shape raises: for the readers that name that shape."""


def read_yaml(path: str | Path, missing: str, foreign: bool = False) -> Any:
    """The content of a YAML file, None if it is empty.

    missing: what a user should know where there is no such file. foreign: another project's file, where of
    a key given twice the last one wins, as for that project. Raises InputError when it cannot be had.
    """
    return parse_yaml(_text(path, missing, MOST_YAML), path, foreign)


def parse_yaml(text: str, source: str | Path, foreign: bool = False) -> Any:
    """As :func:`read_yaml`, of a text that came from `source`."""
    loader = _Foreign if foreign else _Plain
    return _parsed(lambda: yaml.load(text, loader), source, "YAML")


def read_json(path: str | Path, missing: str) -> Any:
    """The content of a JSON file; `missing` as for :func:`read_yaml`. Raises InputError when it cannot be had."""
    return parse_json(_text(path, missing, MOST_JSON), path)


def checked_json(path: str | Path, missing: str) -> str:
    """The text of a JSON file that :func:`read_json` would read: for those who parse it into types of their own.

    They have to look for NaN and infinity, and can say where they stand.
    """
    text = _text(path, missing, MOST_JSON)
    _parsed(lambda: json.loads(text, object_pairs_hook=_distinct, parse_int=_small), path, "JSON")
    return text


def parse_json(text: str, source: str | Path) -> Any:
    """As :func:`read_json`, of a text that came from `source`."""
    value = _parsed(
        lambda: json.loads(
            text, object_pairs_hook=_distinct, parse_constant=_no_constant, parse_float=_finite, parse_int=_small
        ),
        source,
        "JSON",
    )
    if "\\ud" in text or "\\uD" in text:  # the only way to half a pair; looking through all values takes its time
        _parsed(lambda: json.dumps(value, ensure_ascii=False).encode(), source, "JSON")
    return value


def read_text(path: str | Path, missing: str, most: int = MOST_YAML) -> str:
    """A text file in UTF-8, of at most so many bytes; raises InputError when it cannot be had."""
    return _text(path, missing, most)


def _text(path: str | Path, missing: str, most: int) -> str:
    content = read_bytes(path, missing, most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}; UTF-8 is expected") from None


def read_bytes(path: str | Path, missing: str, most: int) -> bytes:
    """The content of a regular file of at most so many bytes; raises InputError when it cannot be had."""
    try:
        # without O_NONBLOCK, opening a pipe waits until somebody writes to it
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            kind = stat.S_IFMT(found.st_mode)
            if kind != stat.S_IFREG:
                raise InputError(f"{path}: is {KINDS.get(kind, 'a device')}; a file is expected")
            content = file.read(min(most, found.st_size + 65536) + 1)  # all of `most` would be allocated at once
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {missing}") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; a file is expected") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(content) > most:
        raise InputError(f"{path}: is larger than {most:,} bytes, the most that such a file may have")
    if stand_in := stands_for_another(content[:512]):
        raise InputError(f"{path}: {stand_in}")
    return content


def check_regular(path: str | Path) -> None:
    """For libraries that open a file themselves: raises InputError for what they would wait for, or name by its first byte.

    That is a pipe, a socket or a device; a pointer of Git LFS and a saved web page. What is missing they tell themselves.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
        start = b"" if kind != stat.S_IFREG else first_bytes(path)
    except (OSError, ValueError):
        return
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{path}: is {KINDS.get(kind, 'a device')}; a file is expected")
    if stand_in := stands_for_another(start):
        raise InputError(f"{path}: {stand_in}")


def first_bytes(path: str | Path) -> bytes:
    """The start of a file, by which :func:`stands_for_another` tells what it is; raises OSError."""
    with open(path, "rb") as file:
        return file.read(512)


def stands_for_another(start: bytes) -> str | None:
    """What a file that begins so is, where it lies in the place of the one that was meant; None when it may be that one."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself; `git lfs pull` fetches it"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a saved web page; the link behind it leads to the file"
    return None


KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFDIR: "a folder", stat.S_IFSOCK: "a socket"}


def _parsed(parse: Callable[[], Any], source: str | Path, kind: str) -> Any:
    try:
        return parse()
    except RecursionError:
        raise InputError(f"{source}: not valid {kind}: nested too deeply") from None
    except UnicodeEncodeError:
        raise InputError(f"{source}: not valid {kind}: half a surrogate pair (\\ud800 to \\udfff), which is no text") from None
    except (ValueError, LookupError, ArithmeticError, TypeError, AttributeError, yaml.YAMLError) as error:
        # PyYAML's constructors of dates and numbers raise whatever comes up
        raise InputError(f"{source}: not valid {kind}: {shown(' '.join(str(error).split()), most=300, quoted=False)}") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {shown(text, quoted=False)} is too large")
    return value


def _small(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (value := int(text)) < 2**63:
        raise ValueError(f"the number {shown(text, quoted=False)} is too large")
    return value


class _Foreign(yaml.SafeLoader):
    """A SafeLoader that neither grows without bounds nor gives what cannot be written again."""

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = self._values = 0
        self._values_of: dict[str, int] = {}
        """Of each anchor that is complete."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event, before = self.peek_event(), self._values
        is_alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        if self._depth > DEEPEST:
            raise RecursionError
        node = super().compose_node(parent, index)
        self._depth -= 1
        if is_alias and event.anchor not in self._values_of:
            raise yaml.YAMLError(f"the alias {shown(event.anchor)} in line {event.start_mark.line + 1} lies in what it names")
        self._values += self._values_of[event.anchor] if is_alias else 1
        if self._values > MOST_VALUES:
            raise yaml.YAMLError(
                f"line {event.start_mark.line + 1}: more than {MOST_VALUES:,} values, with aliases written out"
            )
        if event.anchor is not None:
            self._values_of[event.anchor] = self._values - before
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.YAMLError(f"plain keys are expected, line {key.start_mark.line + 1} has another one")
            self._check_keys(node)
        return super().construct_mapping(node, deep)

    def _check_keys(self, node: yaml.MappingNode) -> None:
        """Any keys are fine."""

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        text = self.construct_scalar(node)
        text.encode()  # raises UnicodeEncodeError for half a surrogate pair
        return text

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = node.value
        if len(text) > 80 or not -(2**63) <= (value := super().construct_yaml_int(node)) < 2**63:
            raise yaml.YAMLError(f"the number {shown(text, quoted=False)} in line {node.start_mark.line + 1} is too large")
        return value


class _Plain(_Foreign):
    """Our own files: every key once."""

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"the key {shown(key.value)} stands twice in one mapping, again in line {line}")
            seen.add(key.value)


for _name in ("str", "int"):
    _Foreign.add_constructor(f"tag:yaml.org,2002:{_name}", getattr(_Foreign, f"construct_yaml_{_name}"))
