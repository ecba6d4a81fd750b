"""Numbers that README and docs quote, filled in from the files that say them: `python -m zerostart.quotes`.

Pages are written by people; what is generated stands between marks, which no reader of the rendered page sees:

    <!-- files: evaluate=metrics/evaluate.json -->                                 short names for the marks of this page
    by <!--= evaluate delta.mAP +.4f-->+0.0274<!--/--> on test                    a value: file, key, format
    <!--if evaluate delta.mAP > 0-->                                              what the words around it claim
    <!-- from: plots/ablation/synthetic/table.md table -->                        whole lines, up to the end mark
    <!-- end -->
    <!-- measured: how -->                                                        by hand: its numbers are in no file
    <!-- end -->

A key is a dotted path in JSON, `column?name=value&name=value` in CSV, where `sum(column)` adds up several rows; `[]` behind it
brings the interval as well. A format is Python's, with a factor before it where one is needed (`100*.1f`). The command writes
the present values, then names every claim that does not hold any more: that sentence is a person's to rewrite.
"""

import csv
import operator
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from zerostart.errors import InputError, run_stage
from zerostart.evaluation.verdict import table, verdict
from zerostart.outputs import output_file
from zerostart.records import read_json

VALUE = re.compile(r"<!--= (?P<file>\S+) (?P<key>\S+?)(?: (?P<form>\S+?))?-->(?P<now>.*?)<!--/-->", re.DOTALL)
CLAIM = re.compile(r"<!--if (?P<file>\S+) (?P<key>\S+) (?P<sign>\S+) (?P<bound>\S+?)(?P<now>)-->")
LINES = re.compile(r"^<!-- from: (?P<file>\S+)(?: (?P<part>\S+))? -->\n(?P<now>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)
FILES = re.compile(r"^<!-- files: (.+?) -->$", re.MULTILINE)
MEASURED = re.compile(r"^<!-- measured: .+? -->\n.*?^<!-- end -->$", re.MULTILINE | re.DOTALL)
SIGNS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge, "==": operator.eq}
INTERVAL_SIGNS: dict[str, Callable[[float, float, float], bool]] = {
    "includes": lambda low, high, bound: low <= bound <= high,
    "excludes": lambda low, high, bound: not low <= bound <= high,
}


class Quoted(NamedTuple):
    """A number, an interval or both; or a sentence."""

    value: float | str | None
    low: float | None = None
    high: float | None = None


def pages(root: Path) -> list[Path]:
    """The pages that quote."""
    return [*sorted(root.glob("README*.md")), *sorted((root / "docs").glob("*.md"))]


def filled(text: str, page: str, root: Path) -> tuple[str, list[str]]:
    """The page's text with the present values, and what is wrong with it, each in a sentence.

    Wrong are claims that do not hold, and marks that cannot be followed: they keep what they say. Raises InputError where a
    mark has no end.
    """
    _check_marks(text, page)
    names = dict(name.partition("=")[::2] for found in FILES.finditer(text) for name in found[1].split())
    problems: list[str] = []

    def replaced(found: re.Match) -> str:
        try:
            said = _present(found, root / names.get(found["file"], found["file"]))
        except InputError as error:
            problems.append(f"{_place(found, page)}: {error}")
            return found[0]
        start, end = (place - found.start() for place in found.span("now"))
        return found[0][:start] + said + found[0][end:]

    for pattern in (LINES, VALUE, CLAIM):
        text = pattern.sub(replaced, text)
    return text, problems


def _present(found: re.Match, path: Path) -> str:
    """What belongs into a mark; raises InputError when a claim does not hold."""
    if found.re is LINES:
        return part(path, found["part"])
    quoted = look_up(path, found["key"])
    if found.re is VALUE:
        return formatted(quoted, found["form"])
    if not holds(quoted, found["sign"], float(found["bound"])):
        said = f"the text says {found['key']} {found['sign']} {found['bound']}, {path} {formatted(quoted, '.6g')}"
        raise InputError(f"{said}: the sentence is to be rewritten")
    return ""


