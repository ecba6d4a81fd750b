"""Sweeps: a trial is what the stages do; what is chosen, resumed, handed to DVC, and refused."""

import json
from pathlib import Path

import pytest
import yaml
from pipeline_sample import TRAINED, prepare
from stage_files import run_stage_file as run_stage

from zerostart import sweep
from zerostart.errors import InputError
from zerostart.params import load_params
from zerostart.sweeps import trials as trials_module
from zerostart.sweeps.space import changed, load_sweep
from zerostart.sweeps.trials import load_inputs, run_trials

GRID = {"sampler": "grid", "parameters": {"alpha_init": [0.0, 0.2], "lr.warmup": [0.01, 0.03], "projector": ["linear", "mlp"]}}


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Path:
    """A folder in which the inputs of warmup are ready; working directory."""
    prepare(tmp_path, **TRAINED)
    for stage in ("prompts", "text_embeddings"):
        run_stage(stage, tmp_path)
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dvc(monkeypatch) -> list[tuple[str, ...]]:
    """The experiments that DVC is asked for."""
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(sweep, "dvc_experiment", lambda *arguments: asked.append(arguments))
    return asked


def write(content: dict, name: str = "toy") -> str:
    path = Path("experiments") / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


def test_trials_are_what_the_stages_do(experiment):
    params = load_params()
    mlp = {"projector": "mlp", "dropout": 0.3}
    values = [{"alpha_init": 0.3, "seed": 1}, {"lr.head": 0.03}, mlp, mlp | {"seed": 1}, {"batch_size": 4, "tau": 0.2}, {}]
    trials = [changed(params, value, Path("x.yaml")) for value in values]
    found = run_trials(trials, load_inputs(params))
    assert len({score["composite"] for score in found}) > 3
    for trial, score in zip(trials, found, strict=True):
        Path("params.yaml").write_text(yaml.safe_dump(trial.model_dump()))
        for stage in ("warmup", "head_tuning"):
            run_stage(stage, experiment)
        val = json.loads(Path("metrics/head_tuning.json").read_text())["val"]
        assert score == pytest.approx(val, abs=1e-6)


def test_a_grid_tries_everything_and_hands_the_best_to_dvc(experiment, dvc, capsys):
    line = sweep.main([write(GRID)])
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 5
    scores = [float(row.split()[0]) for row in printed]
    assert scores == sorted(scores, reverse=True)
    (asked,) = dvc
    assert asked[:2] == ("-n", "toy-best")
    best = dict(part.split("=") for part in asked[3::2])
    assert printed[0].split(maxsplit=1)[1] == ", ".join(f"{name}={value}" for name, value in best.items())
    assert "of 8 trials" in line
    trial = changed(load_params(), {name: yaml.safe_load(value) for name, value in best.items()}, Path("x.yaml"))
    assert run_trials([trial], load_inputs(trial))[0]["composite"] == pytest.approx(scores[0], abs=5e-5)


def test_a_killed_sweep_goes_on_where_it_was(experiment, dvc, monkeypatch):
    path, seen = write(GRID | {"at_once": 3}), []

    def killed(trials, inputs):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.extend(trials)
        return run_trials(trials, inputs)

    monkeypatch.setattr(sweep, "run_trials", killed)
    with pytest.raises(KeyboardInterrupt):
        sweep.main([path])
    after: list = []
    monkeypatch.setattr(sweep, "run_trials", lambda trials, inputs: after.extend(trials) or run_trials(trials, inputs))
    assert "of 8 trials" in sweep.main([path])
    assert len(after) == 5
    assert {trial.model_dump_json() for trial in [*seen, *after]} == {
        changed(load_params(), values, Path("x")).model_dump_json() for values in sweep.combinations(load_sweep(Path(path)))
    }


def test_a_lengthened_random_sweep_draws_new_trials(experiment, dvc, monkeypatch):
    seen: list = []
    score = {"mAP": 0.1, "AR_critical": 0.1, "composite": 0.1}
    monkeypatch.setattr(sweep, "run_trials", lambda trials, inputs: seen.extend(trials) or [score] * len(trials))
    space = {"sampler": "random", "parameters": {"sigma": {"low": 0.01, "high": 1.0}}}
    for trials in (4, 8):
        sweep.main([write(space | {"trials": trials})])
    assert len({trial.sigma for trial in seen}) == 8


def test_a_trial_that_diverges_does_not_take_the_others_with_it(experiment, dvc, capsys, monkeypatch):
    def diverging(module, runs, *rest, train=trials_module.train_phase):
        """No rate within the bounds diverges on the toy data; this one stands for those that do on others'."""
        if any(5 in run.rates.values() for run in runs):
            raise InputError("epoch 2: the loss is nan; lower the learning rates")
        return train(module, runs, *rest)

    monkeypatch.setattr(trials_module, "train_phase", diverging)
    path = write({"sampler": "grid", "parameters": {"lr.warmup": [0.01, 5, 0.02]}})
    assert "of 2 trials" in sweep.main([path])
    assert ": epoch 2" in capsys.readouterr().out
    assert "of 2 trials" in sweep.main([path])  # it is not tried again
    assert "epoch" not in capsys.readouterr().out
    with pytest.raises(InputError, match=r"every trial diverged"):
        sweep.main([write({"sampler": "grid", "parameters": {"lr.warmup": [5]}}, "bad")])


