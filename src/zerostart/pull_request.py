"""Show report/report.md in a pull request: `make publish`, from .github/workflows/experiment-report.yml.

It becomes the job's summary, and one comment that is updated with every push; pull requests from forks (no PULL_REQUEST in
the environment) get the summary only. Pictures cannot stand in either: they are in the uploaded folder.
"""

import os
import re
import subprocess
from pathlib import Path

from zerostart.errors import InputError, run_stage

REPORT = Path("report/report.md")
MARKER = "<!-- zerostart: experiment report -->"
"""The first line of the comment, by which it is found again."""
LIMIT = 60_000
"""Characters; GitHub refuses comments above 65,536."""
PICTURE = re.compile(r"^!\[(.*)\]\((.*)\)$", re.MULTILINE)


def comment(report: str, run_url: str) -> str:
    """The report with its pictures named instead of shown, cut where a comment would be too long."""
    text = PICTURE.sub(r"\1: `\2` in the folder", report)
    if len(text) > LIMIT:
        text = text[:LIMIT].rpartition("\n")[0] + "\n\n... the rest is in the folder."
    return f"{MARKER}\n{text}\nPictures and the page of all plots: the folder `experiment-report` of [this run]({run_url}).\n"


def publish_comment(body: str, repository: str, number: str) -> None:
    """Post the comment, or update the one that a former run has posted; raises InputError with what `gh` says."""
    comments = f"repos/{repository}/issues/{number}/comments"
    ours = f'.[] | select(.user.type == "Bot" and (.body | startswith("{MARKER}"))) | .id'
    found = _gh("api", "--paginate", comments, "--jq", ours).split()
    target = (
        ["--method", "PATCH", f"repos/{repository}/issues/comments/{found[0]}"] if found else ["--method", "POST", comments]
    )
    _gh("api", "--silent", *target, "--field", "body=@-", text=body)


def _gh(*arguments: str, text: str = "") -> str:
    done = subprocess.run(["gh", *arguments], input=text, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise InputError(f"gh {' '.join(arguments[:4])}: {' '.join(done.stderr.split())}")
    return done.stdout


def main() -> str:
    environment = os.environ
    for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_STEP_SUMMARY"):
        if name not in environment:
            raise InputError(f"{name}: not set; this runs in a GitHub workflow, which sets it")
    if not REPORT.is_file():
        raise InputError(f"{REPORT}: no such file; `make report BASE=...` writes it")
    repository = environment["GITHUB_REPOSITORY"]
    run_url = f"{environment['GITHUB_SERVER_URL']}/{repository}/actions/runs/{environment['GITHUB_RUN_ID']}"
    body = comment(REPORT.read_text(encoding="utf-8"), run_url)
    with Path(environment["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(body)
    if not environment.get("PULL_REQUEST"):
        return "summary written; no comment without PULL_REQUEST"
    publish_comment(body, repository, environment["PULL_REQUEST"])
    return f"summary and comment written: {len(body)} characters"


if __name__ == "__main__":
    run_stage(main)
