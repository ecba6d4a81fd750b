"""Search the cases on record: `python -m zerostart.search --image X | --text "…" [--zone 4 --damage dent -k 5]`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from zerostart.datasets.pictures import open_rgb
from zerostart.errors import InputError, run_stage
from zerostart.outputs import check_sheet, write_sheet
from zerostart.retrieval.embedding.embedders import Embedder, load_embedder
from zerostart.retrieval.embedding.mixing import mix
from zerostart.retrieval.embedding.probes import check_probe
from zerostart.retrieval.index.case_index import CaseIndex, open_index
from zerostart.retrieval.index.filters import Filters, Value, allowed_cases
from zerostart.retrieval.judging.sheets import Tile, draw_sheet
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


@dataclass(frozen=True)
class Search:
    """An index and the embedder that it was made with."""

    index: CaseIndex
    embedder: Embedder

    def find(
        self, image: str | Path | Image.Image | None = None, text: str | None = None, k: int = 5, filters: Filters | None = None
    ) -> list[Hit]:
        """The k cases nearest to a picture, a sentence, or both (averaged) that pass the filters; fewer when there are fewer.

        Raises InputError for an unreadable picture, a text longer than the encoder's context, an unknown filter or value,
        and k < 1.
        """
        if k < 1:
            raise InputError(f"k is {k}; at least 1 is expected")
        allowed = allowed_cases(self.index.cases, filters) if filters else None
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
        picture = Path(self.index.about["pictures"]) / f"{case['crop_id']}.jpg"
        return Hit(case["crop_id"], distance, case["context"], picture)


def open_search(folder: str | Path = INDEX) -> Search:
    """Open an index with its embedder; raises InputError when they do not belong together."""
    index = open_index(folder)
    embedder = load_embedder(index.about["embedder"])
    check_probe(embedder, index.probe, str(folder))
    return Search(index, embedder)


def hit_tiles(hits: Sequence[Hit]) -> list[Tile]:
    """The results as cells of a picture sheet."""
    return [Tile(open_rgb(hit.picture), f"{hit.distance:.3f}  {hit.context}") for hit in hits]


def main(arguments: Sequence[str] | None = None) -> str:
    options = _parse(arguments)
    if options.k < 1:
        raise InputError(f"-k is {options.k}; at least 1 is expected")
    if options.image:
        open_rgb(options.image)  # before models are loaded
    check_sheet(options.sheet, options.image)
    given: dict[str, list[Value]] = {
        "vehicle_zone": options.zone,
        "damage_type": options.damage,
        "severity": options.severity,
        "has_damage": options.has_damage,
    }
    filters = {name: values for name, values in given.items() if values}
    hits = open_search(options.index).find(options.image, options.text, options.k, filters)
    if not hits:
        return "no case on record passes the filters"
    asked = Tile(open_rgb(options.image) if options.image else None, options.text or "query")
    write_sheet(options.sheet, draw_sheet([[asked, *hit_tiles(hits)]], options.text or "Query and results"))
    lines = [f"{rank:3d}  {hit.distance:.3f}  {hit.crop_id}  {hit.context}" for rank, hit in enumerate(hits, 1)]
    return "\n".join(["     dist.  crop     context", *lines, f"{options.sheet}: the pictures"])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zerostart.search", description="Search the cases on record.")
    parser.add_argument("--image", help="a crop to compare with")
    parser.add_argument("--text", help="a sentence to compare with")
    parser.add_argument("--zone", action="append", help="1 to 10, a zone's name, or unknown; may be repeated")
    parser.add_argument("--damage", action="append", help="a damage type; may be repeated")
    parser.add_argument("--severity", action="append", help="minor, moderate, severe or unknown; may be repeated")
    state = parser.add_mutually_exclusive_group()
    state.add_argument("--damaged", dest="has_damage", action="store_const", const=[True], help="cases with damage only")
    state.add_argument("--clean", dest="has_damage", action="store_const", const=[False], help="clean cases only")
    parser.add_argument("-k", type=int, default=5, help="number of results")
    parser.add_argument("--index", default=INDEX, help="folder of the index")
    parser.add_argument("--sheet", default="search.png", help="picture of the results")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_stage(main)
