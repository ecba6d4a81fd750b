"""Read official DEIMv2 training checkpoints (`.pth`) into the `transformers` layout.

Official layout: a dictionary with `model` and perhaps `ema.module`, keys named as in Intellindust-AI-Lab/DEIMv2.
"""

import re
from pathlib import Path

import torch
from torch import Tensor
from transformers import Deimv2ForObjectDetection

from zerostart.detector.official.buffers import as_the_port_has_it, without_buffers
from zerostart.errors import InputError
from zerostart.records import first_bytes, stands_for_another
from zerostart.weights import CLASS_HEADS, check_finite, copy_weights

VIT = "model.conv_encoder.backbone."
FUSION_BLOCK = r"^encoder\.((?:fpn|pan)_blocks?(?:\.\d+)?)\."
# Applied in this order to every official key; each rule is (pattern, replacement).
RENAMES = [
    # HGNetv2
    (r"^backbone\.stem\.", "model.conv_encoder.model.embedder."),
    (r"^backbone\.stages\.", "model.conv_encoder.model.encoder.stages."),
    (r"(conv_encoder\.model\..*)\.conv\.", r"\1.convolution."),
    (r"(conv_encoder\.model\..*)\.bn\.", r"\1.normalization."),
    # ViT: the tiny ones are wrapped once more
    (r"^backbone\.dinov3\.(?:_model\.)?", VIT),
    (r"backbone\.patch_embed\.proj\.", "backbone.embeddings.patch_embeddings."),
    (r"backbone\.(cls_token|mask_token)$", r"backbone.embeddings.\1"),
    (r"backbone\.storage_tokens$", "backbone.embeddings.register_tokens"),
    (r"backbone\.rope_embed\.periods$", "backbone.rope_embeddings.inv_freq"),
    (r"backbone\.blocks\.", "backbone.model.layer."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.mlp\.(?:fc1|w2)\.", ".mlp.up_proj."),
    (r"\.mlp\.(?:fc2|w3)\.", ".mlp.down_proj."),
    (r"\.mlp\.w1\.", ".mlp.gate_proj."),
    (r"\.ls([12])\.gamma$", r".layer_scale\1.lambda1"),
    # Spatial tuning adapter: a GELU stands before the later convolutions
    (r"^backbone\.sta\.stem\.", "backbone.sta.stem_conv."),
    (r"^backbone\.sta\.(stem_conv|conv2)\.0\.", r"model.conv_encoder.spatial_tuning_adapter.\1.conv."),
    (r"^backbone\.sta\.(stem_conv|conv2)\.1\.", r"model.conv_encoder.spatial_tuning_adapter.\1.norm."),
    (r"^backbone\.sta\.(conv[34])\.1\.", r"model.conv_encoder.spatial_tuning_adapter.\1.conv."),
    (r"^backbone\.sta\.(conv[34])\.2\.", r"model.conv_encoder.spatial_tuning_adapter.\1.norm."),
    (r"^backbone\.(conv|norm)s\.(\d)\.", r"model.conv_encoder.fusion_proj.\2.\1."),
    # Both encoders
    (FUSION_BLOCK + r"cv1\.", r"model.encoder.\1.conv1."),
    (FUSION_BLOCK + r"cv4\.", r"model.encoder.\1.conv2."),
    (FUSION_BLOCK + r"cv2\.0\.", r"model.encoder.\1.csp_rep1."),
    (FUSION_BLOCK + r"cv3\.0\.", r"model.encoder.\1.csp_rep2."),
    (FUSION_BLOCK + r"cv2\.1\.", r"model.encoder.\1.csp_rep1.conv2."),
    (FUSION_BLOCK + r"cv3\.1\.", r"model.encoder.\1.csp_rep2.conv2."),
    # LiteEncoder
    (r"^encoder\.bi_fusion\.cv\.", "model.encoder.bi_fusion_conv."),
    (r"^encoder\.down_sample([12])\.1\.", r"model.encoder.down_conv\1.conv."),
    (r"^encoder\.down_sample([12])\.2\.", r"model.encoder.down_conv\1.norm."),
    # HybridEncoder
    (r"^encoder\.downsample_convs\.(\d+)\.0\.cv([12])\.", r"model.encoder.downsample_convs.\1.conv\2."),
    (r"^encoder\.encoder\.(.*)\.linear1\.", r"model.encoder.aifi.\1.mlp.layers.0."),
    (r"^encoder\.encoder\.(.*)\.linear2\.", r"model.encoder.aifi.\1.mlp.layers.1."),
    (r"^encoder\.encoder\.(.*)\.norm1\.", r"model.encoder.aifi.\1.self_attn_layer_norm."),
    (r"^encoder\.encoder\.(.*)\.norm2\.", r"model.encoder.aifi.\1.final_layer_norm."),
    (r"^encoder\.encoder\.", "model.encoder.aifi."),
    (r"^encoder\.", "model.encoder."),
    # DEIMTransformer
    (r"^decoder\.(enc_|denoising_|anchors$|valid_mask$)", r"model.\1"),
    (r"^decoder\.input_proj\.", "model.decoder_input_proj."),
    (r"^decoder\.dec_score_head\.", "model.decoder.class_embed."),
    (r"^decoder\.dec_bbox_head\.", "model.decoder.bbox_embed."),
    (r"^decoder\.(query_pos_head|pre_bbox_head)\.", r"model.decoder.\1."),
    (r"^decoder\.(?:decoder\.)?(up|reg_scale)$", r"model.decoder.\1"),  # one tensor with two names
    (r"^decoder\.decoder\.", "model.decoder."),
    (r"\.self_attn\.out_proj\.", ".self_attn.o_proj."),
    (r"\.cross_attn\.", ".encoder_attn."),
    (r"\.norm1\.scale$", ".self_attn_layer_norm.weight"),
    (r"\.norm2\.scale$", ".encoder_attn_layer_norm.weight"),
    (r"\.norm3\.scale$", ".final_layer_norm.weight"),
    (r"\.gateway\.norm\.scale$", ".gateway.norm.weight"),
    (r"\.swish_ffn\.w3\.", ".mlp.down_proj."),
]
WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+")
UNUSED = re.compile(r"num_batches_tracked$")
# Stacked projections: what marks them, and what their equal parts are called.
STACKED = {
    ".in_proj_": (".q_proj.", ".k_proj.", ".v_proj."),  # torch's MultiheadAttention
    ".attn.qkv.": (".attention.q_proj.", ".attention.k_proj.", ".attention.v_proj."),
    ".swish_ffn.w12.": (".mlp.gate_proj.", ".mlp.up_proj."),
}


def read_official_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The weights of an official checkpoint, EMA preferred, under the names of `transformers`.

    Raises InputError when the file is missing, is not such a checkpoint, or would need unpickling of code.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such checkpoint; an official DEIMv2 .pth file is expected")
    if not path.is_file():
        raise InputError(f"{path}: not a regular file; an official DEIMv2 .pth file is expected")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch raises many types for a damaged or foreign file
        start = first_bytes(path)
        kind = (stands_for_another(start) or type(error).__name__) if start else "an empty file"
        raise InputError(f"{path}: not a readable .pth file of plain tensors ({kind})") from None
    weights = _weights_of(checkpoint)
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise InputError(f"{path}: not an official DEIMv2 checkpoint, which has tensors by name in 'ema' ('module') or 'model'")
    weights = _without_wrappers(weights)
    if not any(name.startswith("decoder.") for name in weights):
        raise InputError(f"{path}: not an official DEIMv2 checkpoint: no tensor's name starts with 'decoder.'")
    check_finite(weights, path)
    return rename_weights(weights)


def _without_wrappers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what torch puts before them: `module.` for several GPUs, `_orig_mod.` for a compiled model."""
    return {WRAPPERS.sub("", name): tensor for name, tensor in weights.items()}


def _weights_of(checkpoint: object) -> object:
    if not isinstance(checkpoint, dict):
        return None
    ema = checkpoint.get("ema")
    return ema.get("module") if isinstance(ema, dict) else checkpoint.get("model")


def rename_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Official names to `transformers` names; stacked projections are split, what only the port has is made neutral."""
    hybrid = any(name.startswith("encoder.fpn_blocks.") for name in weights)
    renamed: dict[str, Tensor] = {}
    for name, tensor in _masked(weights).items():
        if UNUSED.search(name):
            continue
        if hybrid:  # the port has these outside of that encoder
            name = re.sub(r"^encoder\.input_proj\.", "model.conv_encoder.encoder_input_proj.", name)
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
        renamed.update(_split(name, as_the_port_has_it(name, tensor)))
    return renamed | _neutral(renamed)


def _masked(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """DINOv3's attention multiplies its bias by a stored mask, which is 0 for the keys."""
    bias = {name: name.replace("bias_mask", "bias") for name in weights if name.endswith(".bias_mask")}
    masked = {target: weights[target] * weights[mask] for mask, target in bias.items() if target in weights}
    return {name: tensor for name, tensor in (weights | masked).items() if name not in bias}


def _split(name: str, tensor: Tensor) -> dict[str, Tensor]:
    for mark, parts in STACKED.items():
        if mark in name:
            pieces = zip(parts, tensor.chunk(len(parts)), strict=True)
            return {name.replace(mark, part): piece for part, piece in pieces}
    return {name: tensor}


def _neutral(renamed: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values that change nothing for what the port's ViT has and DEIMv2's tiny ones have not."""
    tokens = VIT + "embeddings."
    added: dict[str, Tensor] = {}
    mask = renamed.get(tokens + "mask_token")
    if mask is not None:
        return {tokens + "mask_token": mask.reshape(1, 1, -1)}
    for name, tensor in renamed.items():
        if name == tokens + "cls_token":
            added[tokens + "mask_token"] = torch.zeros_like(tensor)  # of DINOv3's pre-training only
            added[tokens + "register_tokens"] = tensor[:, :0]
        elif name.startswith(VIT) and (norm := re.search(r"\.norm([12])\.weight$", name)):
            added[name.replace(norm[0], f".layer_scale{norm[1]}.lambda1")] = torch.ones_like(tensor)
    return added


def load_official(model: Deimv2ForObjectDetection, weights: dict[str, Tensor], source: str | Path) -> list[str]:
    """Copy `weights` into `model`; class heads of other classes keep the model's own (random) values.

    model: one that makes anchors itself, for images of any size. Returns the names that were kept. Raises InputError as
    `copy_weights` does: nothing else is ever left out.
    """
    own, weights = model.state_dict(), without_buffers(weights)
    kept = [name for name in own if CLASS_HEADS.search(name) and name in weights and weights[name].shape != own[name].shape]
    complete = weights | {name: own[name] for name in kept}
    copy_weights(model, complete, source)
    return kept
