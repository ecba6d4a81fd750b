"""Official YAML files: includes, overrides, and what cannot be computed or understood is refused in one sentence."""

from pathlib import Path

import pytest
import yaml
from official_checkpoint import BASE, DATA, IMAGENET, VARIANTS, write_config

from zerostart.detector.official.config import DINOv3STAs, HGNetv2, hub_config, official_config, read_official_config
from zerostart.errors import InputError


def written(folder: Path, **files) -> Path:
    """YAML files by name; returns the path of the first."""
    for name, content in files.items():
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        (folder / f"{name}.yml").write_text(text)
    return folder / f"{next(iter(files))}.yml"


N = {
    "HGNetv2": {"name": "B0", "return_idx": [2, 3], "freeze_at": -1, "use_lab": True},
    "HybridEncoder": {"in_channels": [512, 1024], "feat_strides": [16, 32], "hidden_dim": 128, "use_encoder_idx": [1]},
    "DEIMTransformer": {"feat_channels": [128, 128], "hidden_dim": 128, "num_levels": 2, "num_points": [6, 6], "num_layers": 3},
}


def test_a_file_is_laid_over_what_it_includes(tmp_path):
    path = written(tmp_path, n={"__include__": ["data.yml", "base.yml"]} | N, data=DATA, base=BASE)
    config = read_official_config(path)
    assert isinstance(config.backbone, HGNetv2)
    assert (config.backbone.name, config.backbone.return_idx) == ("B0", (2, 3))
    assert (config.encoder.hidden_dim, config.encoder.fuse_op) == (128, "sum")  # the file's own, and the base's
    assert config.decoder.num_points == (6, 6)  # a list is replaced, not joined
    assert config.task.num_classes == 6
    assert config.normalize is None


def test_includes_are_relative_to_their_file_and_later_ones_win(tmp_path):
    (tmp_path / "deep/er").mkdir(parents=True)
    written(tmp_path / "deep", base={"__include__": ["er/data.yml"]} | BASE)
    written(tmp_path / "deep/er", data=DATA)
    path = written(tmp_path, n={"__include__": ["deep/base.yml", "late.yml"]} | N, late={"num_classes": 9})
    assert read_official_config(path).task.num_classes == 9


def test_updates_are_laid_over_everything(tmp_path):
    path = written(tmp_path, n={"__include__": ["data.yml", "base.yml"]} | N, data=DATA, base=BASE)
    config = read_official_config(path, ["num_classes=3", "DEIMTransformer.num_queries=50", "eval_spatial_size=[320, 320]"])
    assert (config.task.num_classes, config.decoder.num_queries, config.decoder.num_layers) == (3, 50, 3)
    assert config.task.eval_spatial_size == (320, 320)
    for update in ("num_classes", "=3", "a=[1"):
        with pytest.raises(InputError, match="key=value or section"):
            read_official_config(path, [update])


def test_the_dino_variants_normalise(tmp_path):
    config = read_official_config(write_config(tmp_path, "s"))
    assert isinstance(config.backbone, DINOv3STAs)
    assert config.normalize.mean == (0.485, 0.456, 0.406)


def test_a_cycle_is_refused(tmp_path):
    path = written(tmp_path, a={"__include__": ["b.yml"]}, b={"__include__": ["./c.yml"]}, c={"__include__": ["a.yml"]})
    with pytest.raises(InputError, match=r"a\.yml: includes itself, by way of a\.yml, b\.yml, c\.yml$"):
        read_official_config(path)


