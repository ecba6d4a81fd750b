"""Read official DEIMv2 training checkpoints (`.pth`) of the light HGNetv2 variants into the `transformers` layout.

Official layout: a dictionary with `model` and perhaps `ema.module`, keys named as in Intellindust-AI-Lab/DEIMv2.
"""

import re
from pathlib import Path

import torch
from torch import Tensor
from transformers import Deimv2ForObjectDetection

from zerostart.errors import InputError
from zerostart.weights import copy_weights

# Applied in this order to every official key; each rule is (pattern, replacement).
RENAMES = [
    (r"^backbone\.stem\.", "model.conv_encoder.model.embedder."),
    (r"^backbone\.stages\.", "model.conv_encoder.model.encoder.stages."),
    (r"(conv_encoder\..*)\.conv\.", r"\1.convolution."),
    (r"(conv_encoder\..*)\.bn\.", r"\1.normalization."),
    (r"^encoder\.bi_fusion\.cv\.", "model.encoder.bi_fusion_conv."),
    (r"^encoder\.down_sample([12])\.1\.", r"model.encoder.down_conv\1.conv."),
    (r"^encoder\.down_sample([12])\.2\.", r"model.encoder.down_conv\1.norm."),
    (r"^encoder\.(fpn|pan)_block\.cv1\.", r"model.encoder.\1_block.conv1."),
    (r"^encoder\.(fpn|pan)_block\.cv4\.", r"model.encoder.\1_block.conv2."),
    (r"^encoder\.(fpn|pan)_block\.cv2\.0\.", r"model.encoder.\1_block.csp_rep1."),
    (r"^encoder\.(fpn|pan)_block\.cv3\.0\.", r"model.encoder.\1_block.csp_rep2."),
    (r"^encoder\.(fpn|pan)_block\.cv2\.1\.", r"model.encoder.\1_block.csp_rep1.conv2."),
    (r"^encoder\.(fpn|pan)_block\.cv3\.1\.", r"model.encoder.\1_block.csp_rep2.conv2."),
    (r"^encoder\.", "model.encoder."),
    (r"^decoder\.(enc_|denoising_)", r"model.\1"),
    (r"^decoder\.dec_score_head\.", "model.decoder.class_embed."),
    (r"^decoder\.dec_bbox_head\.", "model.decoder.bbox_embed."),
    (r"^decoder\.(query_pos_head|pre_bbox_head)\.", r"model.decoder.\1."),
    (r"^decoder\.decoder\.", "model.decoder."),
    (r"\.self_attn\.out_proj\.", ".self_attn.o_proj."),
    (r"\.cross_attn\.", ".encoder_attn."),
    (r"\.norm1\.scale$", ".self_attn_layer_norm.weight"),
    (r"\.norm2\.scale$", ".encoder_attn_layer_norm.weight"),
    (r"\.norm3\.scale$", ".final_layer_norm.weight"),
    (r"\.swish_ffn\.w3\.", ".mlp.down_proj."),
]
# Anchors are derived from the image size; the outer copies of `up` and `reg_scale` are not used by the decoder.
UNUSED = re.compile(r"^decoder\.(anchors|valid_mask|up|reg_scale)$|num_batches_tracked$")
# Weights whose shape depends on the classes: taken anew when the data set's classes are not the checkpoint's.
CLASS_HEADS = re.compile(r"enc_score_head|class_embed")


def read_official_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The weights of an official checkpoint, EMA preferred, under the names of `transformers`.

    Raises InputError when the file is missing, is not such a checkpoint, or would need unpickling of code.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint; `init` expects an official DEIMv2 .pth file") from None
    except Exception as error:  # torch raises many types for a damaged or foreign file
        raise InputError(f"{path}: not a readable .pth file of plain tensors ({type(error).__name__})") from None
    weights = _weights_of(checkpoint)
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise InputError(f"{path}: not an official DEIMv2 checkpoint, which has tensors by name in 'ema' ('module') or 'model'")
    return rename_weights(weights)


def _weights_of(checkpoint: object) -> object:
    if not isinstance(checkpoint, dict):
        return None
    ema = checkpoint.get("ema")
    return ema.get("module") if isinstance(ema, dict) else checkpoint.get("model")


def rename_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Official names to `transformers` names; fused projections are split into their parts."""
    renamed: dict[str, Tensor] = {}
    for official, tensor in weights.items():
        if UNUSED.search(official):
            continue
        name = official
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
        renamed.update(_split(name, tensor))
    return renamed


def _split(name: str, tensor: Tensor) -> dict[str, Tensor]:
    if "in_proj_" in name:  # torch's MultiheadAttention stacks q, k and v
        parts, old = ["q_proj.", "k_proj.", "v_proj."], "in_proj_"
    elif ".swish_ffn.w12." in name:
        parts, old = [".mlp.gate_proj.", ".mlp.up_proj."], ".swish_ffn.w12."
    else:
        return {name: tensor}
    return {name.replace(old, part): piece for part, piece in zip(parts, tensor.chunk(len(parts)), strict=True)}


def load_official(model: Deimv2ForObjectDetection, weights: dict[str, Tensor], source: str | Path) -> list[str]:
    """Copy `weights` into `model`; class heads of other classes keep the model's own (random) values.

    Returns the names that were kept. Raises InputError as `copy_weights` does: nothing else is ever left out.
    """
    own = model.state_dict()
    kept = [name for name in own if CLASS_HEADS.search(name) and name in weights and weights[name].shape != own[name].shape]
    complete = weights | {name: own[name] for name in kept}
    copy_weights(model, complete, source)
    return kept
