"""Copy weights into a model: every tensor is accounted for, or one sentence says which are not."""

import re
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Size, Tensor, nn

from zerostart.errors import InputError

# Weights whose shape depends on the number of classes.
UNBOUNDED = re.compile(r"(^|\.)anchors$")
"""DEIMv2 marks anchors outside the image by infinity."""
CLASS_HEADS = re.compile(r"enc_score_head|class_embed")


class Mismatch(NamedTuple):
    """A tensor that does not fit: its shape where the weights are from (`given`) and in the model (`expected`)."""

    name: str
    given: Size | None
    expected: Size | None

    def __str__(self) -> str:
        if self.given is None:
            return f"tensor '{self.name}' is missing"
        if self.expected is None:
            return f"tensor '{self.name}' is unknown to the model"
        return f"tensor '{self.name}' is {tuple(self.given)} where the model has {tuple(self.expected)}"


def copy_weights(model: nn.Module, weights: dict[str, Tensor], source: str | Path) -> None:
    """Copy `weights` into `model`; tensors that share memory with a given one count as given.

    Raises InputError naming the first three tensors that are of another shape, missing or unknown, with both shapes, and
    the likely cause, or one that holds a NaN or an infinity. Then nothing was copied.
    """
    check_finite(weights, source)
    if found := mismatches(model, weights):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise InputError(f"{source}: {', '.join(map(str, found[:3]))}{more}; {_likely_cause(found)}")
    parameters = dict(model.named_parameters())
    for name, tensor in weights.items():  # infinity stands in some constant tables (anchors outside the image)
        if tensor.is_floating_point() and (tensor.isnan().any() or (name in parameters and tensor.isinf().any())):
            raise InputError(f"{source}: tensor '{name}' holds values that are no finite numbers; its training has diverged")
    own = model.state_dict()
    with torch.no_grad():
        for name, tensor in weights.items():
            own[name].copy_(tensor)


def check_finite(weights: dict[str, Tensor], source: str | Path) -> None:
    """Raises InputError naming the first tensor that holds a NaN or an infinity, as a training that diverged leaves them."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all() and not UNBOUNDED.search(name):
            raise InputError(
                f"{source}: tensor '{name}' holds {int((~tensor.isfinite()).sum())} values that are NaN or infinite; finite"
                " weights are expected"
            )


def mismatches(model: nn.Module, weights: dict[str, Tensor]) -> list[Mismatch]:
    """Every tensor of the model or of `weights` that does not fit: other shapes first, then missing, then unknown ones."""
    own = model.state_dict()
    given = {own[name].data_ptr() for name in weights if name in own}
    other = [
        Mismatch(name, weights[name].shape, tensor.shape)
        for name, tensor in own.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    missing = [
        Mismatch(name, None, tensor.shape)
        for name, tensor in own.items()
        if name not in weights and tensor.data_ptr() not in given and not name.endswith("num_batches_tracked")
    ]
    return other + missing + [Mismatch(name, weights[name].shape, None) for name in sorted(set(weights) - set(own))]


def _likely_cause(found: list[Mismatch]) -> str:
    if all(re.search(r"(^|\.)(anchors|valid_mask)$", item.name) and item.given and item.expected for item in found):
        return "is it another eval_spatial_size?"
    heads = [item for item in found if CLASS_HEADS.search(item.name) and item.given and item.expected]
    if len(heads) < len(found):
        return "is it another variant?"
    # The denoising embedding has one row more than there are classes: ask a head.
    given, expected = next(((h.given[0], h.expected[0]) for h in heads if "denoising" not in h.name), (None, None))
    counts = f" ({given} and {expected})" if given else ""
    return (
        f"only the class heads differ: is it another number of classes{counts}? num_classes must be the training's own, which"
        " remap_mscoco_category (80 classes for COCO's 91 ids) and category ids that start at 1 (one class more) change"
    )