def test_two_ways_to_one_file_are_no_cycle(tmp_path):
    included = {"b": {"__include__": ["base.yml", "data.yml"]}, "c": {"__include__": ["base.yml"]}, "base": BASE, "data": DATA}
    path = written(tmp_path, a={"__include__": ["b.yml", "c.yml"]} | N, **included)
    assert read_official_config(path).decoder.num_layers == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"__include__": ["gone.yml"]}, r"gone\.yml: no such file; .*included by .*a\.yml"),
        ({"__include__": "b.yml"}, r"a\.yml: '__include__' is 'b\.yml'; a list"),
        ("a: [1", r"a\.yml: not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']", r"a\.yml: not valid YAML"),
        ("- 1", r"a\.yml: a mapping"),
        ({"YOLO": {}}, r"a\.yml: no section 'DEIM'"),
        ({"DEIM": BASE["DEIM"]}, r"a\.yml: no section 'HGNetv2', which section 'DEIM' names"),
        ({"DEIM": BASE["DEIM"] | {"decoder": "DFINETransformer"}}, r"section 'DEIM': key 'decoder' is 'DFINETransformer'"),
    ],
)
def test_what_is_no_official_configuration_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read_official_config(written(tmp_path, a=content))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yml: no such file"):
        read_official_config(tmp_path / "none.yml")


def changed(section: str | None = None, **changes) -> dict:
    raw = BASE | DATA | {name: BASE[name] | values for name, values in N.items()}
    return raw | ({section: raw[section] | changes} if section else changes)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (changed("DEIMTransformer", num_querys=3), "section 'DEIMTransformer': unknown key 'num_querys'"),
        (changed("HGNetv2", name="B3"), "section 'HGNetv2': key 'name' is 'B3': input should be 'Atto'"),
        (changed("HybridEncoder", fuse_op="cat"), "section 'HybridEncoder': key 'fuse_op' is 'cat'"),
        (changed("DEIMTransformer", query_select_method="agnostic"), "key 'query_select_method' is 'agnostic'"),
        (changed("DEIMTransformer", hidden_dim="wide"), "key 'hidden_dim' is 'wide'"),
        (changed("DEIMTransformer", eval_idx=1), "eval_idx is 1; the last layer"),
        (changed("DEIMTransformer", num_points=[4, 2, 1]), r"num_points \(4, 2, 1\); for each of its 2 levels"),
        (changed("DEIMTransformer", feat_channels=[128, 64]), r"feat_channels \[128, 64\].*128 channels are expected"),
        (changed(num_classes=None), "key 'num_classes' is None"),
        (changed(eval_spatial_size=[576, 1024]), "eval_spatial_size is 576x1024; equal sides"),
        (changed(eval_spatial_size=[300, 300]), "eval_spatial_size is 300x300"),
        (
            changed(val_dataloader={"dataset": {"transforms": {"ops": [{"type": "Normalize", "mean": [0.5] * 3}]}}}),
            "val_dataloader's Normalize: key 'std' is missing",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused_with_section_and_key(raw, message):
    with pytest.raises(InputError, match=f"^c.yml.*{message}"):
        official_config(raw, "c.yml")
    official_config(changed(), "c.yml")


def test_the_hubs_configuration_is_completed_as_its_models_were_trained():
    """The official project's own notebook makes these from the model's sections alone."""
    decoder = {"hidden_dim": 64, "feat_channels": [64, 64], "num_levels": 2, "num_points": [4, 2], "use_gateway": False}
    raw = {
        "HGNetv2": {"name": "Atto", "return_idx": [2], "use_lab": True, "pretrained": False},
        "LiteEncoder": {"in_channels": [256], "hidden_dim": 64, "expansion": 0.34, "depth_mult": 0.5, "act": "silu"},
        "DEIMTransformer": decoder | {"eval_spatial_size": [320, 320]},
        "PostProcessor": {"num_top_queries": 300},
    }
    config = hub_config(raw, "config.json")
    assert (config.task.num_classes, config.task.eval_spatial_size) == (80, (320, 320))
    assert (config.decoder.mlp_act, config.decoder.activation, config.normalize) == ("silu", "silu", None)
    own = VARIANTS["s"]
    sections = {name: BASE.get(name, {}) | own[name] for name in ("DINOv3STAs", "HybridEncoder", "DEIMTransformer")}
    dino = hub_config(sections, "config.json")
    assert dino.normalize.std == tuple(IMAGENET["std"])
    assert dino.task.eval_spatial_size == (640, 640)
