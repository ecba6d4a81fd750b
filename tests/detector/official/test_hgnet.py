"""The HGNetv2 backbones of the sizes S, M, L and X compute what the official ones do."""

import pytest
import torch
from official_checkpoint import NAMES, SIZE, random_weights, write_config
from official_hgnet import stage_maps

from zerostart.detector.official.checkpoint import rename_weights
from zerostart.detector.official.config import read_official_config
from zerostart.detector.official.conversion import convert, settle


@torch.no_grad()
@pytest.mark.parametrize("variant", ["B0", "B2", "B4", "B5"])
def test_its_maps_are_the_official_ones(variant, tmp_path):
    weights = random_weights(variant)
    renamed = rename_weights(weights)
    config, notes = settle(read_official_config(write_config(tmp_path, variant)), renamed)
    assert notes == []
    model, pixels = convert(config, renamed, NAMES, variant).double(), torch.rand(1, 3, SIZE, SIZE, dtype=torch.float64)
    expected = stage_maps({name: tensor.double() for name, tensor in weights.items()}, pixels)
    backbone = model.model.conv_encoder.model
    for ours, theirs in zip(backbone(pixels).feature_maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
    output = model(pixel_values=pixels)
    assert output.logits.shape == (1, 20, len(NAMES)) and output.logits.isfinite().all()
