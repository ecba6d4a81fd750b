"""Bad input is one sentence and exit code 1; a defect keeps its traceback."""

import pytest

from zerostart.errors import InputError, run_stage


def test_a_stage_prints_its_line(capsys):
    run_stage(lambda: "models/warmup: epoch 3 chosen")
    assert capsys.readouterr() == ("models/warmup: epoch 3 chosen\n", "")


def test_what_takes_a_while_says_how_long_it_took(capsys, monkeypatch):
    now = iter([100.0, 112.4])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    run_stage(lambda: "models/warmup: epoch 3 chosen")
    assert capsys.readouterr().out == "models/warmup: epoch 3 chosen [12 s]\n"


def test_bad_input_ends_in_one_sentence():
    def stage():
        raise InputError("params.yaml: unknown parameter 'alhpa'")

    with pytest.raises(SystemExit) as ended:
        run_stage(stage)
    # sys.exit prints a string to stderr and exits with 1
    assert ended.value.code == "error: params.yaml: unknown parameter 'alhpa'"


@pytest.mark.parametrize("defect", [ValueError, KeyError, OSError])
def test_a_defect_is_not_disguised(defect):
    def stage():
        raise defect("ours")

    with pytest.raises(defect, match="ours"):
        run_stage(stage)
