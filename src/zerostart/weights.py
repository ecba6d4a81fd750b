"""Copy weights into a model: every tensor is accounted for, or one sentence says which is not."""

from pathlib import Path

import torch
from torch import Tensor, nn

from zerostart.errors import InputError


def copy_weights(model: nn.Module, weights: dict[str, Tensor], source: str | Path) -> None:
    """Copy `weights` into `model`; tensors that share memory with a given one count as given.

    Raises InputError naming the first tensor that is missing, unknown or of another shape, with both shapes.
    """
    own = model.state_dict()
    given = {own[name].data_ptr() for name in weights if name in own}
    for name, tensor in own.items():
        if name in weights and weights[name].shape != tensor.shape:
            shapes = f"{tuple(weights[name].shape)} where the model has {tuple(tensor.shape)}"
            raise InputError(f"{source}: tensor '{name}' is {shapes}; is it another variant?")
        if name not in weights and tensor.data_ptr() not in given and not name.endswith("num_batches_tracked"):
            raise InputError(f"{source}: tensor '{name}' is missing; is it another variant?")
    unknown = sorted(set(weights) - set(own))
    if unknown:
        raise InputError(f"{source}: tensor '{unknown[0]}' is unknown to the model; is it another variant?")
    with torch.no_grad():
        for name, tensor in weights.items():
            own[name].copy_(tensor)
