"""Try many values of parameters: `python -m zerostart.sweep experiments/NAME.yaml`.

The file says which parameters take which values and who chooses: `grid` (every combination), or Optuna's `random` or `tpe`
samplers (Akiba et al. 2019). On cached features the trials run here, many at once; the best one becomes `dvc exp`
NAME-best. What changes the frozen inputs (another data set, prompt set, ...) is a grid for DVC's queue. A killed sweep goes on
where it was.
"""

import argparse
import glob
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from tqdm import tqdm

from zerostart.errors import InputError, run_stage
from zerostart.outputs import only_writer
from zerostart.params import Params, load_params
from zerostart.staleness import read_lock
from zerostart.sweeps.space import Range, Sweep, changed, combinations, distributions, load_sweep
from zerostart.sweeps.trials import SWEPT, Inputs, load_inputs, run_trials

DIVERGED = "diverged"
"""Attribute of a failed trial that need not be tried again."""


def open_study(sweep: Sweep, params: Params, path: Path, journal: Path) -> optuna.Study:
    """The study in `journal`, new or as it was left; raises InputError when it was begun with something else."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers = {
        "grid": optuna.samplers.RandomSampler,  # every trial of a grid is given
        "random": optuna.samplers.RandomSampler,
        "tpe": optuna.samplers.TPESampler,
    }
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=path.stem,
        direction="maximize",
        load_if_exists=True,
    )
    about = _fingerprint(sweep, params)
    if study.user_attrs.setdefault("about", about) != about:
        raise InputError(f"{journal}: begun with other parameters, values or data; delete it to begin anew")
    study.set_user_attr("about", about)
    study.sampler = samplers[sweep.sampler](seed=params.seed + len(study.trials))  # a resumed one would draw the same again
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # of a killed sweep
    if sweep.sampler == "grid":
        known = [trial.params for trial in finished(study)]
        known += [trial.system_attrs["fixed_params"] for trial in study.get_trials(states=(TrialState.WAITING,))]
        for combination in combinations(sweep):
            if combination not in known:
                study.enqueue_trial(combination)
    return study


def mend(journal: Path) -> None:
    """Take away what a killed sweep may have left, which only its one writer can know: Optuna's lock, and half a last line."""
    for left in journal.parent.glob(f"{glob.escape(journal.name)}.lock*"):
        left.unlink(missing_ok=True)
    if journal.is_file() and not (content := journal.read_bytes()).endswith(b"\n"):
        os.truncate(journal, content.rfind(b"\n") + 1)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have a score, and those that cannot have one."""
    return [trial for trial in study.trials if trial.state == TrialState.COMPLETE or DIVERGED in trial.user_attrs]


def _fingerprint(sweep: Sweep, params: Params) -> str:
    lock = Path("dvc.lock")
    stages = read_lock(lock) if lock.is_file() else {}
    frozen = {name: stages.get(name, {}).get("outs") for name in ("dataset", "features", "text_embeddings")}
    space = sweep.model_dump(exclude={"trials", "at_once"})
    return hashlib.sha256(json.dumps([space, params.model_dump(), frozen]).encode()).hexdigest()[:16]


def run_sweep(sweep: Sweep, params: Params, study: optuna.Study, path: Path) -> None:
    """Run the trials that are missing, `at_once` in one batch."""
    inputs, space = load_inputs(params), distributions(sweep)
    total = sweep.trials or len(combinations(sweep))
    done = len(finished(study))
    with tqdm(total=total, initial=done, unit="trial", disable=None) as progress:
        while done < total:
            asked = [study.ask(space) for _ in range(min(sweep.at_once, total - done))]
            _run(study, asked, [changed(params, trial.params, path) for trial in asked], inputs)
            done += len(asked)
            progress.update(len(asked))


def _run(study: optuna.Study, asked: list[Trial], trials: list[Params], inputs: Inputs) -> None:
    """Run trials together; if one of them diverges, each alone, so that it does not take the others with it."""
    try:
        scores = run_trials(trials, inputs)
    except InputError as error:
        if len(asked) > 1:
            for trial, params in zip(asked, trials, strict=True):
                _run(study, [trial], [params], inputs)
            return
        print(f"{', '.join(assignments(asked[0].params)[1::2])}: {error}")
        asked[0].set_user_attr(DIVERGED, True)
        study.tell(asked[0], state=TrialState.FAIL)
        return
    for trial, found in zip(asked, scores, strict=True):
        _tell(study, trial, found)


def _tell(study: optuna.Study, trial: Trial, found: dict[str, float]) -> None:
    for name in ("mAP", "AR_critical"):
        trial.set_user_attr(name, found[name])
    study.tell(trial, found["composite"])


def assignments(values: dict[str, Any]) -> list[str]:
    """Values as `dvc exp run` takes them."""
    words = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
    return [part for name, word in words.items() for part in ("-S", f"{name}={word}")]


def dvc_experiment(*arguments: str) -> None:
    """`dvc exp run` with the arguments; raises InputError when DVC refuses."""
    done = subprocess.run([sys.executable, "-m", "dvc", "exp", "run", *arguments])
    if done.returncode:
        raise InputError(f"dvc exp run {' '.join(arguments)}: DVC ended with {done.returncode}, see above")


def main(arguments: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(prog="python -m zerostart.sweep", description="Try many values of parameters.")
    parser.add_argument("sweep", type=Path, help="experiments/NAME.yaml")
    parser.add_argument("--only-print", action="store_true", help="do not run the best trial as an experiment of DVC")
    options = parser.parse_args(arguments)
    path, params = options.sweep, load_params()
    sweep = load_sweep(path)
    for name, space in sweep.parameters.items():
        for value in [space.low, space.high] if isinstance(space, Range) else space:
            changed(params, {name: value}, path)  # refuses a wrong one before anything is run
    if frozen := [name for name in sweep.parameters if name not in SWEPT]:
        return queue(sweep, path, frozen)
    journal = path.with_suffix(".journal")
    with only_writer(journal):
        mend(journal)
        study = open_study(sweep, params, path, journal)
        run_sweep(sweep, params, study, path)
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    best = sorted(complete, key=lambda trial: (-trial.value, json.dumps(trial.params, sort_keys=True)))  # whatever came first
    if not best:
        raise InputError(f"{path}: every trial diverged; lower learning rates are expected")
    for trial in best[:5]:
        print(f"{trial.value:.4f}  {', '.join(f'{name}={value}' for name, value in trial.params.items())}")
    if not options.only_print:
        dvc_experiment("-n", f"{path.stem}-best", *assignments(best[0].params))
    return f"{path}: best composite on val {best[0].value:.4f} of {len(best)} trials, {' '.join(assignments(best[0].params))}"


def queue(sweep: Sweep, path: Path, frozen: list[str]) -> str:
    """Put every combination of a grid into DVC's queue."""
    if sweep.sampler != "grid":
        raise InputError(f"{path}: '{frozen[0]}' changes what is frozen; for that only `sampler: grid` works, in DVC's queue")
    for number, values in enumerate(combinations(sweep)):
        dvc_experiment("--queue", "-n", f"{path.stem}-{number}", *assignments(values))
    return f"{len(combinations(sweep))} experiments queued because of '{frozen[0]}'; `dvc queue start -j 1` runs them"


if __name__ == "__main__":
    run_stage(main)
