"""Compare revisions of this repository in one folder: `python -m zerostart.report main` (or `make report BASE=main`).

The folder has report.md with its pictures, and index.html: DVC's page of all plots with the report on top, which needs no
network. Nothing but git is read; the changed images are drawn if the data set lies in data/raw.
"""

import argparse
from pathlib import Path

from markdown_it import MarkdownIt

from zerostart.errors import InputError, run_stage
from zerostart.outputs import output_folder
from zerostart.review import markdown
from zerostart.review.changed_objects import OBJECTS_FILE, draw, find_changes, read_objects
from zerostart.review.differences import find_differences
from zerostart.review.plots import (
    CONFUSION,
    PRECISION,
    Specification,
    ap_changes,
    draw_ap_changes,
    draw_confusion,
    rows_by_revision,
    specifications,
    write_page,
)
from zerostart.review.revisions import WORKSPACE, Revision, resolve, uncommitted
from zerostart.review.verdict import Evaluation, Verdict, judge, read_evaluation
from zerostart.staleness import find_stale

RAW = Path("data/raw")


def main() -> str:
    arguments = parse_arguments()
    out = Path(arguments.out)
    check_folder(out)
    revisions = resolve([arguments.base, *(arguments.revisions or [WORKSPACE])])
    names = [revision.name for revision in revisions]
    evaluations = [read_evaluation(revision) for revision in revisions]
    differences = find_differences(revisions)
    verdicts = [
        judge(evaluations[0], evaluation, differences.changed(column)) for column, evaluation in enumerate(evaluations[1:], 1)
    ]
    with output_folder(out) as folder:
        sections = [
            f"# {' and '.join(names[1:])} against {names[0]}\n",
            *(f"**{verdict.sentence}**\n" for verdict in verdicts),
            *(f"- Note: {note}\n" for note in notes(revisions)),
            markdown.introduction(evaluations),
            markdown.parameters(differences, names),
            markdown.metrics(differences.metrics, names, [verdict.same_test for verdict in verdicts]),
            *plot_sections(revisions, verdicts, folder),
            *object_sections(revisions, evaluations, verdicts, folder),
        ]
        text = "\n".join(sections)
        write_page(revisions, folder, MarkdownIt("js-default").render(text))
        (folder / "report.md").write_text(text, encoding="utf-8", newline="\n")
    return "\n".join([*(verdict.sentence for verdict in verdicts), f"{out}: report.md, index.html"])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zerostart.report", description="Compare revisions or experiments.")
    parser.add_argument("base", metavar="BASE", help="what the others are compared with: branch, tag, commit or experiment")
    parser.add_argument("revisions", metavar="REV", nargs="*", help="by default the workspace")
    parser.add_argument("--out", default="report", help="folder that is written, by default %(default)s")
    return parser.parse_args()


def check_folder(out: Path) -> None:
    """Refuse a folder that this command has not written: it will be replaced."""
    if out.exists() and not (out / "report.md").is_file():
        raise InputError(f"{out}: exists and is not a report; --out expects a new folder, or that of an earlier report")


def notes(revisions: list[Revision]) -> list[str]:
    """What a reader must know about the workspace, if it is one of the revisions."""
    if all(revision.commit for revision in revisions):
        return []
    found = []
    if changed := uncommitted():
        more = f" and {len(changed) - 8} more" if len(changed) > 8 else ""
        found.append(f"the workspace has changes that are not committed: {', '.join(map(markdown.code, changed[:8]))}{more}.")
    return found + [
        f"`dvc.lock` is stale, the numbers are not those of the files: {problem}." for problem in find_stale().experiment
    ]


def plot_sections(revisions: list[Revision], verdicts: list[Verdict], folder: Path) -> list[str]:
    """Confusion matrices side by side and the change of AP per class, as pictures; what is missing is said."""
    names = [revision.name for revision in revisions]
    plots = specifications(revisions, folder / "static")
    sections = ["## Confusion matrices\n", *missing(plots, CONFUSION, names)]
    if CONFUSION in plots:
        draw_confusion(plots[CONFUSION], folder / "confusion.png")
        sections.append("Rows: the actual class; columns: what was found there, at the detector's threshold.\n")
        sections.append(f"![confusion matrices of {', '.join(names)}](confusion.png)\n")
    sections += ["## AP per class\n", *missing(plots, PRECISION, names)]
    others = [name for name, verdict in zip(names[1:], verdicts, strict=True) if verdict.same_test]
    rows = ap_changes(plots[PRECISION], names[0], others) if PRECISION in plots else []
    if rows:
        draw_ap_changes(rows, names[0], folder / "ap_change.png")
        sections.append("![change of AP per class](ap_change.png)\n")
    elif not others:
        sections.append("Not compared, see above.\n")
    return sections


def missing(plots: dict[str, Specification], plot: str, names: list[str]) -> list[str]:
    """A sentence if some revision has no data for a plot."""
    present = rows_by_revision(plots[plot]) if plot in plots else {}
    absent = [name for name in names if name not in present]
    return [f"The plot `{plot}` is missing in {', '.join(map(markdown.code, absent))}.\n"] if absent else []


def object_sections(
    revisions: list[Revision], evaluations: list[Evaluation], verdicts: list[Verdict], folder: Path
) -> list[str]:
    """The critical objects won and lost between the base and each other revision."""
    sections = ["## Critical defects won and lost\n"]
    tables = [read_objects(revision) for revision in revisions]
    base = revisions[0].name
    for number, (revision, table, verdict) in enumerate(zip(revisions[1:], tables[1:], verdicts, strict=True), 1):
        absent = [r.name for r, found in ((revisions[0], tables[0]), (revision, table)) if found is None]
        if absent:
            sections.append(f"{OBJECTS_FILE} is missing in {', '.join(map(markdown.code, absent))}: not compared.\n")
        elif not verdict.same_test:
            sections.append(f"{base} and {revision.name}: not compared, see above.\n")
        else:
            changes = find_changes(tables[0], table)
            raw = RAW / (evaluations[number].samples.dataset if evaluations[number].samples else "")
            pictures = {}
            for kind, found in changes._asdict().items():
                title = f"Critical objects {kind} by {revision.name}"
                if found and (image := draw(found, title, (base, revision.name), raw)):
                    pictures[kind] = f"{kind}_{number}.png"
                    image.save(folder / pictures[kind])
            sections.append(markdown.objects(changes, base, revision.name, pictures))
    return sections


if __name__ == "__main__":
    run_stage(main)
