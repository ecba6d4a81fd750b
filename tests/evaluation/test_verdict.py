import json

import pytest

from zerostart import comparison
from zerostart.errors import InputError
from zerostart.evaluation import verdict

NOTHING = {"delta": 0.0, "low": 0.0, "high": 0.0}


def metrics(low, high, flips=NOTHING, training=NOTHING):
    values = dict.fromkeys(verdict.METRICS, 0.5)
    delta = dict.fromkeys(verdict.METRICS, 0.0123)
    bounds = {"baseline": values, "delta": delta, "interval": {"composite": {"low": low, "high": high}}}
    return values | bounds | {"composite_steps": {"flips": flips, "training": training}}


@pytest.mark.parametrize(
    ("bounds", "word"), [((0.001, 0.2), "better"), ((-0.2, -0.001), "worse"), ((-0.1, 0.1), "no difference is shown")]
)
def test_verdict_follows_the_interval(bounds, word):
    assert word in verdict.verdict(metrics(*bounds))


def test_verdict_tells_mirror_images_from_training():
    flips, training = {"delta": 0.02, "low": 0.01, "high": 0.03}, {"delta": -0.001, "low": -0.002, "high": 0.003}
    said = verdict.verdict(metrics(0.001, 0.2, flips, training))
    assert "(mirror images +0.0200 [+0.0100, +0.0300], training -0.0010 [-0.0020, +0.0030])" in said
    assert "mirror" not in verdict.verdict(metrics(0.001, 0.2))


def test_verdict_names_the_tuned_decoder_where_there_is_one():
    found = metrics(0.001, 0.2)
    found["composite_steps"]["decoder"] = {"delta": 0.01, "low": -0.02, "high": 0.04}
    assert ", decoder tuning +0.0100 [-0.0200, +0.0400])" in verdict.verdict(found)


def test_table_has_a_line_per_metric_and_the_interval_where_there_is_one():
    lines = verdict.table(metrics(-0.1, 0.1)).splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(verdict.METRICS)
    assert next(line for line in lines[1:] if "[" in line).split()[:4] == ["composite", "0.5000", "0.5000", "+0.0123"]


def test_main_reads_the_last_evaluation_or_says_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"metrics/evaluate.json: no such file; `dvc repro` writes it"):
        comparison.main()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/evaluate.json").write_text(json.dumps(metrics(0.1, 0.2)))
    assert comparison.main().endswith("the refined detector is better on these test images")


def test_the_verdict_says_what_the_data_do_not_show():
    found = metrics(0.001, 0.2) | {"data": {"objects_in_train": {"washer": 0}, "left_out": {"box": 2, "object twice": 1}}}
    said = verdict.verdict(found)
    assert (
        "; nothing was learned about washer: no object in train; 3 defective records were left out (box 2, object twice 1)"
        in said
    )
    assert "left out" not in verdict.verdict(metrics(0.001, 0.2))
