"""The parts of the report that have pictures: confusion matrices, AP per class, objects won and lost."""

from pathlib import Path

from zerostart.review import markdown
from zerostart.review.changed_objects import OBJECTS_FILE, CriticalObject, draw, find_changes, read_objects
from zerostart.review.judgement import Evaluation, Verdict
from zerostart.review.plots import (
    CONFUSION,
    PRECISION,
    Specification,
    ap_changes,
    draw_ap_changes,
    draw_confusion,
    rows_by_revision,
)
from zerostart.review.revisions import Revision

RAW = Path("data/raw")


def plot_sections(plots: dict[str, Specification], names: list[str], verdicts: list[Verdict], folder: Path) -> list[str]:
    """Confusion matrices side by side and the change of AP per class, drawn into `folder`; what is missing is said."""
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
    """The critical objects won and lost between the base and each other revision, drawn into `folder` if possible."""
    base, *others = zip(revisions, [read_objects(revision) for revision in revisions], strict=True)
    sections = ["## Critical defects won and lost\n"]
    for number, ((revision, table), evaluation, verdict) in enumerate(zip(others, evaluations[1:], verdicts, strict=True), 1):
        absent = [one.name for one, found in (base, (revision, table)) if found is None]
        if absent:
            sections.append(f"{OBJECTS_FILE} is missing in {', '.join(map(markdown.code, absent))}: not compared.\n")
        elif not verdict.same_test:
            sections.append(f"{base[0].name} and {revision.name}: not compared, see above.\n")
        else:
            raw = RAW / evaluation.samples.dataset
            sections.append(object_section((base[0].name, revision.name), (base[1], table), raw, folder, number))
    return sections


def object_section(
    names: tuple[str, str], tables: tuple[list[CriticalObject], list[CriticalObject]], raw: Path, folder: Path, number: int
) -> str:
    """The objects won and lost from the first to the second revision."""
    changes = find_changes(*tables)
    pictures = {}
    for kind, found in changes._asdict().items():
        if found and (sheet := draw(found, f"Critical objects {kind} by {names[1]}", names, raw)):
            pictures[kind] = f"{kind}_{number}.png"
            sheet.save(folder / pictures[kind])
    return markdown.objects(changes, *names, pictures)
