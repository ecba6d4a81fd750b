"""pipelines/ablation/params.yaml: what is refused, and in which words."""

from pathlib import Path

import pytest
import yaml

from zerostart.ablation.params import load_ablation_params
from zerostart.errors import InputError

FILE = Path(__file__).parents[2] / "pipelines/ablation/params.yaml"


def refusal(tmp_path, change) -> str:
    raw = yaml.safe_load(FILE.read_text())
    change(raw)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(InputError) as refused:
        load_ablation_params(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_the_committed_file_is_valid():
    params = load_ablation_params(FILE)
    assert params.seeds >= 5
    assert {0.01, 0.05, 0.1, 0.25} == set(params.fractions)


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda raw: raw["arms"].append("tex"), "parameter 'arms.18' is 'tex': no such arm; the arms are text_plain, "),
        (lambda raw: raw.update(seeds=1), "parameter 'seeds' is 1: input should be greater than or equal to 2"),
        (lambda raw: raw.update(fractions=[1.5]), "parameter 'fractions.0' is 1.5: input should be less than 1"),
        (lambda raw: raw.update(lr_scales=[]), "parameter 'lr_scales' is []: "),
        (lambda raw: raw.update(sedes=5), "unknown parameter 'sedes'"),
        (lambda raw: raw["experiment"].update(taus=5), "unknown parameter 'experiment.taus'"),
        (lambda raw: raw["experiment"].update(seed=5), "parameter 'experiment' is {"),
        (lambda raw: raw["arms"].remove("no_text"), "parameter 'arms' lacks no_text, which every comparison needs"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, change, expected):
    assert refusal(tmp_path, change).startswith(expected)


@pytest.mark.parametrize("content", ["[]", "null", "a: &a [*a]\n", "[" * 500, "seeds: 5\nseeds: 6\n"])
def test_parameters_of_the_ablation_that_are_none_are_refused(tmp_path, content):
    (tmp_path / "params.yaml").write_text(content)
    with pytest.raises(InputError, match=r"params\.yaml: "):
        load_ablation_params(tmp_path / "params.yaml")
