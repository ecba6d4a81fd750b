"""An exported ONNX graph as a version of a registered model, of the revision that it was exported from."""

import hashlib
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow.onnx
import onnx

from zerostart.errors import InputError, shown
from zerostart.inference.exported import FILES, open_export
from zerostart.records import parse_json, parse_yaml
from zerostart.review.revisions import Revision
from zerostart.trackers.mlflow_runs import CONTENT, REVISION, Runs


def check_graph(folder: Path, revision: Revision) -> str:
    """The data set of an export of that revision.

    A graph does not name its revision. What it carries are the settings that it was exported with: data set, mirror images, the
    thresholds and temperatures that `evaluate` chose for these weights. They must be the revision's; raises InputError.
    """
    if not (folder / FILES["onnx"]).is_file():
        raise InputError(
            f"{folder}: no {FILES['onnx']} there; a folder of `python -m zerostart.export --format onnx` is expected"
        )
    about = open_export(folder).metadata
    params = parse_yaml(revision.read("params.yaml") or "", f"params.yaml of {revision.name}") or {}
    evaluated = parse_json(revision.read("metrics/evaluate.json") or "{}", f"metrics/evaluate.json of {revision.name}")
    expected: dict[str, Any] = {name: params.get(name) for name in ("dataset", "test_flips", "merge_iou")}
    expected |= {name: evaluated.get(name) for name in ("threshold", "temperature")}
    for name, value in expected.items():
        if about.get(name) != value:
            raise InputError(
                f"{folder}: its {name} is {shown(about.get(name))}, that of {revision.name} {shown(value)}; an export of that"
                " revision's checkpoint is expected"
            )
    return str(params["dataset"])


def register(runs: Runs, run: str, commit: str, folder: Path, dataset: str) -> tuple[str, bool]:
    """Register the graph as `zerostart-DATASET`, once; its name with the version, and whether that is new."""
    path, name = folder / FILES["onnx"], f"zerostart-{dataset}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with runs.answering():
        if not runs.client.search_registered_models(f"name = '{name}'"):
            runs.client.create_registered_model(name)
        for known in runs.client.search_model_versions(f"name = '{name}'"):
            if (known.tags.get(REVISION), known.tags.get(CONTENT)) == (commit, digest):
                return f"{name} version {known.version}", False
        with TemporaryDirectory() as scratch:
            needed = [f"{package}=={version(package)}" for package in ("onnx", "onnxruntime")]
            model = Path(scratch) / "model"
            mlflow.onnx.save_model(onnx.load(path), str(model), pip_requirements=needed, save_as_external_data=False)
            runs.client.log_artifacts(run, str(model), f"models/{digest[:16]}")
        tags = {REVISION: commit, CONTENT: digest}
        made = runs.client.create_model_version(name, f"runs:/{run}/models/{digest[:16]}", run, tags)
    return f"{name} version {made.version}", True
