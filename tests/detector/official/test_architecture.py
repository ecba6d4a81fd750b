"""The architecture of every variant: its shapes take the official checkpoint's, its ViT computes what the official one does."""

import pytest
import torch
from official_checkpoint import CLASSES, IMAGENET, SIZE, VARIANTS, random_weights, write_config
from official_vit import fused_maps
from torch import nn

from zerostart.detector.official.checkpoint import rename_weights
from zerostart.detector.official.config import read_official_config
from zerostart.detector.official.conversion import convert, settle

WIDTHS = {"s": 192, "m": 256, "l": 224, "x": 256}


@pytest.fixture(scope="module", params=WIDTHS)
def dino(request, tmp_path_factory):
    """A variant's name, its random official weights, and the converted detector."""
    variant = request.param
    weights = random_weights(variant)
    renamed = rename_weights(weights)
    config, notes = settle(read_official_config(write_config(tmp_path_factory.mktemp(variant), variant)), renamed)
    assert notes == []
    return variant, weights, convert(config, renamed, [f"class{k}" for k in range(CLASSES)], variant)


@torch.no_grad()
def test_the_dino_variants_run(dino):
    variant, _, model = dino
    output = model(pixel_values=torch.rand(2, 3, SIZE, SIZE))
    assert output.logits.shape == (2, 20, CLASSES)
    assert output.pred_boxes.shape == (2, 20, 4)
    assert output.last_hidden_state.shape == (2, 20, WIDTHS[variant])
    assert output.logits.isfinite().all()


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(IMAGENET[name]).reshape(3, 1, 1) for name in ("mean", "std"))
    return (pixels - mean) / std


@torch.no_grad()
def test_their_backbone_computes_what_the_official_one_does(dino):
    """Its three maps, from pixels in [0, 1], against a reference written down from the official code."""
    variant, weights, model = dino
    pixels = torch.rand(2, 3, SIZE, SIZE)
    expected = fused_maps(weights, normalised(pixels), VARIANTS[variant]["DINOv3STAs"])
    for ours, theirs in zip(model.model.conv_encoder(pixels), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_tiny_vits_have_no_final_norm(dino):
    """The port's, even a neutral one, would miss the official maps; DINOv3's own ViTs have it."""
    variant, weights, model = dino
    backbone = model.model.conv_encoder.backbone
    assert isinstance(backbone.norm, nn.LayerNorm) == (variant in "lx")
    if variant in "sm":
        pixels, kept = torch.rand(1, 3, SIZE, SIZE), backbone.norm
        expected = fused_maps(weights, normalised(pixels), VARIANTS[variant]["DINOv3STAs"])[-1]
        backbone.norm = nn.LayerNorm(WIDTHS[variant])
        missed = (model.model.conv_encoder(pixels)[-1] - expected).abs().max()
        backbone.norm = kept
        assert missed > 0.1


def official_positions(side: int, width: int) -> torch.Tensor:
    """The official `build_2d_sincos_position_embedding` for a square map, the row's part first."""
    omega = 10000.0 ** -(torch.arange(width // 4) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [position.flatten()[:, None] * omega for position in (rows, columns)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], 1)[None]


@torch.no_grad()
def test_the_hybrid_encoder_attends_with_positions(dino):
    variant, _, model = dino
    seen = []
    attention = model.model.encoder.aifi[0].layers[0].self_attn
    hook = attention.register_forward_pre_hook(
        lambda _, __, kwargs: seen.append(kwargs["position_embeddings"]), with_kwargs=True
    )
    model(pixel_values=torch.rand(1, 3, SIZE, SIZE))
    hook.remove()
    torch.testing.assert_close(seen[0], official_positions(SIZE // 32, WIDTHS[variant]))