def _place(found: re.Match, page: str) -> str:
    return f"{page}, line {found.string.count(chr(10), 0, found.start()) + 1}"


def holds(quoted: Quoted, sign: str, bound: float) -> bool:
    """`value > bound` and the like, or `interval includes bound`."""
    if sign in INTERVAL_SIGNS and quoted.low is not None:
        return INTERVAL_SIGNS[sign](quoted.low, quoted.high, bound)
    if sign in SIGNS and quoted.value is not None:
        return SIGNS[sign](quoted.value, bound)
    raise InputError(f"'{sign}'; {', '.join(SIGNS)} for a number, {', '.join(INTERVAL_SIGNS)} for an interval is expected")


def formatted(quoted: Quoted, form: str | None) -> str:
    """`+0.0207 [+0.0129, +0.0291]`, or whatever of it there is; form: a format of Python, with a factor before it or not."""
    if isinstance(quoted.value, str):
        return quoted.value
    if form is None:
        raise InputError("a number needs a format, such as .4f or +.4f or 100*.1f")
    factor, _, spec = form.rpartition("*")

    def one(number: float) -> str:
        try:
            return format(number * float(factor or 1) if factor or "d" not in spec else int(number), spec)
        except ValueError:
            raise InputError(f"'{form}' is no format; .4f or +.4f or 100*.1f is expected") from None

    interval = "" if quoted.low is None else f"[{one(quoted.low)}, {one(quoted.high)}]"
    return " ".join(filter(None, ["" if quoted.value is None else one(quoted.value), interval]))


def look_up(path: Path, key: str) -> Quoted:
    """What a file says under a key; raises InputError naming what there is instead."""
    with_interval = "[]" in key
    key = key.replace("[]", "")
    return (_from_csv if path.suffix == ".csv" else _from_json)(path, key, with_interval)


def _from_json(path: Path, key: str, with_interval: bool) -> Quoted:
    outer, found, rest = {}, _read(path), key
    while rest:
        name = next((name for name in found if rest == name or rest.startswith(f"{name}.")), None) if _is(found) else None
        if name is None:
            raise InputError(f"{path}: no {key!r}; there is {_content(found)}")
        outer, found, rest = found, found[name], rest[len(name) + 1 :]
    if with_interval:
        bounds = next((outer[name] for name in ("interval", "intervals") if _is(outer.get(name))), {}).get(key.split(".")[-1])
        if bounds is None:
            raise InputError(f"{path}: no interval beside {key!r}")
        return Quoted(found, *_bounds(bounds))
    if _is(found) and "value" in found and "interval" in found:
        return Quoted(found["value"], *_bounds(found["interval"]))
    if _is(found) and {"low", "high"} <= set(found):
        return Quoted(found.get("delta"), *_bounds(found))
    if isinstance(found, list) and len(found) == 2:
        return Quoted(None, *found)
    if not isinstance(found, int | float | str):
        raise InputError(f"{path}: {key!r} is no number; there is {_content(found)}")
    return Quoted(found)


def _content(value: Any) -> str:
    return ", ".join(value) if _is(value) else repr(value)


def _is(value: Any) -> bool:
    return isinstance(value, dict)


def _bounds(found: dict | list) -> tuple[float, float]:
    return (found["low"], found["high"]) if _is(found) else tuple(found)


def _from_csv(path: Path, key: str, with_interval: bool) -> Quoted:
    column, _, conditions = key.partition("?")
    wanted = dict(condition.partition("=")[::2] for condition in conditions.split("&") if condition)
    total = re.fullmatch(r"sum\((.+)\)", column)
    column = total[1] if total else column
    header, rows = _read(path)
    names = [column, *([f"{column}_low", f"{column}_high"] if with_interval else [])]
    if missing := [name for name in (*names, *wanted) if name not in header]:
        raise InputError(f"{path}: no column {missing[0]!r}; there is {', '.join(header)}")
    found = [row for row in rows if all(_same(row[name], value) for name, value in wanted.items())]
    if not found or (len(found) > 1 and not total):
        raise InputError(f"{path}: {len(found)} rows for {conditions or 'no condition'}; one is expected")
    return Quoted(*(sum(float(row[name]) for row in found) for name in names))


