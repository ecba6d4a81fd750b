"""params.yaml: what is accepted, and the sentence for everything else."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from zerostart.ablation.params import load_ablation_params
from zerostart.detector_training.run import load_training_params
from zerostart.errors import InputError
from zerostart.novel.params import load_novel_params
from zerostart.params import Params, load_params
from zerostart.retrieval.params import load_retrieval_params
from zerostart.tagging.params import load_tagging_params

ROOT = Path(__file__).parents[1]
DEFAULTS = yaml.safe_load((ROOT / "params.yaml").read_text())


def load(tmp_path, **changes) -> Params:
    """Load the repository's parameters with changes; a double underscore stands for the dot: lr__head."""
    raw = copy.deepcopy(DEFAULTS)
    for name, value in changes.items():
        *groups, key = name.split("__")
        target = raw
        for group in groups:
            target = target[group]
        target[key] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    return load_params(tmp_path / "params.yaml")


def message(tmp_path, **changes) -> str:
    with pytest.raises(InputError) as refused:
        load(tmp_path, **changes)
    return str(refused.value).removeprefix(f"{tmp_path}/params.yaml: ")


def test_the_repository_s_own_file_loads():
    params = load_params(ROOT / "params.yaml")
    assert params.model_dump() == DEFAULTS
    assert params.alpha_init == 0.0
    assert (params.lambdas.map, params.lambdas.ar_critical) == (0.7, 0.3)


def test_swept_knobs_are_top_level():
    knobs = {"alpha_init", "sigma", "tau", "seed", "dataset", "prompt_set", "text_encoder"}
    assert knobs <= {name for name, value in DEFAULTS.items() if not isinstance(value, dict)}
    assert {name for name, value in DEFAULTS.items() if isinstance(value, dict)} == {"lambdas", "lr", "epochs", "decoder"}


def test_parameters_are_frozen(tmp_path):
    params = load(tmp_path)
    with pytest.raises(ValidationError):
        params.tau = 0.1
    with pytest.raises(ValidationError):
        params.lr.head = 0.1


def test_what_dvc_writes_for_a_small_number_is_a_number(tmp_path):
    """`-S lr.head=1e-5` writes 1e-05, a string to PyYAML."""
    text = (ROOT / "params.yaml").read_text().replace("  head: 0.005", "  head: 1e-05")
    assert yaml.safe_load(text)["lr"]["head"] == "1e-05"
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").lr.head == 1e-5


def test_whole_numbers_may_stand_for_floats(tmp_path):
    params = load(tmp_path, alpha_init=1, lr__warmup=1)
    assert params.alpha_init == 1.0 and isinstance(params.alpha_init, float)


def test_an_unknown_key_is_named(tmp_path):
    assert message(tmp_path, alpha=0.1) == "unknown parameter 'alpha'"
    assert message(tmp_path, lr__haed=0.1) == "unknown parameter 'lr.haed'"


OPTIONAL = "decoder"  # phase 3 is off by default, and an experiment without it need not know of it


@pytest.mark.parametrize("key", [*sorted(set(DEFAULTS) - {OPTIONAL}), "lambdas.map", "lr.head", "epochs.warmup"])
def test_a_missing_key_is_named(tmp_path, key):
    raw = copy.deepcopy(DEFAULTS)
    target, name = (raw[key.split(".")[0]], key.split(".")[1]) if "." in key else (raw, key)
    del target[name]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(InputError, match=rf"params\.yaml: parameter '{key}' is missing$"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "key", ["alpha_init", "tau", "seed", "batch_size", "patience", "lr__head", "epochs__head", "lambdas__map"]
)
def test_a_bool_is_no_number(tmp_path, key):
    name = key.replace("__", ".")
    assert message(tmp_path, **{key: True}) == f"parameter '{name}' is True: a number is expected, not true or false"


WRONG_TYPES = [
    ("alpha_init", "low", "input should be a valid number, unable to parse string as a number"),
    ("alpha_init", [0.1], "input should be a valid number"),
    ("seed", 1.5, "input should be a valid integer, got a number with a fractional part"),
    ("dataset", 3, "input should be a valid string"),
    ("dataset", None, "input should be a valid string"),
    ("alpha_per_class", "maybe", "input should be a valid boolean, unable to interpret input"),
    ("lr", 0.1, "input should be a valid dictionary"),
    ("lr__head", "fast", "input should be a valid number"),
]


