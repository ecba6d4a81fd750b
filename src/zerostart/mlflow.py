"""Write revisions and experiments as MLflow runs: `python -m zerostart.mlflow --all-experiments`.

Git and DVC stay the record; MLflow is given a copy of it, afterwards. Repeated, nothing changes. Read: git alone, and an
exported graph where `--model` names one.
"""

import argparse
import os
from importlib import metadata
from pathlib import Path

from zerostart.errors import InputError, run_stage
from zerostart.review.revisions import Revision, experiments, resolve
from zerostart.trackers.run_record import read_record

DEFAULT = "sqlite:///runs/mlflow.db"
OLDEST = 3
"""Major version of MLflow; what pip takes where the newest do not fit is far older."""


def main() -> str:
    arguments = parse_arguments()
    check_installed()
    from zerostart.trackers.mlflow_runs import Runs

    revisions = chosen_revisions(arguments)
    records = [read_record(revision) for revision in revisions]
    if arguments.model:
        from zerostart.trackers import mlflow_model  # brings torch

        dataset = mlflow_model.check_graph(arguments.model, revisions[0])
    runs = Runs(arguments.to or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT, arguments.experiment)
    exported = [runs.export(record) for record in records]
    written = sum(changed for _, changed in exported)
    said = f"{runs.uri}: {written} runs written, {len(records) - written} as they were"
    if arguments.model:
        version, is_new = mlflow_model.register(runs, exported[0][0], records[0].commit, arguments.model, dataset)
        said += f"; {version} {'registered' if is_new else 'as it was'}"
    return said


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zerostart.mlflow", description="Revisions and experiments as MLflow runs.")
    parser.add_argument("--rev", nargs="+", default=[], help="branches, tags, commits, experiments; by default HEAD")
    parser.add_argument("--all-experiments", action="store_true", help="every finished experiment of DVC, of all commits")
    parser.add_argument("--to", help=f"sqlite:///FILE or a server's address; by default $MLFLOW_TRACKING_URI, else {DEFAULT}")
    parser.add_argument("--experiment", default="zerostart", help="of MLflow, by default %(default)s")
    parser.add_argument("--model", type=Path, help="a folder of `zerostart.export --format onnx`, exported from the one --rev")
    return parser.parse_args()


def check_installed() -> None:
    """Raise InputError without an MLflow that is new enough."""
    for name in ("mlflow-skinny", "mlflow"):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if int(found.partition(".")[0]) >= OLDEST:
            return
        raise InputError(
            f"{name} {found} is installed; `pip install -r requirements-mlflow.in -c requirements.lock` is expected"
        )
    raise InputError("MLflow is not installed here; `pip install -r requirements-mlflow.in -c requirements.lock` brings it")


def chosen_revisions(arguments: argparse.Namespace) -> list[Revision]:
    """Each commit once, under the first of its names; raises InputError where there is none, or several for one graph."""
    named = resolve(arguments.rev or ([] if arguments.all_experiments else ["HEAD"]))
    by_commit: dict[str | None, Revision] = {}
    for revision in [*named, *(experiments() if arguments.all_experiments else [])]:
        by_commit.setdefault(revision.commit, revision)
    found = list(by_commit.values())
    if not found:
        raise InputError("--all-experiments: DVC has no finished experiment here; `dvc exp run` makes one")
    if arguments.model and len(found) != 1:
        raise InputError(f"--model: one graph is of one revision, {len(found)} are asked for; one --rev is expected")
    return found


if __name__ == "__main__":
    run_stage(main)
