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
from zerostart.review import judgement, plots, revisions
from zerostart.review.changed_objects import OBJECTS_FILE
from zerostart.staleness import Stale, find_stale

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


HOSTILE = "</script><img src=x onerror=alert(1)> *b* @all `c`"


def hostile():
    """A class is called like that."""
    for name in ("per_class", "pr", "confusion_refined", "confusion_baseline", "class_cosines", "critical_objects"):
        with open(f"plots/{name}.csv", newline="") as file:
            rows = [[HOSTILE if cell == "fracture" else cell for cell in row] for row in csv.reader(file)]
        with open(f"plots/{name}.csv", "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def defective():
    """Data with records that were left out, and a class that train does not show."""
    metrics = json.loads(Path("metrics/evaluate.json").read_text())
    metrics["data"] = {"left_out": {"box": 2, "image": 1}, "objects_in_train": {"dent": 0, "<img src=x>": 0}}
    Path("metrics/evaluate.json").write_text(json.dumps(metrics))


def hostile_pictures():
    """A picture is called like that, one of ours is missing."""
    Path("plots/images/won.png").rename('plots/images/"><img src=x onerror=alert(1)>.png')


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
        commit("hostile", hostile)
        commit("hostile-better", hostile, better)
        commit("other-objects", replace(OBJECTS_FILE, "images/", "../../"))
        commit("hostile-pictures", hostile_pictures)
        commit("defective", defective)
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


def test_html_and_markdown_in_names_stay_text(run):
    _, text, folder = run("hostile", "hostile-better")
    page = (folder / "index.html").read_text()
    page = page[page.index("\n<body>\n<article") :]
    assert "<img src=x" not in page and "\\u003c/script>\\u003cimg src=x" in page
    assert page.count("<script") == page.count("</script>") > 5
    assert "<img src=x" not in text and "@all" not in text and "*b*" not in text
    assert "&#60;/script&#62;&#60;img src=x onerror=alert(1)&#62; &#42;b&#42; &#64;all &#96;c&#96;" in text


def test_what_was_left_out_of_the_data_is_said(run):
    evaluations = [judgement.read_evaluation(revision) for revision in revisions.resolve(["main", "defective"])]
    assert report.about_data(evaluations) == [
        "`defective`: nothing was learned about &#60;img src=x&#62;, dent: no object in train.",
        "`defective`: 3 defective records were left out (box 2, image 1).",
    ]
    with pytest.raises(InputError, match=r"x of y: 'data' is \[1\]; counts of records and of objects are expected"):
        judgement._reservations([1], "x of y")


def test_names_of_another_revision_s_pictures_are_not_written(run):
    _, _, folder = run("main", "hostile-pictures")
    page = (folder / "index.html").read_text()
    page = page[page.index("\n<body>\n<article") :]
    assert "onerror" not in page and 'src="static/hostile-pictures_plots_images_lost.png"' in page
    assert 'src="static/main_plots_images_won.png"' in page and "hostile-pictures_plots_images_won" not in page
    assert not [path for path in folder.rglob("*") if "onerror" in path.name]


def test_a_table_of_objects_cannot_name_files_elsewhere(run):
    with pytest.raises(InputError, match=r"critical_objects\.csv of other-objects, line 2: an image's path"):
        run("main", "other-objects")


@pytest.mark.parametrize("name", ["<img>", "a`b", "a|b", "a b", "a\x1b[2J"])
def test_a_revision_whose_name_acts_in_html_or_markdown_is_refused(run, name):
    with pytest.raises(InputError, match="the hash of its commit is expected") as refused:
        revisions.resolve([name, "main"])
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("what", ["composite", "samples", "lock", "dataset"])
def test_broken_files_of_the_workspace_are_refused(run, monkeypatch, tmp_path, what):
    changes = {
        "composite": ("metrics/evaluate.json", "{", '{"composite": "0.5", "composite": 1}'),
        "samples": ("metrics/bootstrap.json", "{", "[" * 10**5),
        "lock": ("dvc.lock", "stages:", "stages: [1]\nstages2:"),
        "dataset": ("metrics/bootstrap.json", '"dataset": "synthetic"', '"dataset": "<img>"'),
    }
    name, old, new = changes[what]
    before = Path(name).read_text()
    Path(name).write_text(before.replace(old, new, 1))
    try:
        with pytest.raises(InputError, match=Path(name).name):
            run("main", "workspace")
    finally:
        Path(name).write_text(before)


def test_without_git_or_a_repository_it_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for command in (lambda: revisions.resolve(["main", "x"]), revisions.uncommitted, find_stale):
        with pytest.raises(InputError, match="not a git repository"):
            command()
    git("init", "-q")
    for command in (lambda: revisions.resolve(["main", "x"]), find_stale):
        with pytest.raises(InputError, match="a git repository with a commit is expected"):
            command()
    git("commit", "-q", "--allow-empty", "-m", "x")
    with pytest.raises(InputError, match=r"not inside of a DVC repository.*of git and DVC"):
        revisions.resolve(["HEAD", "x"])
    with pytest.raises(InputError, match=r"no dvc\.lock is in git"):
        find_stale()
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in (lambda: revisions.resolve(["main", "x"]), revisions.uncommitted, find_stale):
        with pytest.raises(InputError, match="git: no such program here"):
            command()


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


def test_a_shallow_clone_says_so(run, repository, tmp_path, monkeypatch):
    full = revisions.git("rev-parse", "main").strip()
    git("clone", "-q", "--depth", "1", "--branch", "better", f"file://{repository}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    for name in ("main", full, "better~1"):
        with pytest.raises(InputError, match=r"unknown revision; .*; this clone is shallow: `git fetch --unshallow` brings"):
            revisions.resolve([name, "better"])
    git("fetch", "--unshallow")
    assert revisions.resolve([full, "better"])[0].commit == full
    with pytest.raises(InputError) as refused:
        revisions.resolve(["nowhere", "better"])
    assert "shallow" not in str(refused.value)


def test_revisions_are_named_as_given_and_commits_shortened(run):
    full = revisions.git("rev-parse", "better").strip()
    (short,) = revisions.resolve([full])
    assert short.commit == full and full.startswith(short.name) and len(short.name) < 12
    assert short.read("params.yaml") != revisions.Revision("workspace", None).read("params.yaml")
    assert short.read("nothing.here") is None
