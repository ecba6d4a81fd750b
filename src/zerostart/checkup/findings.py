"""What every look at a checkout gives."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that was looked at."""

    subject: str
    found: str
    remedy: str | None = None
    """What to do about it; None where nothing is wrong."""


def listed(names: list[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