@pytest.mark.parametrize("key, value, expected", WRONG_TYPES)
def test_a_wrong_type_is_named_with_its_value(tmp_path, key, value, expected):
    assert message(tmp_path, **{key: value}).startswith(f"parameter '{key.replace('__', '.')}' is {value!r}: {expected}")


OUT_OF_RANGE = [
    ("dataset", "", "string should have at least 1 character"),
    ("prompt_set", "long", "input should be 'plain', 'descriptive' or 'ensemble'"),
    ("mode", "sum", "input should be 'residual' or 'replace'"),
    ("weight_init", "zeros", "input should be 'normal' or 'xavier'"),
    ("projector", "deep", "input should be 'linear' or 'mlp'"),
    ("seed", -1, "input should be greater than or equal to 0"),
    ("seed", 2**32, "input should be less than 4294967296"),
    ("alpha_init", float("nan"), "input should be a finite number"),
    ("alpha_init", float("inf"), "input should be a finite number"),
    ("sigma", 0, "input should be greater than 0"),
    ("tau", 0.009, "input should be greater than or equal to 0.01"),
    ("tau", 1.1, "input should be less than or equal to 1"),
    ("dropout", 1.0, "input should be less than 1"),
    ("dropout", -0.1, "input should be greater than or equal to 0"),
    ("augment_views", 4, "input should be less than or equal to 3"),
    ("batch_size", 0, "input should be greater than or equal to 1"),
    ("weight_decay", -1e-4, "input should be greater than or equal to 0"),
    ("patience", 0, "input should be greater than or equal to 1"),
    ("lambdas__map", -0.7, "input should be greater than or equal to 0"),
    ("lr__fusion", 0, "input should be greater than 0"),
    ("epochs__warmup", -1, "input should be greater than or equal to 0"),
    ("epochs__head", 1001, "input should be less than or equal to 1000"),
    ("bootstrap_samples", 99, "input should be greater than or equal to 100"),
]


@pytest.mark.parametrize("key, value, expected", OUT_OF_RANGE)
def test_a_value_out_of_range_is_named_with_its_bound(tmp_path, key, value, expected):
    assert message(tmp_path, **{key: value}) == f"parameter '{key.replace('__', '.')}' is {value!r}: {expected}"


def test_every_problem_is_told_at_once(tmp_path):
    told = message(tmp_path, tau=2, lr__head="x", extra=1)
    assert "parameter 'tau' is 2" in told and "parameter 'lr.head' is 'x'" in told and "unknown parameter 'extra'" in told
    assert told.count("; ") == 2


