"""Ten experiments as ten MLflow runs: equal to what git keeps, and no other after a second export, whatever happened before.

`make test-mlflow` runs these; MLflow is not among what `make test` installs.
"""

import json
import sqlite3
import sys
from importlib import metadata
from pathlib import Path

import pytest
from experiments_sample import PICTURE, git, make_experiments

from zerostart import mlflow as command
from zerostart.errors import InputError
from zerostart.review.revisions import experiments, resolve
from zerostart.trackers.run_record import read_record

COUNT = 10


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    make_experiments(folder, COUNT)
    return folder


@pytest.fixture
def run(repository, monkeypatch, tmp_path):
    monkeypatch.chdir(repository)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mlflow", "--to", f"sqlite:///{tmp_path}/runs/mlflow.db", *map(str, arguments)])
        return command.main()

    return run


def test_without_mlflow_it_is_one_sentence(run, monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(InputError, match=r"not installed here; `pip install -r requirements-mlflow\.in -c requirements\.lock`"):
        run()
    monkeypatch.setattr(metadata, "version", lambda name: "1.27.0")
    with pytest.raises(InputError, match=r"mlflow-skinny 1\.27\.0 is installed"):
        run()


@pytest.fixture
def client(tmp_path):
    pytest.importorskip("mlflow.tracking", reason="MLflow is not installed here: `make test-mlflow`")
    from zerostart.trackers.mlflow_runs import MlflowClient

    return MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")


def stored(folder):
    """All that MLflow has: its tables, line by line, and every file."""
    with sqlite3.connect(folder / "runs/mlflow.db") as database:
        tables = list(database.iterdump())
    files = {path: path.read_bytes() for path in (folder / "runs/artifacts").rglob("*") if path.is_file()}
    return tables, files


def runs_of(client):
    (experiment,) = (found for found in client.search_experiments() if found.name == "zerostart")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def check_all(client, folder):
    """Every run has what the files of its revision say, read here in the plainest way."""
    found = runs_of(client)
    assert found.keys() == {f"exp-{number}" for number in range(COUNT)}
    for name, run in found.items():
        commit = resolve([name])[0].commit
        assert (run.info.status, run.data.tags["zerostart.revision"]) == ("FINISHED", commit)
        read = {file: json.loads(git("show", f"{commit}:metrics/{file}.json")) for file in ("evaluate", "warmup")}
        assert run.data.metrics["evaluate/composite"] == read["evaluate"]["composite"]
        for end, value in read["evaluate"]["interval"]["composite"].items():
            assert run.data.metrics[f"evaluate/interval.composite.{end}"] == value
        assert run.data.metrics["warmup/val.mAP"] == read["warmup"]["val"]["mAP"]
        assert run.data.tags["zerostart.chosen_epoch.warmup"] == str(read["warmup"]["best_epoch"])
        assert run.data.params["seed"] == name.removeprefix("exp-") and run.data.params["lr.warmup"] == "2e-05"
        rows = [row.split(",") for row in git("show", f"{commit}:plots/warmup.csv").splitlines()[1:]]
        history = client.get_metric_history(run.info.run_id, "curves/warmup/loss")
        assert [(point.step, point.value) for point in history] == [(int(row[0]), float(row[1])) for row in rows]
        folder_of_run = folder / "runs/artifacts" / run.info.run_id / "artifacts"
        assert (folder_of_run / "plots/images/won.png").read_bytes() == PICTURE
        assert (folder_of_run / "metrics/evaluate.json").read_text() == git("show", f"{commit}:metrics/evaluate.json")


def test_ten_runs_equal_ten_experiments_and_twice_changes_nothing(client, run, tmp_path):
    status = git("status", "--porcelain")
    assert run("--all-experiments").endswith("10 runs written, 0 as they were")
    check_all(client, tmp_path)
    before = stored(tmp_path)
    assert run("--all-experiments").endswith("0 runs written, 10 as they were")
    assert run("--rev", "exp-3", "exp-4").endswith("0 runs written, 2 as they were")
    assert stored(tmp_path) == before
    assert git("status", "--porcelain") == status and not Path("mlruns").exists()
    assert runs_of(client)["exp-3"].data.metrics == {
        **read_record(resolve(["exp-3"])[0]).metrics,
        "curves/warmup/loss": 0.166667,
        "curves/warmup/mAP": 0.5,
    }


@pytest.mark.parametrize("killed_in", ["create_run", "log_batch", "log_artifacts", "set_terminated"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_killed_export_is_completed_and_not_doubled(client, run, tmp_path, monkeypatch, killed_in, done):
    """In its second revision; as the kill came before, or after, what was asked of MLflow was done."""
    calls = []
    method = getattr(type(client), killed_in)

    def kill(self, *arguments, **named):
        calls.append(killed_in)
        if len(calls) == (5 if killed_in == "log_batch" else 2):  # three for each run
            if done:
                method(self, *arguments, **named)
            raise KeyboardInterrupt
        return method(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(type(client), killed_in, kill)
        with pytest.raises(KeyboardInterrupt):
            run("--all-experiments")
    run("--all-experiments")
    check_all(client, tmp_path)
    before = stored(tmp_path)
    assert run("--all-experiments").endswith("0 runs written, 10 as they were")
    assert stored(tmp_path) == before


def test_of_two_runs_of_one_revision_one_is_left(client, run, tmp_path):
    """Two exports at once may both have begun one; and one of an older content, finished or not, gives way."""
    run("--all-experiments")
    (first, *_) = runs_of(client).values()
    for tags in ({}, {"zerostart.content": "old"}, {"zerostart.content": first.data.tags["zerostart.content"]}):
        revision = {"zerostart.revision": first.data.tags["zerostart.revision"]}
        client.create_run(first.info.experiment_id, run_name="second", tags=revision | tags)
    assert run("--all-experiments").endswith("1 runs written, 9 as they were")
    check_all(client, tmp_path)
    assert runs_of(client)[first.info.run_name].info.run_id == first.info.run_id


def test_a_server_that_is_down_is_one_sentence_and_a_later_export_completes(client, run, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    status = git("status", "--porcelain")
    with pytest.raises(InputError, match=r"^http://127.0.0.1:9: .*the same command completes it later$") as refused:
        run("--all-experiments", "--to", "http://me:secret@127.0.0.1:9")
    assert "secret" not in str(refused.value)
    assert git("status", "--porcelain") == status
    assert run("--all-experiments").endswith("10 runs written, 0 as they were")
    check_all(client, tmp_path)


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "sqlite://", "sqlite:///:memory:", "databricks"])
def test_another_store_is_refused(client, run, uri):
    with pytest.raises(InputError, match="`sqlite:///FILE`, or the http address of an MLflow server, is expected"):
        run("--to", uri)
    assert not Path("mlruns").exists()


def test_a_deleted_experiment_and_a_file_that_is_no_database(client, run, tmp_path):
    run("--rev", "exp-0")
    client.delete_experiment(client.get_experiment_by_name("zerostart").experiment_id)
    with pytest.raises(InputError, match="'zerostart' was deleted there; another --experiment is expected"):
        run("--rev", "exp-0")
    (tmp_path / "other.db").write_text("no database " * 99)
    with pytest.raises(InputError, match=r"other\.db: .*file is not a database; what is there stays"):
        run("--to", f"sqlite:///{tmp_path}/other.db")


def test_a_graph_is_registered_once_and_only_for_the_revision_it_was_exported_from(client, run, tmp_path, monkeypatch):
    """MLflow gives back the graph that was registered, ready to run."""
    import mlflow
    import onnx
    from refined_sample import refined_sample

    from zerostart.inference.export_graph import Graph, write_onnx

    exports = {"exported": {}, "foreign": {"threshold": {"baseline": 0.3, "refined": 0.25}}}
    for name, changes in exports.items():
        (tmp_path / name).mkdir()
        write_onnx(Graph(refined_sample(**changes)), tmp_path / name / "model.onnx")

    with pytest.raises(InputError, match=r"foreign: its threshold is .*0\.25}, that of exp-0 .*0\.2}"):
        run("--rev", "exp-0", "--model", tmp_path / "foreign")
    with pytest.raises(InputError, match="--model: one graph is of one revision, 10 are asked for"):
        run("--all-experiments", "--model", tmp_path / "exported")
    with pytest.raises(InputError, match=r"no model\.onnx there"):
        run("--rev", "exp-0", "--model", tmp_path)
    assert run("--rev", "exp-0", "--model", tmp_path / "exported").endswith("zerostart-parts version 1 registered")
    before = stored(tmp_path)
    assert run("--rev", "exp-0", "--model", tmp_path / "exported").endswith("zerostart-parts version 1 as it was")
    assert stored(tmp_path) == before
    (version,) = client.search_model_versions("name = 'zerostart-parts'")
    assert version.tags["zerostart.revision"] == resolve(["exp-0"])[0].commit
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", client.tracking_uri)
    assert mlflow.onnx.load_model(version.source).graph == onnx.load(tmp_path / "exported/model.onnx").graph


def test_without_any_experiment_it_is_one_sentence(client, run, monkeypatch):
    monkeypatch.setattr(command, "experiments", list)
    assert len(experiments()) == COUNT
    with pytest.raises(InputError, match="DVC has no finished experiment here"):
        run("--all-experiments")
