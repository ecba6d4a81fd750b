"""Compare revisions of this repository in one folder: `python -m zerostart.report main` (or `make report BASE=main`).

The folder has report.md with its pictures, and index.html: DVC's page of all plots with the report on top, which needs no
network. Nothing but git is read; the changed images are drawn if the data set lies in data/raw.
"""

import argparse
from pathlib import Path

from markdown_it import MarkdownIt

from zerostart.errors import run_stage
from zerostart.outputs import check_output_folder, output_folder
from zerostart.review import markdown
from zerostart.review.differences import find_differences
from zerostart.review.judgement import Evaluation, read_evaluation, verdict_on
from zerostart.review.plots import specifications, write_page
from zerostart.review.revisions import WORKSPACE, Revision, git, resolve, uncommitted
from zerostart.review.sections import object_sections, plot_sections
from zerostart.staleness import find_stale


def main() -> str:
    arguments = parse_arguments()
    out = Path(arguments.out)
    check_output_folder(out)
    revisions = resolve([arguments.base, *(arguments.revisions or [checked_out(arguments.base)])])
    names = [revision.name for revision in revisions]
    evaluations = [read_evaluation(revision) for revision in revisions]
    differences = find_differences(revisions)
    base, *others = evaluations
    verdicts = [verdict_on(base, other, differences.changed(column)) for column, other in enumerate(others, 1)]
    plots = specifications(revisions)
    with output_folder(out) as folder:
        sections = [
            f"# {' and '.join(names[1:])} against {names[0]}\n",
            *(f"**{verdict.sentence}**\n" for verdict in verdicts),
            *(f"- Note: {note}\n" for note in [*notes(revisions), *about_data(evaluations)]),
            markdown.introduction(evaluations),
            markdown.parameters(differences, names),
            markdown.metrics(differences.metrics, names, [verdict.same_test for verdict in verdicts]),
            *plot_sections(plots, names, verdicts, folder),
            *object_sections(revisions, evaluations, verdicts, folder),
            markdown.other_metrics(differences.metrics, names),
        ]
        text = "\n".join(sections)
        write_page(revisions, list(plots), folder, MarkdownIt("js-default").render(text))
        (folder / "report.md").write_text(text, encoding="utf-8", newline="\n")
    return "\n".join([*(verdict.sentence for verdict in verdicts), f"{out}: report.md, index.html"])


def about_data(evaluations: list[Evaluation]) -> list[str]:
    """What the data of each revision do not allow to be said."""
    return [f"`{one.name}`: {markdown.plain(said)}." for one in evaluations for said in one.reservations]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zerostart.report", description="Compare revisions or experiments.")
    parser.add_argument("base", metavar="BASE", help="what the others are compared with: branch, tag, commit or experiment")
    parser.add_argument("revisions", metavar="REV", nargs="*", help="by default what is checked out")
    parser.add_argument("--out", default="report", help="folder that is written, by default %(default)s")
    return parser.parse_args()


def checked_out(base: str) -> str:
    """The branch, `HEAD` without one; the workspace if it has changes of its own, or if the base is that branch."""
    branch = git("rev-parse", "--abbrev-ref", "HEAD").strip()
    return WORKSPACE if uncommitted() or branch == base else branch


def notes(revisions: list[Revision]) -> list[str]:
    """What a reader must know about the files as they lie there, if they are what is compared."""
    changed, commits = uncommitted(), {revision.commit for revision in revisions}
    if None not in commits and (changed or git("rev-parse", "HEAD").strip() not in commits):
        return []
    found = []
    if changed:
        more = f" and {len(changed) - 8} more" if len(changed) > 8 else ""
        found.append(f"the workspace has changes that are not committed: {', '.join(map(markdown.code, changed[:8]))}{more}.")
    return found + [f"`dvc.lock` is stale: {markdown.plain(problem)}." for problem in find_stale().experiment]


if __name__ == "__main__":
    run_stage(main)
