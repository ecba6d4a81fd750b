"""A checkpoint comes back as it was saved, or one sentence says why not."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from zerostart.errors import InputError
from zerostart.method.checkpoint import load_fusion, save_fusion
from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.params import load_params

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
CLASSES = ["crack", "dent", "scratch"]


def trained(**changes) -> Fusion:
    """A fusion with random weights everywhere."""
    config = FusionConfig.from_params(PARAMS.model_copy(update=changes), CLASSES, visual_dim=6, text_dim=10)
    torch.manual_seed(0)
    fusion = Fusion(config, torch.randn(3, 10))
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.normal_()
    return fusion


@pytest.fixture
def folder(tmp_path):
    save_fusion(trained(), tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "changes",
    [{}, {"projector": "mlp", "dropout": 0.3}, {"alpha_per_class": True}, {"mode": "replace"}, {"center_similarity": True}],
    ids=lambda changes: "+".join(changes) or "linear",
)
def test_round_trip(tmp_path, changes):
    fusion = trained(**changes)
    save_fusion(fusion, tmp_path)
    loaded = load_fusion(tmp_path, CLASSES)
    assert loaded.config == fusion.config
    assert not loaded.training
    assert all(torch.equal(tensor, fusion.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    hidden, base = torch.randn(2, 4, 6), torch.randn(2, 4, 3)
    assert torch.equal(loaded(hidden, base), fusion.eval()(hidden, base))


def test_equal_fusions_are_equal_bytes(tmp_path):
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        save_fusion(trained(), tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"fusion.json", "fusion.safetensors"}


@pytest.mark.parametrize("classes", [["crack", "scratch", "dent"], ["crack", "dent"], ["crack", "dent", "stain"]])
def test_other_classes_are_refused_naming_both_sides(folder, classes):
    with pytest.raises(InputError) as refused:
        load_fusion(folder, classes)
    expected = f"{folder}/fusion.json: trained for the classes {CLASSES}, but the data set has {classes}"
    assert str(refused.value) == expected


@pytest.mark.parametrize("name", ["fusion.json", "fusion.safetensors"])
def test_a_missing_or_damaged_file_is_refused(folder, name):
    content = (folder / name).read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"\xff" * 40):
        (folder / name).write_bytes(damaged)
        with pytest.raises(
            InputError,
            match=f"^{folder}(/{name}: not valid JSON|/{name}: not UTF-8 text|: not a readable fusion checkpoint): .",
        ) as refused:
            load_fusion(folder, CLASSES)
        assert "\n" not in str(refused.value)
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"^{folder}.*[Nn]o such file.*(fusion checkpoint|{name})"):
        load_fusion(folder, CLASSES)


def test_a_configuration_with_other_keys_is_refused(folder):
    config = json.loads((folder / "fusion.json").read_text())
    without_mode = {key: value for key, value in config.items() if key != "mode"}
    wrong = [{"visual_dim": "x"}, {"text_dim": -1}, {"text_dim": 10**9}, {"dropout": 2.0}, {"classes": []}]
    for changed in (config | {"gamma": 1}, without_mode, [], None, *(config | change for change in wrong)):
        (folder / "fusion.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=r"fusion\.json: .*(key|Input should be)"):
            load_fusion(folder, CLASSES)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(folder, value):
    """With them no query has a score, and `predict` would say that it found nothing."""
    weights = load_file(folder / "fusion.safetensors")
    save_file(weights | {"alpha": torch.full_like(weights["alpha"], value)}, folder / "fusion.safetensors")
    with pytest.raises(InputError, match=r"fusion\.safetensors: tensor 'alpha' holds 1 values that are NaN or infinite"):
        load_fusion(folder, CLASSES)


def test_other_tensors_are_refused(folder):
    path = folder / "fusion.safetensors"
    weights = load_file(path)
    save_file({name: tensor for name, tensor in weights.items() if name != "alpha"}, path)
    with pytest.raises(InputError, match=r"fusion\.safetensors: tensor 'alpha' is missing"):
        load_fusion(folder, CLASSES)
    save_file(weights | {"beta": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"fusion\.safetensors: tensor 'beta' is unknown"):
        load_fusion(folder, CLASSES)
    save_file(weights | {"alpha": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"fusion\.safetensors: tensor 'alpha' is \(3,\) where the model has \(1,\)"):
        load_fusion(folder, CLASSES)
