"""All defects of a data set at once, grouped by kind, and what was read in another way than it stands there."""

from dataclasses import dataclass, field
from pathlib import Path

from zerostart.errors import InputError

SHOWN = 3
"""Records that are named of each kind."""


@dataclass
class Findings:
    """What the readers and checks found in a data set.

    collect: keep the defects of single records for :meth:`refuse`; otherwise the first one is raised where it is found.
    """

    collect: bool = False
    defects: dict[str, list[str]] = field(default_factory=dict)
    """Kind: one sentence per record."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """Kind: the records that were read so."""

    def defect(self, kind: str, sentence: str) -> None:
        """A record that cannot be taken as it is; raises InputError with the sentence unless defects are collected."""
        if not self.collect:
            raise InputError(sentence)
        self.defects.setdefault(kind, []).append(sentence)

    def note(self, kind: str, source: str) -> None:
        """A record that was taken, though not literally."""
        self.notes.setdefault(kind, []).append(source)

    def refuse(self, folder: Path) -> None:
        """Raises InputError with every kind of defect: how many, the first three, and the setting that leaves them out."""
        sentences = [sentence for found in self.defects.values() for sentence in found]
        if len(sentences) < 2:
            for sentence in sentences:
                raise InputError(sentence)
            return
        lines = [f"{folder}: {len(sentences)} defects; `on_defect: skip` in the card leaves these records out"]
        for kind, found in self.defects.items():
            more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            lines.append(f"  {kind} ({len(found)}): {'; '.join(found[:SHOWN])}{more}")
        raise InputError("\n".join(lines))

    def left_out(self) -> dict[str, int]:
        """How many records of each kind of defect there were."""
        return {kind: len(found) for kind, found in sorted(self.defects.items())}

    def said(self) -> list[str]:
        """A line per kind of note and of defect that was left out."""
        noted = [f"note: {kind}: {len(found)}, first {found[0]}" for kind, found in self.notes.items()]
        return noted + [f"left out: {kind}: {len(found)}, first: {found[0]}" for kind, found in self.defects.items()]
