"""The comment, against a `gh` that writes down what it was asked."""

import json
from pathlib import Path

import pytest

from zerostart import pull_request
from zerostart.errors import InputError

GH = """#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
case "$*" in
  *--jq*) printf '%s' "$EXISTING" ;;
  *) cat >> "$CALLS.body" ;;
esac
exit $STATUS
"""


@pytest.fixture
def workflow(tmp_path, monkeypatch):
    """The environment of a workflow; returns a function that reads the calls of `gh`."""
    monkeypatch.chdir(tmp_path)
    Path("report").mkdir()
    Path("report/report.md").write_text("# exp\n\n**better**\n\n![matrix](confusion.png)\n")
    Path("gh").write_text(GH)
    Path("gh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    values = {"GITHUB_SERVER_URL": "https://example.org", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "7"}
    values |= {"GITHUB_STEP_SUMMARY": "summary.md", "CALLS": "calls", "EXISTING": "", "STATUS": "0", "PULL_REQUEST": "12"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return lambda: Path("calls").read_text().splitlines() if Path("calls").exists() else []


def test_the_first_time_a_comment_is_posted(workflow):
    pull_request.main()
    listed, posted = workflow()
    assert listed.startswith("api --paginate repos/o/r/issues/12/comments --jq") and json.dumps(pull_request.MARKER) in listed
    assert posted == "api --silent --method POST repos/o/r/issues/12/comments --field body=@-"
    body = Path("calls.body").read_text()
    assert body == Path("summary.md").read_text()
    assert body.startswith(pull_request.MARKER)
    assert "matrix: `confusion.png` in the folder" in body and "![" not in body
    assert "(https://example.org/o/r/actions/runs/7)" in body


def test_later_it_is_updated(workflow, monkeypatch):
    monkeypatch.setenv("EXISTING", "345\n678\n")
    pull_request.main()
    assert workflow()[1:] == ["api --silent --method PATCH repos/o/r/issues/comments/345 --field body=@-"]


def test_forks_get_the_summary_only(workflow, monkeypatch):
    monkeypatch.setenv("PULL_REQUEST", "")
    assert pull_request.main().startswith("summary written; no comment")
    assert workflow() == [] and "**better**" in Path("summary.md").read_text()


def test_a_long_report_is_cut_at_a_line(workflow):
    body = pull_request.comment("one line\n" * 10_000, "https://example.org")
    assert len(body) < 65_536
    assert "one line\n\n... the rest is in the folder." in body


def test_refusals(workflow, monkeypatch):
    monkeypatch.setenv("STATUS", "1")
    with pytest.raises(InputError, match="gh api --paginate"):
        pull_request.main()
    Path("report/report.md").unlink()
    with pytest.raises(InputError, match=r"report\.md: no such file; `make report"):
        pull_request.main()
    monkeypatch.delenv("GITHUB_RUN_ID")
    with pytest.raises(InputError, match="GITHUB_RUN_ID: not set"):
        pull_request.main()
