"""Official checkpoints: their names, what is taken from them, and what is refused."""

import pickle
from pathlib import Path

import pytest
import torch
from tiny_detector import CLASSES, same_state, tiny_detector

from zerostart.detector.official.checkpoint import load_official, read_official_checkpoint, rename_weights
from zerostart.errors import InputError

OFFICIAL = Path(__file__).parents[3].parent / "shared/data/deimv2-official"


def names(*official):
    return sorted(rename_weights({name: torch.zeros(6, 2) for name in official}))


@pytest.mark.parametrize(
    ("official", "expected"),
    [
        ("backbone.stem.stem1.conv.weight", "model.conv_encoder.model.embedder.stem1.convolution.weight"),
        ("decoder.dec_score_head.2.bias", "model.decoder.class_embed.2.bias"),
        ("decoder.dec_bbox_head.0.layers.1.weight", "model.decoder.bbox_embed.0.layers.1.weight"),
        ("decoder.enc_score_head.weight", "model.enc_score_head.weight"),
        ("decoder.decoder.layers.0.norm2.scale", "model.decoder.layers.0.encoder_attn_layer_norm.weight"),
        ("decoder.decoder.layers.1.self_attn.out_proj.weight", "model.decoder.layers.1.self_attn.o_proj.weight"),
        ("decoder.anchors", "model.anchors"),
        ("decoder.valid_mask", "model.valid_mask"),
        ("backbone.dinov3.rope_embed.periods", "model.conv_encoder.backbone.rope_embeddings.inv_freq"),
        ("decoder.up", "model.decoder.up"),
        ("decoder.decoder.up", "model.decoder.up"),
        ("decoder.input_proj.1.conv.weight", "model.decoder_input_proj.1.conv.weight"),
        ("encoder.input_proj.0.norm.bias", "model.encoder.input_proj.0.norm.bias"),
        ("encoder.encoder.0.layers.0.linear2.bias", "model.encoder.aifi.0.layers.0.mlp.layers.1.bias"),
        ("encoder.pan_blocks.1.cv3.1.conv.weight", "model.encoder.pan_blocks.1.csp_rep2.conv2.conv.weight"),
    ],
)
def test_official_names_are_translated(official, expected):
    assert names(official) == [expected]


def test_counters_are_left_out():
    assert names("backbone.stem.stem1.bn.num_batches_tracked") == []


def test_stacked_projections_are_split_in_order():
    stacked = torch.arange(12.0).reshape(6, 2)
    prefix = "decoder.decoder.layers.0."
    renamed = rename_weights({prefix + "self_attn.in_proj_weight": stacked, prefix + "swish_ffn.w12.bias": torch.arange(4.0)})
    expected = {
        "self_attn.q_proj.weight": stacked[:2],
        "self_attn.k_proj.weight": stacked[2:4],
        "self_attn.v_proj.weight": stacked[4:],
        "mlp.gate_proj.bias": torch.tensor([0.0, 1.0]),
        "mlp.up_proj.bias": torch.tensor([2.0, 3.0]),
    }
    assert same_state(renamed, {f"model.decoder.layers.0.{name}": tensor for name, tensor in expected.items()})


def test_the_hybrid_encoders_input_projection_lies_elsewhere():
    assert "model.conv_encoder.encoder_input_proj.0.conv.weight" in names(
        "encoder.input_proj.0.conv.weight", "encoder.fpn_blocks.0.cv1.conv.weight"
    )


# --- Taking the weights


def own_weights(**kwargs):
    """A detector's state, as a renamed official checkpoint has it: heads named once."""
    state = tiny_detector(**kwargs).state_dict()
    return {name: tensor.clone() for name, tensor in state.items() if name.startswith("model.")}


def test_with_as_many_classes_everything_is_taken():
    model, weights = tiny_detector(seed=0), own_weights(seed=1)
    assert load_official(model, weights, "source") == []
    assert same_state(weights, {name: tensor for name, tensor in model.state_dict().items() if name.startswith("model.")})


