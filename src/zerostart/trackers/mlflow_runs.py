"""Records as MLflow runs, each written once.

A run carries its revision and a digest of what is to be written from the moment it exists, and is `FINISHED` only at the end:
one that was begun and not ended is written again from its start, which MLflow takes as the same values. So a kill, or a server
that goes away, leaves nothing that the next export does not complete.
"""

import io
import logging
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # by default a server that is down is asked for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param, Run, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from zerostart.errors import InputError, shown  # noqa: E402
from zerostart.trackers.run_record import RunRecord  # noqa: E402

REVISION, CONTENT = "zerostart.revision", "zerostart.content"
"""Tags: the commit, and the digest of all that the run was told."""
METRICS, PARAMS = 1000, 100
"""MLflow's own limits of a request."""
ARTIFACTS = "artifacts"
"""Folder beside an SQLite file; MLflow's own choice would be ./mlruns."""


class Runs:
    """The runs of one MLflow experiment at `uri` (`sqlite:///FILE`, `http://…`), which is made where there is none.

    Raises InputError for another kind of store, for one that does not answer, and for an experiment that was deleted.
    """

    def __init__(self, uri: str, experiment: str):
        self.uri = without_password(uri)
        location = _artifact_location(uri)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        with self.answering():
            self.client = MlflowClient(uri, uri)
            found = self.client.get_experiment_by_name(experiment)
            if found is not None and found.lifecycle_stage != "active":
                raise InputError(
                    f"{self.uri}: the experiment {experiment!r} was deleted there; another --experiment is expected"
                )
            self.experiment = found.experiment_id if found else self.client.create_experiment(experiment, location)

    def export(self, record: RunRecord) -> tuple[str, bool]:
        """The id of the revision's run, and whether anything had to be written.

        A finished run of another content (written by another version of zerostart) is replaced, and the second of two that were
        begun at the same time is deleted.
        """
        with self.answering():
            if not any(_is_of(run, record) for run in self._of(record)):
                tags = {REVISION: record.commit, CONTENT: record.digest, "mlflow.source.git.commit": record.commit}
                self.client.create_run(self.experiment, record.time, tags, record.name)
            run, *others = sorted(self._of(record), key=lambda run: _preference(run, record))
            unfinished = run.info.status != "FINISHED"
            if unfinished:
                self._write(record, run.info.run_id)
            for other in others:
                self.client.delete_run(other.info.run_id)
            return run.info.run_id, unfinished or bool(others)

    def _of(self, record: RunRecord) -> list[Run]:
        return list(self.client.search_runs([self.experiment], f"tags.`{REVISION}` = '{record.commit}'"))

    def _write(self, record: RunRecord, run: str) -> None:
        """All of it; what is there already is given once more, and MLflow keeps it once."""
        metrics = [Metric(name, value, record.time, 0) for name, value in record.metrics.items()]
        metrics += [Metric(name, value, record.time, step) for name, points in record.curves.items() for step, value in points]
        params = [Param(*item) for item in record.params.items()]
        for start in range(0, len(metrics), METRICS):
            self.client.log_batch(run, metrics=metrics[start : start + METRICS])
        for start in range(0, len(params), PARAMS):
            self.client.log_batch(run, params=params[start : start + PARAMS])
        self.client.log_batch(run, tags=[RunTag(f"zerostart.chosen_epoch.{name}", str(n)) for name, n in record.chosen.items()])
        with TemporaryDirectory() as folder:
            write_files(record.files, Path(folder))
            self.client.log_artifacts(run, folder)
        self.client.set_terminated(run, "FINISHED", record.time)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """What MLflow and the server raise becomes one sentence."""
        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            # SQLAlchemy's errors end with the statement and its address on the web
            text = without_password(" ".join(str(error).partition("\n[SQL: ")[0].split()))
            reason = shown(text, 300, quoted=False)
            raise InputError(f"{self.uri}: {reason}; what is there stays, and the same command completes it later") from None


def _is_of(run: Run, record: RunRecord) -> bool:
    return run.data.tags.get(CONTENT) == record.digest


def _preference(run: Run, record: RunRecord) -> tuple[bool, bool, str]:
    """Sorts what is kept to the front; the same order for all who export at the same time."""
    return not _is_of(run, record), run.info.status != "FINISHED", run.info.run_id


def without_password(text: str) -> str:
    """A text with addresses in it, for a terminal."""
    return re.sub(r"//[^/@\s]+@", "//", text)


def _artifact_location(uri: str) -> str | None:
    """Where an experiment's files lie; None: the server knows. Makes the folder of an SQLite file."""
    if re.match(r"https?://", uri):
        return None
    file = re.fullmatch(r"sqlite:///([^?#]+)", uri)
    if file is None or file[1] == ":memory:" or Path(file[1]).is_dir():
        raise InputError(f"{without_password(uri)}: `sqlite:///FILE`, or the http address of an MLflow server, is expected")
    folder = Path(file[1]).absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / ARTIFACTS).as_uri()


def write_files(files: dict[str, str], folder: Path) -> None:
    """Files of git (path and hash) as they are; raises InputError where git lacks one."""
    hashes = "".join(f"{blob}\n" for blob in files.values())
    stream = io.BytesIO(subprocess.run(["git", "cat-file", "--batch"], input=hashes.encode(), capture_output=True).stdout)
    for path, blob in files.items():
        about = stream.readline()  # `HASH blob SIZE`, then the content and an end of line
        if not re.fullmatch(rb"[0-9a-f]+ blob \d+\n", about):
            raise InputError(f"{path}: git has no content {blob} of it; a clone with all of it is expected")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(stream.read(int(about.split()[2])))
        stream.read(1)