@pytest.mark.parametrize("content", [b"lr: [1", b"tau: 0.1\n\ttau: 2", b"dataset: \xff\xfe"])
def test_broken_yaml_is_one_line(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"params\.yaml: not (valid YAML|UTF-8 text): .") as refused:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "- tau", "tau"])
def test_anything_but_a_mapping_is_refused(tmp_path, content):
    (tmp_path / "params.yaml").write_text(content)
    with pytest.raises(InputError, match=r"params\.yaml: a mapping of names to values is expected"):
        load_params(tmp_path / "params.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"params\.yaml: no such file"):
        load_params(tmp_path / "params.yaml")


def test_photometric_augmentation_needs_the_live_loop(tmp_path):
    assert message(tmp_path, photometric=0.5).startswith("photometric above 0 needs `live: true`")
    assert load(tmp_path, photometric=0.5, live=True).photometric == 0.5


TOO_LARGE = {
    "bootstrap_samples": 10**9,
    "alpha_init": 1e39,
    "lambdas__map": 1e308,
    "lambdas__ar_critical": 1e6,
    "lr__warmup": 1e30,
    "lr__decoder": 11,
    "sigma": 1e-300,
    "weight_decay": 1e39,
    "batch_size": 2**31,
    "patience": 10**12,
    "decoder__accumulate": 10**9,
    "photometric": 1e6,
    "seed": 10**4000,
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_every_number_has_bounds(tmp_path, name):
    if name == "seed":  # which PyYAML itself does not write
        text = (ROOT / "params.yaml").read_text().replace("seed: 0", f"seed: {'9' * 4000}")
        (tmp_path / "params.yaml").write_text(text)
        with pytest.raises(InputError, match=r"the number 9+…9+ in line 10 is too large"):
            load_params(tmp_path / "params.yaml")
    else:
        assert message(tmp_path, **{name: TOO_LARGE[name]}).startswith(f"parameter '{name.replace('__', '.')}' is ")


def leaves(node, path=()):
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, (*path, key))
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield path


READERS = {
    "params.yaml": load_params,
    "pipelines/ablation/params.yaml": load_ablation_params,
    "pipelines/detector/params.yaml": lambda path: load_training_params(path, "synthetic"),
    "pipelines/novel/params.yaml": load_novel_params,
    "pipelines/retrieval/params.yaml": load_retrieval_params,
    "pipelines/tagging/params.yaml": lambda path: load_tagging_params("toolbox", path),
}
OPTIONS = {"ls_init_value": 0.1, "norm_eps": 1e-6, "head_init_scale": 1.0, "head_hidden_size": 8}
OPTIONS |= {"drop_rate": 0.1, "drop_path_rate": 0.1, "kernel_sizes": 7, "patch_size": 4, "output_stride": 32}
"""Of the tagger's model, which need not be given."""


@pytest.mark.parametrize("file", READERS)
@pytest.mark.parametrize("value", [10**12, -(10**12)])
def test_every_number_of_every_pipeline_is_refused_where_it_is_absurd(tmp_path, file, value):
    """One by one; a number without a bound would end in an allocation, an overflow or a run of days."""
    read, content = READERS[file], yaml.safe_load((ROOT / file).read_text())
    for name in {"detector": ["neu-det"], "tagging": ["cifar-photos"]}.get(Path(file).parent.name, []):
        del content["datasets"][name]  # which is not asked for
    if "tagging" in file:
        content["datasets"]["toolbox"]["model"]["options"] |= OPTIONS
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(content))
    read(path)
    names = list(leaves(content))
    assert len(names) > 10
    for name in names:
        changed = copy.deepcopy(content)
        target = changed
        for key in name[:-1]:
            target = target[key]
        target[name[-1]] = value
        path.write_text(json.dumps(changed))
        with pytest.raises(InputError) as refused:
            read(path)
            pytest.fail(f"{name} may be {value}")
        assert str(refused.value).count("\n") == 0 and str(value) in str(refused.value)


def test_a_composite_of_nothing_is_refused(tmp_path):
    assert "both weights are 0" in message(tmp_path, lambdas__map=0, lambdas__ar_critical=0)


def test_a_key_given_twice_is_refused(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text() + "\nseed: 1\n")
    with pytest.raises(InputError, match="the key 'seed' stands twice"):
        load_params(tmp_path / "params.yaml")


SAFE = ["python", "torchrun", "torchrun --nproc-per-node=4", "torchrun --standalone --nnodes=1:2 --master_addr=10.0.0.1"]
UNSAFE = [
    "python -c 1",
    "python; touch x",
    "torchrun --nproc-per-node=4; touch x",
    "torchrun --nproc-per-node=$(touch x)",
    "torchrun --nproc-per-node=4\ntouch x",
    "torchrun --log-dir=/etc",
    "torchrun x.py",
    "torchrun  --standalone",
    "bash",
    "python3\u200b",
    "",
]


@pytest.mark.parametrize("launcher", SAFE)
def test_a_launcher_is_python_or_torchrun(tmp_path, launcher):
    assert load(tmp_path, decoder__launcher=launcher).decoder.launcher == launcher


@pytest.mark.parametrize("launcher", UNSAFE)
def test_a_launcher_cannot_run_anything_else(tmp_path, launcher):
    assert "`python`, or `torchrun` with options" in message(tmp_path, decoder__launcher=launcher)


@pytest.mark.parametrize("name", ["dataset", "baseline", "text_encoder"])
@pytest.mark.parametrize("value", ["a\u200bb", "\u202eabc", "a\x1b[2J", "a\nb", "x" * 5000])
def test_a_name_has_no_character_that_nobody_sees(tmp_path, name, value):
    found = message(tmp_path, **{name: value})
    assert found.startswith(f"parameter '{name}' is ") and found.isprintable() and len(found) < 300


def test_values_in_a_sentence_are_short_and_cannot_act_on_a_terminal(tmp_path):
    found = message(tmp_path, mode="\x1b[2J" + "a" * 10**6)
    assert len(found) < 300 and found.isprintable()
