"""What a tracker is told of a revision is what git keeps of it, to the last digit."""

import json
import posixpath
import re
from pathlib import Path

import pytest
from experiments_sample import git, make_experiments
from hypothesis import given
from hypothesis import strategies as st

from zerostart.errors import InputError
from zerostart.review.revisions import experiments, resolve
from zerostart.trackers import run_record
from zerostart.trackers.run_record import accepted_name, read_record


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    make_experiments(folder, 2)
    return folder


@pytest.fixture(autouse=True)
def here(repository, monkeypatch):
    monkeypatch.chdir(repository)


def test_a_record_by_hand():
    """Of exp-1, as `write_results(1)` wrote it."""
    record = read_record(resolve(["exp-1"])[0])
    assert record.params == {
        "dataset": "parts",
        "seed": "1",
        "live": "false",
        "test_flips": "all",
        "merge_iou": "0.8",
        "lr.warmup": "2e-05",
        "tagging/epochs": "7",
    }
    assert record.metrics == {
        "evaluate/composite": 0.9 + 1 / 7e6,
        "evaluate/interval.composite.low": -0.003195,
        "evaluate/interval.composite.high": 0.029076,
        "evaluate/threshold.baseline": 0.3,
        "evaluate/threshold.refined": 0.2,
        "evaluate/temperature.baseline": 1.0,
        "evaluate/temperature.refined": 1.0,
        "warmup/best_epoch": 1.0,
        "warmup/val.mAP": 0.25,
        "tagging/evaluate/mAP": 0.4,
        "tagging/evaluate/intervals.mAP.low": 0.1,
        "tagging/evaluate/intervals.mAP.high": 0.7,
    }
    assert record.curves == {
        "curves/warmup/loss": [(0, 0.5), (1, 0.333333), (2, 0.25)],
        "curves/warmup/mAP": [(1, 0.5), (2, 0.5)],
    }
    assert record.chosen == {"warmup": 1}
    assert {"params.yaml", "plots/images/won.png", "plots/per_class.csv", "metrics/evaluate.json"} <= record.files.keys()
    assert record.time == 1000 * int(git("show", "-s", "--format=%ct", record.commit))


def test_experiments_are_found_whatever_is_checked_out():
    assert {revision.name for revision in experiments()} == {"exp-0", "exp-1"}
    assert {revision.commit for revision in experiments()} == {revision.commit for revision in resolve(["exp-0", "exp-1"])}


def test_the_digest_is_of_the_content_and_not_of_the_name():
    record = read_record(resolve(["exp-1"])[0])
    assert record._replace(name="other").digest == record.digest
    assert record._replace(metrics=record.metrics | {"evaluate/composite": 0.0}).digest != record.digest


def test_the_workspace_is_no_revision():
    with pytest.raises(InputError, match="workspace: is not committed"):
        read_record(resolve(["workspace"])[0])


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("metrics/evaluate.json", "[1]", r"metrics/evaluate.json of bad: is \[1\]; names and values are expected"),
        ("metrics/evaluate.json", '{"a": NaN}', "NaN is no number of JSON"),
        ("metrics/evaluate.json", '{"a": {"b": 1}, "a.b": 2}', "'evaluate/a.b' has the same name as another value"),
        ("metrics/curves/warmup.json", '{"loss": 1}', "'curves/warmup/loss' of bad: is a metric and a curve"),
        ("plots/warmup.csv", "epoch,loss\n0,1\n1,x\n", "plots/warmup.csv of bad, line 3: an epoch and 1 numbers are expected"),
        ("plots/warmup.csv", "epoch,loss\n0,1,2\n", "line 2"),
        ("params.yaml", f"a: {'x' * 7000}", r"a value has 7,000 characters, .*; at most 6,000 are expected"),
    ],
)
def test_a_file_that_our_stages_did_not_write_is_one_sentence(path, content, said):
    git("checkout", "-q", "-B", "bad")
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(content)
    git("add", "-A")
    git("commit", "-q", "-m", "bad")
    try:
        with pytest.raises(InputError, match=said):
            read_record(resolve(["bad"])[0])
    finally:
        git("checkout", "-q", "main")
        git("branch", "-q", "-D", "bad")


@given(st.text(min_size=1, max_size=400))
def test_every_name_is_one_that_mlflow_takes(name):
    """Its own rules: these characters, and a path that stands for itself (mlflow.utils.validation)."""
    accepted = accepted_name(name)
    assert re.fullmatch(r"[/\w.\- ]+", accepted) and len(accepted) <= run_record.LONGEST_NAME
    assert accepted_name(f"evaluate/{name}").count("/") == f"evaluate/{name}"[:233].count("/") or len(name) > 20
    for whole in (f"a/{name}", f"a/{name}/b"):
        assert posixpath.normpath(accepted_name(whole)) == accepted_name(whole)


def test_names_that_are_fine_stay():
    for name in ("evaluate/interval.composite.low", "per_class/rolled-in_scale.refined.AP", "lr.warmup", "Kerbe ä/x y"):
        assert accepted_name(name) == name
    assert accepted_name("per_class/a(b).AP") == "per_class/a_0028_b_0029_.AP"
    assert json.dumps(accepted_name("a/../b")) == '"a/_002e__002e_/b"'
