"""The loss of phase 3 is the library's own of the whole detector; what is trained, and how fast."""

import copy

import pytest
import torch
from tiny_detector import random_pixels, tiny_detector, zero_start_fusion

from zerostart.decoder.tuned_decoder import TunedDecoder, make_optimizer
from zerostart.detector.pieces import freeze_batch_norm
from zerostart.params import load_params

OBJECTS = [
    {"class_labels": torch.tensor([0, 2]), "boxes": torch.tensor([[0.3, 0.4, 0.2, 0.3], [0.7, 0.6, 0.3, 0.2]])},
    {"class_labels": torch.zeros(0, dtype=torch.int64), "boxes": torch.zeros(0, 4)},
    {"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 0.6, 0.5]])},
]


def encoded(model, pixels):
    with torch.no_grad():
        maps = model.model.encoder(model.model.conv_encoder(pixels)).feature_maps
    return torch.cat([level.flatten(2) for level in maps], dim=2).mT


@pytest.fixture
def detector():
    return tiny_detector()


def library_loss(model, pixels):
    """Loss of the whole detector in training mode with BatchNorm fixed, by `transformers` alone."""
    model.train()
    freeze_batch_norm(model)
    torch.manual_seed(3)
    return model(pixel_values=pixels, labels=OBJECTS).loss


def our_loss(decoder, stored):
    decoder.train()
    torch.manual_seed(3)
    return decoder(stored, OBJECTS)


def test_at_zero_start_the_loss_is_the_librarys_denoising_and_all_layers_included(detector):
    pixels = random_pixels(3)
    assert detector.config.num_denoising > 0
    stored, expected = encoded(detector, pixels), library_loss(copy.deepcopy(detector), pixels)
    found = our_loss(TunedDecoder(detector, zero_start_fusion()), stored)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def test_a_configuration_without_auxiliary_losses_does_not_mix_denoising_queries_in(detector):
    pixels = random_pixels(3)
    stored, expected = encoded(detector, pixels), library_loss(copy.deepcopy(detector), pixels)
    detector.config.auxiliary_loss = False
    found = our_loss(TunedDecoder(detector, zero_start_fusion()), stored)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def test_a_changed_class_head_is_the_last_layers_head_of_the_library(detector):
    pixels = random_pixels(3)
    stored, whole, fusion = encoded(detector, pixels), copy.deepcopy(detector), zero_start_fusion()
    unchanged = library_loss(copy.deepcopy(detector), pixels)
    delta = 0.3 * torch.randn(fusion.head_delta.weight.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        fusion.head_delta.weight.copy_(delta)
        fusion.head_delta.bias.fill_(0.5)
        last = copy.deepcopy(whole.model.decoder.class_embed[-1])  # all layers share one head
        last.weight += delta
        last.bias += 0.5
        whole.model.decoder.class_embed[-1] = last
    expected = library_loss(whole, pixels)
    assert abs(expected - unchanged) > 0.1
    torch.testing.assert_close(our_loss(TunedDecoder(detector, fusion), stored), expected, atol=1e-4, rtol=1e-5)


def test_logits_that_are_not_finite_make_the_loss_nan(detector):
    stored, fusion = encoded(detector, random_pixels(3)), zero_start_fusion()
    with torch.no_grad():
        fusion.head_delta.bias.fill_(torch.inf)
    assert our_loss(TunedDecoder(detector, fusion), stored).isnan()


def test_every_trained_number_has_one_rate_and_only_matrices_decay(detector):
    params = load_params()
    decoder = TunedDecoder(detector, zero_start_fusion())
    names = {parameter: name for name, parameter in decoder.named_parameters()}
    seen = {}
    for group in make_optimizer(decoder, params).param_groups:
        for parameter in group["params"]:
            name = names[parameter]
            assert name not in seen
            seen[name] = group["lr"]
            assert (group["weight_decay"] > 0) == (parameter.ndim > 1), name
    assert seen.keys() == {name for name, parameter in decoder.named_parameters() if parameter.requires_grad}
    assert seen["fusion.projector.0.weight"] == seen["fusion.alpha"] == params.lr.fusion
    assert seen["fusion.head_delta.weight"] == params.lr.head
    assert seen["detector.model.decoder.layers.0.self_attn.q_proj.weight"] == params.lr.decoder
    assert seen["detector.model.enc_bbox_head.layers.0.weight"] == params.lr.decoder
    assert not [name for name in seen if "input_proj" in name or name.endswith(("decoder.up", "reg_scale"))]
    assert "detector.model.decoder.up" in names.values()