def test_a_range_is_whole_where_the_parameter_is():
    space = {"sampler": "tpe", "trials": 1}
    for name, kind in (("alpha_init", "FloatDistribution"), ("seed", "IntDistribution"), ("lr.head", "FloatDistribution")):
        found = sweep.distributions(sweep.Sweep.model_validate(space | {"parameters": {name: {"low": 0, "high": 1}}}))
        assert type(found[name]).__name__ == kind
    found = sweep.distributions(sweep.Sweep.model_validate(space | {"parameters": {"epochs.head": {"low": 1, "high": 3}}}))
    assert type(found["epochs.head"]).__name__ == "IntDistribution"


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_optuna_samples_within_the_ranges(experiment, dvc, sampler):
    space = {
        "lr.warmup": {"low": 0.001, "high": 0.1, "log": True},
        "seed": {"low": 1, "high": 3},
        "mode": ["residual", "replace"],
    }
    line = sweep.main([write({"sampler": sampler, "trials": 6, "at_once": 3, "parameters": space}), "--only-print"])
    assert "of 6 trials" in line
    assert dvc == []
    values = dict(part.split("=") for part in line.split("-S ")[1:])
    assert 0.001 <= float(values["lr.warmup"]) <= 0.1
    assert values["seed"].strip() in {"1", "2", "3"}


def test_what_changes_frozen_inputs_goes_to_the_queue(experiment, dvc):
    line = sweep.main(
        [write({"sampler": "grid", "parameters": {"prompt_set": ["plain", "ensemble"], "alpha_per_class": [True]}})]
    )
    assert dvc == [
        ("--queue", "-n", "toy-0", "-S", "prompt_set=plain", "-S", "alpha_per_class=true"),
        ("--queue", "-n", "toy-1", "-S", "prompt_set=ensemble", "-S", "alpha_per_class=true"),
    ]
    assert line.startswith("2 experiments queued because of 'prompt_set'")


def grid(**parameters) -> dict:
    return {"sampler": "grid", "parameters": parameters}


def tpe(**parameters) -> dict:
    return {"sampler": "tpe", "trials": 2, "parameters": parameters}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (grid(seed=[1]) | {"trials": 3}, "`trials` is expected with the samplers random and tpe"),
        ({"sampler": "tpe", "parameters": {"seed": [1]}}, "`trials` is expected with the samplers random and tpe"),
        (grid(tau={"low": 0.1, "high": 0.2}), "a grid needs a list of values; 'tau' has a range"),
        (tpe(tau={"low": 0.2, "high": 0.1}), "`low` below `high` is expected"),
        (tpe(tau={"low": 0, "high": 1, "log": True}), "with `log` both above 0"),
        (grid(alpha=[1]), "toy.yaml: unknown parameter 'alpha'; docs/params.md lists them"),
        (grid(**{"lr.haed": [1]}), "unknown parameter 'lr.haed'"),
        (grid(tau=[0.1, 3]), "parameter 'tau' is 3: input should be less than or equal to 1"),
        (tpe(dataset=["toy"]), "'dataset' changes what is frozen; for that only"),
        (grid(), "key 'parameters' is {}"),
        (grid(sigma=[]), "should have at least 1 item"),
        (grid(seed=[1]) | {"sampler": "annealing"}, "key 'sampler' is 'annealing'"),
    ],
)
def test_a_wrong_sweep_is_refused_before_anything_is_run(experiment, dvc, content, message):
    path = write(content)
    with pytest.raises(InputError) as refused:
        sweep.main([path])
    assert message in str(refused.value)
    assert str(refused.value).startswith(path)
    assert dvc == []
    assert not list(Path("experiments").glob("*.journal"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: no such file; a sweep is expected there$"):
        load_sweep(tmp_path / "none.yaml")


def test_results_of_other_parameters_are_not_mixed_in(experiment, dvc):
    path = write({"sampler": "grid", "parameters": {"seed": [1, 2]}})
    sweep.main([path])
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("tau: 0.07", "tau: 0.08"))
    with pytest.raises(InputError, match=r"toy\.journal: begun with other parameters, values or data; delete it to begin anew"):
        sweep.main([path])


def test_the_shipped_sweeps_are_right():
    root = Path(__file__).parents[2]
    shipped = sorted((root / "experiments").glob("*.yaml"))
    assert shipped
    for path in shipped:
        found = load_sweep(path)
        assert set(found.parameters) <= sweep.SWEPT