def _same(given: str, wanted: str) -> bool:
    try:
        return float(given) == float(wanted)
    except ValueError:
        return given == wanted


def part(path: Path, name: str | None) -> str:
    """Whole lines: of an evaluation its `comparison`; of a Markdown file its `sentence`, its `table` or everything."""
    if name == "comparison":
        metrics = _read(path)
        said = "".join(f"    {line}\n" for line in f"{table(metrics)}\n{verdict(metrics)}".split("\n"))
    elif path.suffix == ".md" and name in (None, "sentence", "table"):
        lines = _read(path).splitlines(keepends=True)
        said = "".join(line for line in lines if name is None or line.startswith("|") == (name == "table")).strip("\n") + "\n"
    else:
        raise InputError(f"{path}: no part {name!r}; comparison, or sentence or table of a Markdown file, is expected")
    return f"\n{said}\n" if said.startswith("    ") else said


def _read(path: Path) -> Any:
    """JSON, a CSV file as its header and rows, or the text of anything else."""
    if path.suffix == ".json":
        return read_json(path, "the pages quote it")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if path.suffix != ".csv":
        return text
    reader = csv.DictReader(text.splitlines())
    return reader.fieldnames or [], list(reader)


def _check_marks(text: str, page: str) -> None:
    for found in re.finditer(r"^[ \t]*(?:[-*+] |\d+\. )?<!--(?:= |if )", text, re.MULTILINE):
        raise InputError(
            f"{_place(found, page)}: a line that begins with a mark is shown as HTML; a word before it is expected"
        )
    complete = [found.start() for pattern in (VALUE, CLAIM, LINES, MEASURED) for found in pattern.finditer(text)]
    for found in re.finditer(r"<!--(?:= |if | from:| measured:)", text):
        if found.start() not in complete:
            raise InputError(f"{_place(found, page)}: this mark is not complete, or has no end")
    for end, patterns in (("<!--/-->", (VALUE,)), ("<!-- end -->", (LINES, MEASURED))):
        if text.count(end) != sum(len(pattern.findall(text)) for pattern in patterns):
            raise InputError(f"{page}: an {end} without its beginning, or a mark inside another")


def unquoted_numbers(text: str) -> Iterator[str]:
    """Results that stand outside of all marks: numbers with three or more decimals."""
    for pattern in (LINES, VALUE, MEASURED):
        text = pattern.sub("", text)
    yield from re.findall(r"(?<![\w.])[+-]?\d+\.\d{3,}\b(?!\.?\w)", text)


def main() -> str:
    root, only_check = Path(), sys.argv[1:] == ["--check"]
    if sys.argv[1:] not in ([], ["--check"]):
        raise InputError("usage: python -m zerostart.quotes [--check]")
    if not (found := pages(root)):
        raise InputError("README.md: no such file; the repository's root is expected as the working directory")
    problems, changed = [], []
    for page in found:
        before = page.read_text(encoding="utf-8")
        after, wrong = filled(before, page.as_posix(), root)
        problems += wrong
        if after != before:
            changed.append(page.as_posix())
            if not only_check:
                with output_file(page) as temporary:
                    temporary.write_text(after, encoding="utf-8")
    if only_check and changed:
        problems.append(
            f"{', '.join(changed)}: other numbers than the files'; `python -m zerostart.quotes` writes the present ones"
        )
    if problems:
        raise InputError("\n".join(problems))
    return f"{len(found)} pages: {', '.join(changed) or 'nothing'} changed"


if __name__ == "__main__":
    run_stage(main)
