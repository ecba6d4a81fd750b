"""The tagger's weights, its input, tiling, novelty and parameters."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file
from tagging_samples import PARAMS, PHASE
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch.nn import functional

from zerostart.errors import InputError
from zerostart.tagging.answer.novelty import best_limit, fit_home, novelty
from zerostart.tagging.answer.rules import Rules, load_rules, side_limit
from zerostart.tagging.answer.windows import WINDOWS, merged, window_scores, windows_of
from zerostart.tagging.engine.batches import augmented, model_input, photometric
from zerostart.tagging.engine.model import build_tagger, features_and_logits, load_engine, save_engine
from zerostart.tagging.engine.training import make_state, rate_factor
from zerostart.tagging.params import ModelOptions, ModelParams, PhaseParams, load_tagging_params

MODEL = ModelParams.model_validate(PARAMS["model"])
CPU = torch.device("cpu")


def options(**changes):
    """The block's model with other options of timm."""
    return {"model": PARAMS["model"] | {"options": PARAMS["model"]["options"] | changes}}


def test_a_published_checkpoint_loads_but_for_its_head(tmp_path):
    torch.manual_seed(1)
    published = timm.create_model("convnext_atto", num_classes=7, **MODEL.options.model_dump())
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    model = build_tagger(MODEL.model_copy(update={"weights": str(tmp_path / "model.safetensors")}), 3)
    inputs = torch.randn(2, 3, 32, 32)
    assert torch.equal(model.eval().forward_features(inputs), published.eval().forward_features(inputs))
    assert model(inputs).shape == (2, 3)


