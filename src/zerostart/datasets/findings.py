"""All defects of a data set at once, grouped by kind, and what was read in another way than it stands there."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from zerostart.errors import LONGEST, InputError

SHOWN = 3
"""Records that are named of each kind."""
ROOM = 100
"""Characters for what stands before and after the sentence."""
SKIP = "`on_defect: skip` in the card"
"""The setting of a data set that leaves defective records out."""


@dataclass
class Findings:
    """What the readers and checks found in a data set.

    collect: keep what is wrong for :meth:`refuse`; otherwise the first defect is raised where it is found.
    """

    collect: bool = False
    setting: str | None = None
    """What leaves defective records out, for the sentence; None where nothing does."""
    defects: dict[str, dict[str, None]] = field(default_factory=dict)
    """Kind: one sentence per record that cannot be taken, in order and each once, as splits may share a file."""
    errors: dict[str, dict[str, None]] = field(default_factory=dict)
    """The same of what no setting accepts, as the whole makes no sense with it."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """Kind: the records that were read so."""

    def defect(self, kind: str, sentence: str) -> None:
        """A record that cannot be taken as it is; raises InputError with the sentence unless defects are collected."""
        self._keep(self.defects, kind, sentence)

    def error(self, kind: str, sentence: str) -> None:
        """As :meth:`defect`, for what has to be mended."""
        self._keep(self.errors, kind, sentence)

    def note(self, kind: str, source: str) -> None:
        """A record that was taken, though not literally."""
        self.notes.setdefault(kind, []).append(source)

    @contextmanager
    def as_defect(self, kind: str) -> Iterator[None]:
        """An InputError from inside becomes a defect; what follows it there is not done."""
        try:
            yield
        except InputError as error:
            self.defect(kind, str(error))

    @contextmanager
    def as_error(self, kind: str) -> Iterator[None]:
        """The same for :meth:`error`."""
        try:
            yield
        except InputError as error:
            self.error(kind, str(error))

    def refuse(self, place: Path, skipped: bool = False) -> None:
        """Raises InputError with every kind: how many, the first three, and the setting that leaves them out, if there is one.

        place: the folder or file that all of it is about. skipped: the setting is on, so that only errors count.
        """
        defects = {} if skipped else self.defects
        sentences = [sentence for found in (*defects.values(), *self.errors.values()) for sentence in found]
        if len(sentences) < 2:
            for sentence in sentences:
                raise InputError(sentence)
            return
        way_out, mark = "", ""
        if self.setting and defects:
            way_out = f"; {self.setting} leaves these records out"
            if self.errors:
                way_out, mark = f"{way_out}, but for those to be mended", ", to be mended"
        for most in (SHOWN, 1):  # fewer, where the terminal would cut kinds out of the middle
            lines = [f"{place}: {len(sentences)} defects{way_out}"]
            lines += [_line(kind, found, most) for kind, found in defects.items()]
            lines += [_line(kind, found, most, mark) for kind, found in self.errors.items()]
            if sum(map(len, lines)) + len(lines) <= LONGEST - ROOM:
                break
        raise InputError("\n".join(lines))

    def left_out(self) -> dict[str, int]:
        """How many records of each kind of defect there were."""
        return {kind: len(found) for kind, found in sorted(self.defects.items())}

    def said(self) -> list[str]:
        """A line per kind of note and of defect that was left out."""
        noted = [f"note: {kind}: {len(found)}, first {found[0]}" for kind, found in self.notes.items()]
        return noted + [f"left out: {kind}: {len(found)}, first: {next(iter(found))}" for kind, found in self.defects.items()]

    def _keep(self, kinds: dict[str, dict[str, None]], kind: str, sentence: str) -> None:
        if not self.collect:
            raise InputError(sentence)
        kinds.setdefault(kind, {})[sentence] = None


def _line(kind: str, found: Collection[str], most: int, mark: str = "") -> str:
    more = f"; and {len(found) - most} more" if len(found) > most else ""
    return f"  {kind} ({len(found)}{mark}): {'; '.join(islice(found, most))}{more}"
