"""Weights are copied completely or not at all."""

import pytest
import torch
from torch import nn

from zerostart.errors import InputError
from zerostart.weights import copy_weights


def tied() -> nn.Module:
    """Two names for one layer, a BatchNorm, and one more layer."""
    model = nn.ModuleDict({"first": nn.Linear(2, 3), "norm": nn.BatchNorm1d(3), "last": nn.Linear(3, 1)})
    model["again"] = model["first"]
    return model


@pytest.fixture
def weights():
    torch.manual_seed(1)
    given = {name: torch.randn_like(tensor) for name, tensor in tied().state_dict().items() if tensor.is_floating_point()}
    return {name: tensor for name, tensor in given.items() if not name.startswith("again")}


def test_every_given_tensor_is_copied(weights):
    model = tied()
    copy_weights(model, weights, "source")
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())


def test_a_tied_tensor_may_be_given_under_either_name(weights):
    model = tied()
    renamed = {name.replace("first", "again"): tensor for name, tensor in weights.items()}
    copy_weights(model, renamed, "source")
    assert torch.equal(model["first"].weight, weights["first.weight"])
    assert model["first"] is model["again"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_is_named_and_nothing_is_copied(weights, value):
    model = tied()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights["last.weight"][0, 1] = value
    with pytest.raises(InputError, match=r"^source: tensor 'last\.weight' holds 1 values that are NaN or infinite; finite"):
        copy_weights(model, weights, "source")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_only_the_batch_counter_may_be_missing(weights):
    copy_weights(tied(), weights, "source")  # it has no num_batches_tracked
    for name in weights:
        rest = {other: tensor for other, tensor in weights.items() if other != name}
        with pytest.raises(InputError, match=rf"^source: tensor '(again|{name.split('.')[0]})\.\w+' is missing"):
            copy_weights(tied(), rest, "source")


def test_another_shape_is_named_with_both_shapes(weights):
    weights["last.weight"] = torch.zeros(1, 4)
    with pytest.raises(InputError, match=r"^source: tensor 'last\.weight' is \(1, 4\) where the model has \(1, 3\)"):
        copy_weights(tied(), weights, "source")


def test_the_first_three_are_named_with_the_likely_cause(weights):
    wrong = {name: torch.zeros(7, 7) for name in weights}
    with pytest.raises(InputError) as caught:
        copy_weights(tied(), wrong, "source")
    assert str(caught.value).count("(7, 7) where the model has") == 3
    assert str(caught.value).endswith("and 5 more; is it another variant?")


def heads(classes: int) -> nn.Module:
    model = nn.ModuleDict({"enc_score_head": nn.Linear(2, classes), "denoising_class_embed": nn.Embedding(classes + 1, 2)})
    return model.requires_grad_(False)


def test_another_number_of_classes_is_told_from_another_variant():
    with pytest.raises(InputError, match=r"another number of classes \(7 and 6\)\? .*remap_mscoco_category"):
        copy_weights(heads(6), heads(7).state_dict(), "source")
    with pytest.raises(InputError, match=r"is it another variant\?$"):
        copy_weights(heads(6), heads(7).state_dict() | {"more": torch.zeros(1)}, "source")


def test_an_unknown_tensor_is_named(weights):
    weights["other.weight"] = torch.zeros(1)
    with pytest.raises(InputError, match=r"^source: tensor 'other\.weight' is unknown"):
        copy_weights(tied(), weights, "source")


def test_a_refused_set_changes_nothing(weights):
    model = tied()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(InputError):
        copy_weights(model, weights | {"other.weight": torch.zeros(1)}, "source")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