def test_a_checkpoint_that_does_not_fit_names_the_tensor(tmp_path):
    weights = timm.create_model("convnext_atto", num_classes=7, **MODEL.options.model_dump()).state_dict()
    path = tmp_path / "model.safetensors"
    there = MODEL.model_copy(update={"weights": str(path)})
    with pytest.raises(InputError, match="no such file"):
        build_tagger(there, 3)
    save_file({name: tensor for name, tensor in weights.items() if name != "stem.0.bias"}, path)
    with pytest.raises(InputError, match=r"tensor 'stem.0.bias' is missing"):
        build_tagger(there, 3)
    save_file({"other": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"no tensor 'head.fc.weight'"):
        build_tagger(there, 3)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        build_tagger(there, 3)


def test_weights_that_cannot_be_fetched(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    params = ModelParams(name="convnext_base.fb_in22k_ft_in1k", weights="pretrained", options=ModelOptions())
    with pytest.raises(InputError, match=r"weights of 'convnext_base.fb_in22k_ft_in1k' cannot be fetched .*`random`"):
        build_tagger(params, 3)
    with pytest.raises(InputError, match="'resnet18' is no ConvNeXt"):
        build_tagger(params.model_copy(update={"name": "resnet18"}), 3)


def test_an_engine_is_loaded_as_it_was_saved_and_for_its_own_tags_only(tmp_path):
    model = build_tagger(MODEL, 2).eval()
    save_engine(model, MODEL, ("a", "b"), 64, tmp_path)
    loaded, size = load_engine(tmp_path, ("a", "b"))
    inputs = torch.randn(2, 3, 64, 64)
    assert size == 64 and torch.equal(model(inputs), loaded(inputs))
    with pytest.raises(InputError, match="trained for the tags a, b; b, a are expected"):
        load_engine(tmp_path, ("b", "a"))
    with pytest.raises(InputError, match=r"other/config.json: no such file; the tagging stages write it"):
        load_engine(tmp_path / "other", ("a", "b"))


@pytest.mark.parametrize(
    "given",
    [
        {"norm_layer": norm, "conv_mlp": norm in ("batchnorm2d", "groupnorm1"), "kernel_sizes": 3}
        for norm in (None, "batchnorm2d", "groupnorm1", "layernorm", "layernorm2d", "rmsnorm2d", "simplenorm2d")
    ]
    + [{"act_layer": act} for act in ("gelu_tanh", "quick_gelu", "relu", "silu", "hard_swish", "mish")]
    + [{"stem_type": stem, "patch_size": 2} for stem in ("patch", "overlap", "overlap_tiered", "overlap_act")]
    + [{"global_pool": pool, "output_stride": 8, "head_hidden_size": 9} for pool in ("avg", "max", "avgmax")],
)
def test_options_that_are_let_through_make_a_model(given):
    known = {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]} | given
    params = ModelParams.model_validate({"name": "convnext_atto", "weights": "random", "options": known})
    assert json.loads(params.model_dump_json())["options"].keys() == known.keys()
    found, logits = features_and_logits(build_tagger(params, 3).eval(), torch.zeros(2, 3, 64, 64))
    assert logits.shape == (2, 3) and torch.isfinite(logits).all() and len(found) == 2


def test_features_and_logits_are_the_model_itself():
    model = build_tagger(MODEL, 3).eval()
    inputs = torch.randn(2, 3, 32, 32)
    pooled, logits = features_and_logits(model, inputs)
    assert pooled.shape == (2, MODEL.options.dims[-1])
    torch.testing.assert_close(logits, model(inputs))


def test_input_is_bicubic_and_normalised():
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    found = model_input([image], 64, CPU)[0]
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    expected = functional.interpolate(image[None].float(), (64, 64), mode="bicubic", antialias=True)[0].clamp(0, 255) / 255
    torch.testing.assert_close(found, (expected - mean) / std)


def test_a_batch_of_mixed_sizes_is_its_single_pictures():
    images = [torch.randint(0, 256, (3, h, w), dtype=torch.uint8) for h, w in ((32, 32), (300, 200), (40, 500))]
    batch = model_input(images, 64, CPU)
    for image, row in zip(images, batch, strict=True):
        torch.testing.assert_close(model_input([image], 64, CPU)[0], row)


def test_augmented_pictures_are_windows_of_the_original():
    phase = PhaseParams.model_validate(PHASE | {"least_crop": 0.5, "zoom_out": 1.0})
    image = torch.arange(3 * 20 * 30, dtype=torch.int32).reshape(3, 20, 30)
    for seed in range(20):
        (cut,) = augmented([image], phase, torch.Generator().manual_seed(seed))
        assert 10 <= cut.shape[1] <= 20 and 15 <= cut.shape[2] <= 30
        step = cut[0, 0, 1] - cut[0, 0, 0]
        assert abs(int(step)) == 1 and (cut[:, :, 1:] - cut[:, :, :-1] == step).all()  # 1: as it is, -1: mirrored


def test_a_thin_picture_keeps_a_pixel():
    phase = PhaseParams.model_validate(PHASE | {"least_crop": 0.1})
    thin = torch.zeros(3, 1, 90, dtype=torch.uint8)
    assert all(augmented([thin], phase, torch.Generator().manual_seed(seed))[0].shape[1] >= 1 for seed in range(10))


def test_all_orientations_are_the_eight_of_a_square():
    phase = PhaseParams.model_validate(PHASE | {"least_crop": 1.0, "zoom_out": 1.0, "all_orientations": True})
    image = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).expand(3, 2, 2)
    seen = {
        tuple(augmented([image], phase, torch.Generator().manual_seed(seed))[0][0].flatten().tolist()) for seed in range(60)
    }
    assert len(seen) == 8 and (1, 2, 3, 4) in seen and (1, 3, 2, 4) in seen