def test_with_another_number_of_classes_the_class_heads_alone_are_kept():
    model, weights = tiny_detector(seed=0), own_weights(seed=1, classes=["a", "b"])
    before = own_weights(seed=0)
    kept = load_official(model, weights, "source")
    heads = [f"model.decoder.class_embed.{layer}.{part}" for layer in range(3) for part in ("weight", "bias")]
    heads += ["model.enc_score_head.weight", "model.enc_score_head.bias", "model.denoising_class_embed.weight"]
    assert sorted(kept) == sorted(heads)
    for name, tensor in model.state_dict().items():
        if name.startswith("model."):
            assert torch.equal(tensor, before[name] if name in heads else weights[name]), name


def test_a_class_head_that_is_missing_is_not_made_up():
    weights = own_weights(classes=["a", "b"])
    del weights["model.enc_score_head.bias"]
    with pytest.raises(InputError, match=r"source: tensor 'model\.enc_score_head\.bias' is missing"):
        load_official(tiny_detector(), weights, "source")


def test_an_unexpected_tensor_is_named():
    with pytest.raises(InputError, match=r"source: tensor 'model\.gateway\.weight' is unknown to the model"):
        load_official(tiny_detector(), own_weights() | {"model.gateway.weight": torch.zeros(1)}, "source")


@pytest.mark.skipif(not (OFFICIAL / "n.pth").is_file(), reason="the official checkpoints are not beside the repository")
def test_a_variant_that_is_not_light_is_refused():
    with pytest.raises(InputError, match=r"n\.pth: tensor .*; is it another variant\?"):
        load_official(tiny_detector(), read_official_checkpoint(OFFICIAL / "n.pth"), OFFICIAL / "n.pth")


# --- Reading the file


def saved(path, content):
    torch.save(content, path)
    return path


def test_ema_weights_are_preferred(tmp_path):
    key = "decoder.enc_score_head.bias"
    both = {"model": {key: torch.zeros(3)}, "ema": {"module": {key: torch.ones(3)}}, "last_epoch": 4}
    assert same_state(read_official_checkpoint(saved(tmp_path / "a.pth", both)), {"model.enc_score_head.bias": torch.ones(3)})
    plain = {"model": both["model"], "ema": None}
    assert same_state(read_official_checkpoint(saved(tmp_path / "b.pth", plain)), {"model.enc_score_head.bias": torch.zeros(3)})


class Malicious:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path):
    victim, path = tmp_path / "was-executed", tmp_path / "evil.pth"
    torch.save({"model": {"a": Malicious(victim)}}, path)
    with pytest.raises(InputError, match=r"evil\.pth: not a readable \.pth file of plain tensors \(UnpicklingError\)"):
        read_official_checkpoint(path)
    path.write_bytes(pickle.dumps({"model": Malicious(victim)}, protocol=2))
    with pytest.raises(InputError, match="not a readable"):
        read_official_checkpoint(path)
    assert not victim.exists()
    torch.load(saved(path, Malicious(victim)), weights_only=False)  # that the file is harmful: only so it would have run
    assert victim.exists()


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = saved(tmp_path / "cut.pth", {"model": {"decoder.enc_score_head.bias": torch.zeros(300)}})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"cut\.pth: not a readable \.pth file"):
        read_official_checkpoint(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: no such checkpoint"):
        read_official_checkpoint(tmp_path / "none.pth")


@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(3),
        {"weights": {}},
        {"model": 3},
        {"model": {"a": 3}},
        {"ema": {"a": torch.zeros(1)}},
        [1, 2],
        {"model": {"model.0.conv.weight": torch.zeros(1)}},
    ],
    ids=["tensor", "other key", "number", "not tensors", "no module", "list", "another detector"],
)
def test_another_kind_of_file_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"other\.pth: not an official DEIMv2 checkpoint"):
        read_official_checkpoint(saved(tmp_path / "other.pth", content))


def test_class_names_do_not_matter_to_the_weights():
    assert load_official(tiny_detector(classes=CLASSES), own_weights(classes=["x", "y", "z"]), "source") == []
