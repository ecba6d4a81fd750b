"""The parts that a server answers with, the files that each is made of, and how their change is seen."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PARTS = ("detector", "index", "tagger")
MAKE = {"detector": "repro", "index": "retrieval", "tagger": "tagging"}
"""The `make` target of each part."""
Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Places:
    """Where the parts lie; paths are relative to a checkout's root."""

    checkpoint: Path | None
    """Of the detector: the pipeline's, or a folder of `save_pretrained`; None for the pipeline's last."""
    index: Path
    tagger: Path

    @property
    def weights(self) -> list[Path]:
        """What makes the detector's version."""
        return [self.checkpoint or Path("models/decoder_tuning"), Path("data/baseline")]

    def watched(self, part: str) -> list[Path]:
        """Files and folders whose change means that the part is another one."""
        if part == "detector":
            beside = ("data/coco/val.json", "data/prompts_expanded.json", "metrics/evaluate.json", "params.yaml")
            return [*self.weights, *map(Path, beside)]
        return [self.index, Path("models/retrieval_adapter")] if part == "index" else [self.tagger]


def files_of(places: Iterable[Path]) -> list[Path]:
    """All files of files and folders, those under construction left out."""
    found = []
    for place in places:
        found += [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sorted(path for path in found if not any(name.startswith(".tmp-") for name in path.parts))


def signature(places: Iterable[Path]) -> Signature:
    """What changes with the files, as far as the system knows; costs microseconds, where a hash would read them."""
    found = []
    for path in files_of(places):
        try:
            stat = path.stat()
        except FileNotFoundError:  # removed meanwhile
            continue
        found.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


def version(places: Iterable[Path], more: str = "") -> str:
    """12 hexadecimal digits of the SHA-256 over the files' names and bytes, and a text."""
    total = hashlib.sha256(more.encode())
    for path in files_of(places):
        with path.open("rb") as file:
            total.update(f"\0{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return total.hexdigest()[:12]
