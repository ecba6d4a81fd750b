"""Refinements without text: their formulas and their start."""

import pytest
import torch

from zerostart.ablation.control_heads import AffineCalibration, ExtraLinear, HeadDelta

VISUAL, CLASSES, TEXT = 8, 3, 20
HEADS = {
    "delta": lambda: HeadDelta(VISUAL, CLASSES),
    "extra": lambda: ExtraLinear(VISUAL, CLASSES, TEXT, sigma=0.02, seed=1),
    "affine": lambda: AffineCalibration(CLASSES),
}


def perturbed(head):
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return head


@pytest.fixture
def queries():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(5, VISUAL, generator=generator), torch.randn(5, CLASSES, generator=generator)


@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_the_start_is_the_baseline_bit_for_bit(make, queries):
    assert torch.equal(make()(*queries), queries[1])
    assert not torch.equal(perturbed(make())(*queries), queries[1])


def test_formulas(queries):
    hidden, base = queries
    delta, extra, affine = (perturbed(make()) for make in HEADS.values())
    torch.testing.assert_close(delta(hidden, base), base + delta.head_delta(hidden))
    projected = extra.projector(hidden)
    torch.testing.assert_close(
        extra(hidden, base), base + extra.head_delta(hidden) + projected @ extra.classifier.T, rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(affine(hidden, base), base * (1 + affine.gain) + affine.offset)


def test_the_extra_layer_has_the_capacity_of_the_projection():
    """8·20 + 20 of the projection as in the fusion; K·D_t for what the text is there; the head's difference."""
    sizes = {name: parameter.numel() for name, parameter in HEADS["extra"]().named_parameters()}
    assert sizes == {
        "head_delta.weight": 24,
        "head_delta.bias": 3,
        "projector.weight": 160,
        "projector.bias": 20,
        "classifier": 60,
    }
    same, other = ExtraLinear(VISUAL, CLASSES, TEXT, 0.02, 1), ExtraLinear(VISUAL, CLASSES, TEXT, 0.02, 2)
    assert torch.equal(same.projector.weight, HEADS["extra"]().projector.weight)
    assert not torch.equal(same.projector.weight, other.projector.weight)