def test_photometric_changes_each_channel_by_a_factor_and_an_offset():
    inputs = torch.rand(4, 3, 8, 8)
    found = photometric(inputs, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(photometric(inputs, 0.0, torch.Generator()), inputs) and not torch.allclose(found, inputs, atol=0.05)
    for before, after in zip(inputs.flatten(0, 1), found.flatten(0, 1), strict=True):
        slope = (after.max() - after.min()) / (before.max() - before.min())
        torch.testing.assert_close(after - after.min(), slope * (before - before.min()))
        assert 0.4 <= slope <= 1.6


def test_a_small_picture_zoomed_out_is_somewhere_on_its_own_ground():
    phase = PhaseParams.model_validate(PHASE | {"least_crop": 1.0, "zoom_out": 3.0, "input_size": 64})
    image = torch.full((3, 20, 20), 9, dtype=torch.uint8)
    image[:, 5:15, 5:15] = 200
    sides, corners = set(), set()
    for seed in range(30):
        (found,) = augmented([image], phase, torch.Generator().manual_seed(seed))
        rows, columns = torch.nonzero(found[0] == 200).unbind(1)
        assert 20 <= found.shape[1] == found.shape[2] <= 60 and len(rows) == 100 and (found[found != 200] == 9).all()
        sides.add(found.shape[1])
        corners.add((int(rows.min()), int(columns.min())))
    assert len(sides) > 15 and len(corners) > 15
    large = torch.zeros(3, 80, 80, dtype=torch.uint8)
    assert augmented([large], phase, torch.Generator())[0].shape == large.shape


@pytest.mark.parametrize(("height", "width", "overlap"), [(90, 60, 0.0), (100, 140, 0.25), (31, 17, 0.5)])
def test_windows_cover_the_picture_and_overlap_as_told(height, width, overlap):
    windows = windows_of(height, width, 6, overlap)
    assert windows[0] == (0, 0, height, width)
    seen = np.zeros((height, width), int)
    for top, left, high, broad in windows[1:5]:
        assert top + high <= height and left + broad <= width
        seen[top : top + high, left : left + broad] += 1
    assert seen.min() >= 1 or overlap == 0
    shared = windows[1].left + windows[1].width - windows[2].left
    assert shared / windows[1].width == pytest.approx(overlap, abs=1.5 / windows[1].width)
    centre = windows[5]
    assert abs(2 * centre.top + centre.height - height) <= 1 and abs(2 * centre.left + centre.width - width) <= 1


def test_six_windows_in_one_forward_are_six_single_windows():
    model = build_tagger(MODEL, 3).eval().requires_grad_(False)
    image = torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8)
    together = window_scores(model, [image, image.flip(1)], 32, 6, 0.25)
    assert together.shape == (2, len(WINDOWS), 3)
    for index, (top, left, high, broad) in enumerate(windows_of(90, 120, 6, 0.25)):
        alone = window_scores(model, [image[:, top : top + high, left : left + broad]], 32, 1, 0.0)
        np.testing.assert_allclose(alone[0, 0], together[0, index], atol=1e-6)
    assert (merged(together, "max") >= merged(together, "mean")).all()
    np.testing.assert_array_equal(merged(together[:, :1], "mean"), merged(together[:, :1], "max"))


def test_novelty_is_the_mahalanobis_distance():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4000, 2)) * (1, 3) + (5, -2)
    home = fit_home(features)
    # A standard deviation away along one axis of two, divided by the root of two.
    assert novelty(home, np.array([[6.0, -2.0], [5.0, 1.0]])) == pytest.approx([1 / math.sqrt(2)] * 2, rel=0.05)
    assert best_limit(np.array([1.0, 2.0, 3.0]), np.array([5.0, 6.0])) == 4.0


def rules_of(**change) -> Rules:
    kept = {"published": 0.3, "val_1": (0.1, 0.2, 0.3), "val_6": (0.4, 0.5, 0.6)}
    values = {
        "tags": ("a", "b", "c"),
        "longest": 96,
        "use": "val",
        "thresholds": {"standard": kept, "hd": kept | {"val_1": (0.7, 0.8, 0.9)}},
        "tiling": PARAMS["tiling"],
        "novelty_limit": 2.0,
        "side_limit": 100.0,
    }
    return Rules.model_validate(values | change)


def test_thresholds_are_those_of_the_engine_and_its_windows():
    assert rules_of().chosen("standard", 1).tolist() == [0.1, 0.2, 0.3]
    assert rules_of().chosen("standard", 6).tolist() == [0.4, 0.5, 0.6]
    assert rules_of().chosen("hd", 1).tolist() == [0.7, 0.8, 0.9]
    assert rules_of(use="published").chosen("hd", 6).tolist() == [0.3, 0.3, 0.3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_1": (0.1, 1.2, 0.3)}, r"'thresholds.hd.val_1.1' is 1.2: input should be less than or equal to 1"),
        ({"val_6": (0.1, 0.2)}, "a threshold for each of the 3 tags"),
    ],
)
def test_rules_with_wrong_thresholds_are_refused(tmp_path, change, message):
    rules = json.loads(rules_of().model_dump_json())
    rules["thresholds"]["hd"] |= change
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    with pytest.raises(InputError, match=message):
        load_rules(tmp_path)


