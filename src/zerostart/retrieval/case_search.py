"""Search the cases on record from Python: `open_search(INDEX).find(text="long scratch on the door", k=5)`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from PIL import Image

from zerostart.datasets.pictures import open_rgb
from zerostart.errors import InputError
from zerostart.retrieval.embedding.embedders import Embedder, load_embedder
from zerostart.retrieval.embedding.mixing import mix
from zerostart.retrieval.embedding.probes import check_probe
from zerostart.retrieval.index.case_index import CaseIndex, open_index
from zerostart.retrieval.index.filters import Filters, allowed_cases
from zerostart.retrieval.params import MixParams

INDEX = "data/retrieval/index"


@dataclass(frozen=True)
class Hit:
    """One case on record."""

    crop_id: str
    distance: float
    """1 − cosine, 0 to 2."""
    context: str
    picture: Path
    zone: str
    damages: tuple[str, ...]
    severity: str


@dataclass(frozen=True)
class Search:
    """An index and the embedder that it was made with."""

    index: CaseIndex
    embedder: Embedder

    def find(
        self,
        image: str | Path | Image.Image | None = None,
        text: str | None = None,
        k: int = 5,
        filters: Filters | None = None,
        source: str | None = None,
    ) -> list[Hit]:
        """The k cases nearest to a picture, a sentence, or both (averaged) that pass the filters; fewer when there are fewer.

        source: only cases cut from pictures whose file name holds this text, whatever the case of its letters.
        Raises InputError for an unreadable picture, a text longer than the encoder's context, an unknown filter or value,
        and k < 1.
        """
        if k < 1:
            raise InputError(f"k is {k}; at least 1 is expected")
        allowed = allowed_cases(self.index.cases, filters) if filters else None
        if source:
            named = pc.match_substring(self.index.cases["source"], source, ignore_case=True).to_numpy()
            allowed = named if allowed is None else allowed & named
        rows, distances = self.index.search(self._query(image, text), k, allowed)
        hits = [(int(row), float(distance)) for row, distance in zip(rows[0], distances[0], strict=True) if row >= 0]
        return [self._hit(row, distance) for row, distance in hits]

    def _query(self, image: str | Path | Image.Image | None, text: str | None) -> np.ndarray:
        parts = []
        if image is not None:
            opened = open_rgb(image)
            parts.append(self.embedder.embed_images([("of the query", lambda: opened)]))
        if text is not None:
            if not text.strip():
                raise InputError("the text is empty; a sentence is expected")
            parts.append(self.embedder.embed_texts([text]))
        if not parts:
            raise InputError("a query is a picture (--image), a sentence (--text) or both")
        return parts[0] if len(parts) == 1 else mix(*parts, MixParams(strategy="average", alpha=1, beta=1))

    def _hit(self, row: int, distance: float) -> Hit:
        case = self.index.cases.slice(row, 1).to_pylist()[0]
        about = case["vehicle_zone"], tuple(case["damage_types"]), case["severity"]
        return Hit(case["crop_id"], distance, case["context"], self.picture(case["crop_id"]), *about)

    def picture(self, crop_id: str) -> Path:
        """Where the picture of a case lies."""
        return Path(self.index.about["pictures"]) / f"{crop_id}.jpg"


def open_search(folder: str | Path = INDEX) -> Search:
    """Open an index with its embedder; raises InputError when they do not belong together."""
    index = open_index(folder)
    embedder = load_embedder(index.about["embedder"])
    check_probe(embedder, index.probe, str(folder))
    return Search(index, embedder)
