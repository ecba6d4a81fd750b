"""The report of a small repository with several branches, which has this one's results and no data."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from zerostart import report
from zerostart.errors import InputError
from zerostart.review import plots, revisions
from zerostart.review.changed_objects import OBJECTS_FILE
from zerostart.staleness import Stale

ROOT = Path(__file__).parents[1]
COPIED = (
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvc/plots",
    ".gitignore",
    "data/prompts",
    "dvc.lock",
    "dvc.yaml",
    "metrics",
    "params.yaml",
    "plots",
)


def git(*arguments):
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def commit(branch, *changes):
    """A branch from main on which each of `changes` (a function) has been done."""
    git("checkout", "-q", "-b", branch, "main")
    for change in changes:
        change()
    git("add", "-A")
    git("commit", "-q", "--allow-empty", "-m", branch)
    git("checkout", "-q", "main")


def replace(path, old, new):
    def change():
        text = Path(path).read_text()
        assert old in text
        Path(path).write_text(text.replace(old, new))

    return change


def better():
    """Every resample and the composite are 0.01 higher; the first missed critical object is found."""
    metrics, samples = (json.loads(Path(f"metrics/{name}.json").read_text()) for name in ("evaluate", "bootstrap"))
    metrics["composite"] += 0.01
    for name in ("mAP", "AR_critical"):
        samples["refined"][name] = [value + 0.01 for value in samples["refined"][name]]
    Path("metrics/evaluate.json").write_text(json.dumps(metrics))
    Path("metrics/bootstrap.json").write_text(json.dumps(samples))
    with open(OBJECTS_FILE, newline="") as file:
        header, *rows = csv.reader(file)
    next(row for row in rows if not row[7])[7] = "0.9000"
    with open(OBJECTS_FILE, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    shutil.rmtree(folder / "plots/ablation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        git("init", "-q", "-b", "main")
        git("add", "-A")
        git("commit", "-q", "-m", "main")
        other_words = replace("data/prompts/synthetic.yaml", "soft shadow", "<b>soft|shade</b>")
        commit("better", better, replace("params.yaml", "alpha_init: 0.0", "alpha_init: 0.25"), other_words)
        commit(
            "no-plots", *(Path(f"plots/{name}.csv").unlink for name in ("confusion_refined", "per_class", "critical_objects"))
        )
        commit("other-data", replace("metrics/bootstrap.json", '"dataset": "synthetic"', '"dataset": "neu-det"'))
        commit("before", Path("metrics/bootstrap.json").unlink, Path("metrics/evaluate.json").unlink)
        commit("same")
        git("checkout", "-q", "same")
    return folder


@pytest.fixture
def run(repository, monkeypatch, tmp_path):
    monkeypatch.chdir(repository)

    def run(*arguments, out="report"):
        monkeypatch.setattr(sys, "argv", ["report", *arguments, "--out", str(tmp_path / out)])
        printed = report.main()
        return printed, (tmp_path / out / "report.md").read_text(), tmp_path / out

    return run


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_revisions_twice_the_same_bytes(run, repository):
    _, text, folder = run("main", "better")
    first = contents(folder)
    assert contents(run("main", "better", out="again")[2]) == first
    assert not any(str(repository).encode() in content for content in first.values())

    assert "composite +0.0100, 95 % interval [+0.0100, +0.0100]: it excludes 0, `better` is better" in text
    assert "| `alpha_init` | `0.0` | `0.25` |" in text
    assert "+    - a shallow concave dent with a <b>soft|shade</b> on one side" in text
    assert "**won**, found by better and missed by main: 1 (1 " in text and "- fracture in images/" in text
    for picture in ("confusion.png", "ap_change.png"):
        assert f"]({picture})" in text
        assert Image.open(folder / picture).size[0] > 600

    page = (folder / "index.html").read_text()
    start = page.index("\n<body>\n<article")
    assert "<b>soft" not in page[start:] and "&lt;b&gt;soft|shade" in page[start:]
    assert start < page.index('<img src="confusion.png"') < page.index('id = "confusion_refined"')
    assert 'src="static/better_plots_images_won.png"' in page
    assert "https://cdn" not in page[start:]


def test_what_is_missing_or_of_other_data_is_not_compared_as_if_equal(run):
    printed, text, _ = run("main", "same", "no-plots", "other-data", "before")
    same, no_plots, other_data, before = printed.splitlines()[:4]
    assert "`same` against `main`: no differences at all" in same
    assert "`no-plots` against `main`: no differences at all" in no_plots
    for plot in ("The plot `confusion_refined`", "The plot `average_precision`", OBJECTS_FILE):
        assert f"{plot} is missing in `no-plots`" in text
    assert "not compared, another data set: `main` was judged on synthetic, `other-data` on neu-det" in other_data
    assert "`before` against `main`: not compared, because `before` has no composite in metrics/evaluate.json" in before
    assert "| metric | main | same | difference | no-plots | difference | other-data | before | what it is |" in text
    assert "main and other-data: not compared, see above." in text


def test_a_page_without_any_plot(run, tmp_path, monkeypatch):
    """DVC writes no page then: the report still has one, from the same template."""
    monkeypatch.setattr(plots, "run_dvc", lambda *_: "")
    assert plots.specifications(revisions.resolve(["main", "same"])) == {}
    plots.write_page([], [], tmp_path, "<h1>only words</h1>")
    page = (tmp_path / "index.html").read_text()
    assert "<h1>only words</h1>" in page and "No revision has any." in page and "{plot_divs}" not in page


def test_a_dirty_workspace_and_a_stale_lock_are_said(run, monkeypatch):
    """The sentences of the staleness check are its own; here they are only passed on."""
    monkeypatch.setattr(report, "find_stale", lambda: Stale(["params.yaml: tau was changed"], ["another pipeline"]))
    stale = "`dvc.lock` is stale: params.yaml: tau was changed."
    compared = revisions.resolve(["main", "workspace"])
    assert report.notes(compared) == [stale]
    Path("notes.txt").write_text("not committed")
    try:
        assert report.notes(compared) == ["the workspace has changes that are not committed: `notes.txt`.", stale]
        assert report.checked_out("main") == "workspace"
        assert report.notes(revisions.resolve(["main", "same"])) == []  # what is committed does not depend on it
    finally:
        Path("notes.txt").unlink()
    assert report.notes(revisions.resolve(["main", "same"])) == [stale]  # it is what is checked out
    assert report.notes(revisions.resolve(["main", "better"])) == []


def test_what_is_compared_by_default(run):
    assert report.checked_out("main") == "same"
    assert report.checked_out("same") == "workspace"


def test_refusals(run, tmp_path):
    with pytest.raises(InputError, match="'nowhere': unknown revision; a branch, tag, commit, experiment"):
        run("main", "nowhere")
    with pytest.raises(InputError, match="main main: each revision is expected once"):
        run("main", "main")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/report.md").write_text("not ours")
    with pytest.raises(InputError, match=r"mine: holds 'report\.md', which no command of zerostart wrote there"):
        run("main", "better", out="mine")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_revisions_are_named_as_given_and_commits_shortened(run):
    full = revisions.git("rev-parse", "better").strip()
    (short,) = revisions.resolve([full])
    assert short.commit == full and full.startswith(short.name) and len(short.name) < 12
    assert short.read("params.yaml") != revisions.Revision("workspace", None).read("params.yaml")
    assert short.read("nothing.here") is None
