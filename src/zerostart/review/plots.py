"""DVC's plots of several revisions: as its own page, and some of them as PNG files for the report."""

import json
from pathlib import Path
from typing import Any

import vl_convert

from zerostart.outputs import output_file
from zerostart.review.revisions import Revision, run_dvc
from zerostart.vega import draw

CONFUSION, PRECISION = "confusion_refined", "average_precision"
"""Names of plots in dvc.yaml."""
AP_CHANGE = Path(__file__).with_name("ap_change.json")

STYLE = """<style>
article { line-height: 1.5; } article > p, article > ul { max-width: 900px; } article img { max-width: 100%; }
table { border-collapse: collapse; } th, td { border: 1px solid #ccc; padding: 3px 8px; text-align: left; }
pre { background: #f5f5f5; padding: 8px; overflow-x: auto; }
</style>
"""

Specification = dict[str, Any]


def specifications(revisions: list[Revision], scratch: Path) -> dict[str, Specification]:
    """The Vega-Lite specification of each of DVC's plots, with the data of all revisions in it; scratch: a folder."""
    found = json.loads(run_dvc("plots", "diff", "--json", "-o", str(scratch), *[r.name for r in revisions]) or "{}")
    drawn = found.get("data", {})
    return {name: shown["content"] for name, (shown, *_) in drawn.items() if shown["type"] == "vega"}


def rows_by_revision(specification: Specification) -> dict[str, list[dict[str, str]]]:
    """The data of a plot by the revision that they are of."""
    rows: dict[str, list[dict[str, str]]] = {}
    for row in specification["data"]["values"]:
        rows.setdefault(row["rev"], []).append(row)
    return rows


def draw_confusion(specification: Specification, path: Path) -> None:
    """Draw the confusion matrices of all revisions, side by side."""
    with output_file(path) as temporary:
        temporary.write_bytes(vl_convert.vegalite_to_png(json.dumps(specification), scale=2))


def ap_changes(specification: Specification, base: str, others: list[str]) -> list[dict[str, Any]]:
    """Change of the refined detector's AP by class and revision, for the classes that both have."""
    ap = {
        name: {row["class"]: float(row["AP"]) for row in rows if row["detector"] == "refined"}
        for name, rows in rows_by_revision(specification).items()
    }
    return [
        {"class": class_name, "revision": name, "change": round(ap[name][class_name] - old, 6)}
        for class_name, old in ap.get(base, {}).items()
        for name in others
        if class_name in ap.get(name, {})
    ]


def draw_ap_changes(rows: list[dict[str, Any]], base: str, path: Path) -> None:
    """Draw them as bars."""
    draw(AP_CHANGE, rows, f"Change of AP per class from {base}, refined detector", path)


def write_page(revisions: list[Revision], folder: Path, report: str) -> None:
    """Write DVC's page of all plots, index.html with its pictures, and put the report (HTML) on top of it."""
    run_dvc("plots", "diff", "-o", str(folder), *[r.name for r in revisions])
    page = folder / "index.html"
    before, body, after = page.read_text(encoding="utf-8").partition("<body>")
    article = f'<article style="flex: 1 0 100%">\n{report}</article>\n<h2 style="flex: 1 0 100%">All plots</h2>'
    page.write_text(f"{before}{STYLE}{body}\n{article}{after}", encoding="utf-8", newline="\n")
