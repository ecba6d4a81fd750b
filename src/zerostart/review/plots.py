"""DVC's plots of several revisions: as its own page, and some of them as PNG files for the report."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import vl_convert

from zerostart.outputs import output_file
from zerostart.review.revisions import Revision, run_dvc
from zerostart.vega import PAGE, draw

CONFUSION, PRECISION = "confusion_refined", "average_precision"
"""Names of plots in dvc.yaml."""
PICTURES = ("plots/images/won.png", "plots/images/lost.png")
"""Of the whole folder DVC would write the names of another revision's files into its page as they are."""
AP_CHANGE = Path(__file__).with_name("ap_change.json")

START = "\n</head>\n<body>\n"
"""Of the page's own body (.dvc/plots/page.html); Vega's scripts have a `<body>` inside as well."""
STYLE = """<style>
article { line-height: 1.5; } article > p, article > ul { max-width: 900px; } article img { max-width: 100%; }
table { border-collapse: collapse; } th, td { border: 1px solid #ccc; padding: 3px 8px; text-align: left; }
pre { background: #f5f5f5; padding: 8px; overflow-x: auto; }
</style>
"""

Specification = dict[str, Any]


def specifications(revisions: list[Revision]) -> dict[str, Specification]:
    """The Vega-Lite specification of each of DVC's plots, with the data of all revisions in it."""
    names = [revision.name for revision in revisions]
    with TemporaryDirectory() as scratch:  # for pictures, which `write_page` asks for again
        drawn = json.loads(run_dvc("plots", "diff", "--json", "-o", scratch, "--", *names) or "{}").get("data", {})
    found = {name: shown[0]["content"] for name, shown in drawn.items() if shown and shown[0]["type"] == "vega"}
    for specification in found.values():  # DVC puts the workspace first, wherever it was named
        specification["data"]["values"].sort(key=lambda row: names.index(row["rev"]))
    return found


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


def harmless(page: str) -> str:
    """DVC's page with no `<` in its specifications: a class called `</script>` would end the script around them."""
    parts = []
    while True:
        before, assigned, page = page.partition("var spec = ")
        parts += [before, assigned]
        if not assigned:
            return "".join(parts)
        _, end = json.JSONDecoder().raw_decode(page)
        parts.append(page[:end].replace("<", "\\u003c"))  # stands in strings only
        page = page[end:]


def write_page(revisions: list[Revision], plots: list[str], folder: Path, report: str) -> None:
    """Write index.html, DVC's page of the named plots and of what was won and lost, with the report (HTML) on top."""
    targets = [*(f"dvc.yaml::{name}" for name in plots), *PICTURES]
    run_dvc("plots", "diff", "-o", str(folder), "--targets", *targets, "--", *[revision.name for revision in revisions])
    page = folder / "index.html"
    if not page.is_file():  # DVC writes none without plots
        empty = PAGE.read_text(encoding="utf-8").replace("{refresh_tag}", "")
        page.write_text(empty.replace("{plot_divs}", "<p>No revision has any.</p>"), encoding="utf-8", newline="\n")
    head, start, plots_of_dvc = page.read_text(encoding="utf-8").partition(START)
    plots_of_dvc = harmless(plots_of_dvc)
    article = f'<article style="flex: 1 0 100%">\n{report}</article>\n<h2 style="flex: 1 0 100%">All plots</h2>'
    page.write_text(f"{head}\n{STYLE}{start.strip()}\n{article}{plots_of_dvc}", encoding="utf-8", newline="\n")
