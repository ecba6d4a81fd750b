"""Buffers that the official code stores in a checkpoint and computes with, where the `transformers` port makes them anew.

The stored values differ from the made ones: the official EMA averages them (anchors drift by 1e-4 of their value in a long
training), half precision rounds them, and the periods of DINOv3's own weights are bfloat16. After engine/deim/deim_decoder.py
and engine/backbone/vit_tiny.py.
"""

import math
from pathlib import Path

import torch
from torch import Tensor
from transformers import Deimv2ForObjectDetection

from zerostart.errors import InputError

ANCHORS, VALID = "model.anchors", "model.valid_mask"
"""1×L×4: a box (logit of cxcywh) for each of the L positions of all levels; 1×L×1: is it one that queries are chosen from?"""
FREQUENCIES = "model.conv_encoder.backbone.rope_embeddings.inv_freq"
"""Of the rotary positions: 1 / periods."""


def hold_buffers(model: Deimv2ForObjectDetection) -> None:
    """Make them, in place, part of the model's state, and let it compute with them in eval mode; they start as the port's own.

    Training makes anchors anew for its images, as the official code does.
    """
    inner, config = model.model, model.config
    strides = list(config.feat_strides)
    while len(strides) < config.num_feature_levels:
        strides.append(2 * strides[-1])
    config.anchor_image_size = None
    made = inner.generate_anchors(tuple((config.eval_size[0] // stride, config.eval_size[1] // stride) for stride in strides))
    config.anchor_image_size = list(config.eval_size)  # the port's sign for anchors made once
    for name, tensor in zip((ANCHORS, VALID), made, strict=True):
        inner.__dict__.pop(name.removeprefix("model."), None)  # what the port made, for the strides that it knows of
        inner.register_buffer(name.removeprefix("model."), tensor.clone())  # the port shares its own between models
    if rope := getattr(getattr(inner.conv_encoder, "backbone", None), "rope_embeddings", None):
        rope.register_buffer("inv_freq", rope.inv_freq, persistent=True)


def as_the_port_has_it(name: str, tensor: Tensor) -> Tensor:
    """The value of an official buffer (`name`: the port's); other tensors as they are.

    Anchors outside the image are infinite in the official code and the largest number here, which no average turns into NaN.
    """
    if name == FREQUENCIES:
        return 1 / tensor.float()
    return tensor.float().clamp(max=torch.finfo(torch.float32).max) if name == ANCHORS else tensor


def with_buffers(model: Deimv2ForObjectDetection, weights: dict[str, Tensor], source: str | Path) -> dict[str, Tensor]:
    """`weights` with the model's own values for buffers that they lack.

    Raises InputError when their anchors are those of another image size.
    """
    own = {name: tensor for name, tensor in model.state_dict().items() if name in (ANCHORS, VALID, FREQUENCIES)}
    if ANCHORS in weights and weights[ANCHORS].dim() == 3:
        given, expected, side = weights[ANCHORS].shape[1], own[ANCHORS].shape[1], model.config.eval_size[0]
        trained = side * math.sqrt(given / expected)  # there is a position for so many pixels of the image
        if trained != side and trained % 32 == 0:
            raise InputError(
                f"{source}: by their {given} anchors the weights were trained with eval_spatial_size"
                f" {trained:.0f}x{trained:.0f}, but the configuration's is {side}x{side}; the training's own is expected"
            )
    return own | weights


def without_buffers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """For a detector that makes them itself, as one for images of another size must."""
    return {name: tensor for name, tensor in weights.items() if name not in (ANCHORS, VALID, FREQUENCIES)}
