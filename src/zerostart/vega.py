"""Draw Vega-Lite specifications to PNG, without a browser and with the same bytes each time."""

import json
from pathlib import Path
from typing import Any

import vl_convert

from zerostart.outputs import output_file


def draw(specification: str | Path, rows: list[dict[str, Any]], title: str, path: str | Path) -> None:
    """Write a PNG of a specification (a JSON file) whose "<ROWS>" and "<TITLE>" are filled in."""
    text = Path(specification).read_text(encoding="utf-8")
    text = text.replace('"<ROWS>"', json.dumps(rows)).replace('"<TITLE>"', json.dumps(title))
    with output_file(path) as temporary:
        temporary.write_bytes(vl_convert.vegalite_to_png(text, scale=2))


PAGE = Path(".dvc/plots/page.html")
"""`plots.html_template` in .dvc/config names this file."""