@pytest.mark.parametrize("change", [{"tags": None}, {"model": {"name": "convnext_atto"}}])
def test_a_damaged_config_of_an_engine_is_named(tmp_path, change):
    save_engine(build_tagger(MODEL, 2), MODEL, ("a", "b"), 64, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(InputError, match=r"config.json: .*(tags|model.weights)"):
        load_engine(tmp_path, ("a", "b"))


def test_auto_takes_hd_for_what_is_large_or_new():
    rules = Rules.model_construct(novelty_limit=2.0, side_limit=100.0)
    assert [rules.engine_for(*case) for case in ((32, 1.0), (200, 1.0), (32, 2.5))] == ["standard", "hd", "hd"]
    assert side_limit(np.array([32, 32]), np.array([512, 200])) == pytest.approx(80)
    assert side_limit(np.array([32, 300]), np.array([512, 200])) == 512


def test_the_rate_rises_then_falls_to_zero():
    factors = [rate_factor(step, 100) for step in range(100)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == 1.0 and factors[99] < 0.001
    assert all(a >= b for a, b in pairwise(factors[5:]))


def test_layer_decay_slows_the_early_layers():
    phase = PhaseParams.model_validate(PHASE | {"layer_decay": 0.5})
    model = build_tagger(MODEL, 3)
    scale = {id(p): group["lr_scale"] for group in make_state(model, phase).optimizer.param_groups for p in group["params"]}
    assert (
        scale[id(model.stem[0].weight)]
        < scale[id(model.stages[2].blocks[0].mlp.fc1.weight)]
        < scale[id(model.head.fc.weight)]
        == 1
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"engines": PARAMS["engines"] | {"published_hd": 1.3}},
            "'datasets.toy.engines.published_hd' is 1.3: input should be less",
        ),
        ({"base": PHASE | {"batch_size": 7}}, "'datasets.toy.base.batch_size' is 7"),
        ({"base": PHASE | {"input_size": 50}}, "'datasets.toy.base.input_size' is 50"),
        ({"data": PARAMS["data"] | {"real_val": 0.5, "real_test": 0.5}}, "leave no photo to train on"),
        ({"data": PARAMS["data"] | {"academic_val": 0.0}}, "'datasets.toy.data.academic_val' is 0.0"),
        ({"lr": 1}, "unknown parameter 'datasets.toy.lr'"),
        ({"tiling": PARAMS["tiling"] | {"windows": 4}}, "'datasets.toy.tiling.windows' is 4"),
        (options(colour=1), "unknown parameter 'datasets.toy.model.options.colour'"),
        (options(checkpoint_path="/etc/passwd"), "unknown parameter 'datasets.toy.model.options.checkpoint_path'"),
        (options(depths=[1, 1]), "'datasets.toy.model.options.depths.2' is missing"),
        (options(depths=[-1, 1, 1, 1]), "'datasets.toy.model.options.depths.0' is -1: input should be greater"),
        (options(dims="wide"), "'datasets.toy.model.options.dims' is 'wide': input should be a valid tuple"),
        (options(depths=[200] * 4, dims=[8192] * 4), "depths and dims make 429,496,729,600 weights; at most 2,000,000,000"),
        (options(norm_layer="nothing"), "'datasets.toy.model.options.norm_layer' is 'nothing': input should be"),
        (options(conv_mlp=False), "norm_layer batchnorm2d needs conv_mlp: true"),
        (options(conv_mlp="yes"), "'datasets.toy.model.options.conv_mlp' is 'yes': input should be a valid boolean"),
        (options(ls_init_value=1e308), "'datasets.toy.model.options.ls_init_value' is 1e.308: a number that float32 can hold"),
        (options(kernel_sizes=4), "'datasets.toy.model.options.kernel_sizes.0' is 4: an odd number is expected"),
        (options(drop_path_rate=5), "'datasets.toy.model.options.drop_path_rate' is 5: input should be less than 1"),
        ({"model": PARAMS["model"] | {"options": [1]}}, r"'datasets.toy.model.options' is \[1\]: input should be a valid dict"),
    ],
)
def test_bad_parameters_are_named(tmp_path, change, message):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"datasets": {"toy": PARAMS | change}}))
    with pytest.raises(InputError, match=message):
        load_tagging_params("toy", tmp_path / "params.yaml")


def test_a_data_set_without_a_block(tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"datasets": {"toy": PARAMS}}))
    with pytest.raises(InputError, match="no block for the data set 'other'; there are toy"):
        load_tagging_params("other", tmp_path / "params.yaml")
