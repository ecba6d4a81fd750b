"""Search the cases on record: `python -m zerostart.search --image X | --text "…" [--zone 4 --damage dent -k 5]`."""

import argparse
from collections.abc import Sequence

from zerostart.datasets.pictures import open_rgb
from zerostart.errors import InputError, run_stage
from zerostart.outputs import check_sheet, write_sheet
from zerostart.retrieval.case_search import INDEX, Hit, Search, open_search
from zerostart.retrieval.index.filters import Value
from zerostart.retrieval.judging.sheets import Tile, draw_sheet

__all__ = ["Hit", "Search", "main", "open_search"]


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
