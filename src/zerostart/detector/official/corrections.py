"""What the `transformers` port of DEIMv2 computes differently from the official code for the same weights, corrected."""

import threading

import torch
from torch import Tensor, nn
from transformers import Deimv2ForObjectDetection
from transformers.activations import ACT2CLS
from transformers.models.deimv2.modeling_deimv2 import Deimv2AIFILayer, Deimv2MLP
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTEmbeddings


def follow_official_code(model: Deimv2ForObjectDetection) -> Deimv2ForObjectDetection:
    """Correct, in place, all of it.

    1. Query positions are embedded once, from the initial reference points (engine/deim/deim_decoder.py); the port embeds
       the refined ones again in every layer.
    2. The box heads and the query positions use `mlp_act`, the quality estimator `activation` (SiLU in all published
       variants); the port leaves most of them at ReLU.
    3. There is no projection before the query selection; the port always has one, with a LayerNorm.
    4. The hybrid encoder adds position embeddings to its attention in eval mode too (engine/deim/hybrid_encoder.py); the
       port leaves them out as soon as `eval_size` is known.
    5. DEIMv2's own tiny ViTs have no final norm (engine/backbone/vit_tiny.py); the port applies one to the last block. Nor
       have they register tokens: the port joins an empty tensor of them, which OpenVINO's reader cannot expand.
    """
    _embed_initial_positions(model)
    _set_activations(model)
    model.model.enc_output = nn.Identity()
    for module in model.modules():
        if isinstance(module, Deimv2AIFILayer):
            module.eval_size = None  # the port's sign for embeddings made for the map at hand: the same values
    backbone = model.config.backbone_config
    if backbone.model_type == "dinov3_vit" and not backbone.apply_layernorm:
        model.model.conv_encoder.backbone.norm = nn.Identity()
        model.model.conv_encoder.backbone.embeddings.__class__ = _WithoutRegisters
    return model


class _WithoutRegisters(DINOv3ViTEmbeddings):
    def forward(self, pixel_values: Tensor, bool_masked_pos: None = None) -> Tensor:
        """The class token and the patches' (B×(1+N)×D) of images (B×3×H×W)."""
        patches = self.patch_embeddings(pixel_values).flatten(2).transpose(1, 2)
        # By `shape`, which a tracer follows: `len` would be a constant of the exported graph.
        return torch.cat([self.cls_token.expand(patches.shape[0], -1, -1), patches], dim=1)


def _embed_initial_positions(model: Deimv2ForObjectDetection) -> None:
    passing = threading.local()  # several threads may call one detector, each with images of its own
    decoder = model.model.decoder

    def forget(*_) -> None:
        passing.first = None

    def reuse_first(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
        if passing.first is None:
            passing.first = output
        return passing.first

    decoder.register_forward_pre_hook(forget)
    decoder.query_pos_head.register_forward_hook(reuse_first)


def _set_activations(model: Deimv2ForObjectDetection) -> None:
    decoder, mlp_act = model.model.decoder, model.config.decoder_activation_function
    # Baselines made before the two were told apart have one activation for both.
    lqe_act = getattr(model.config, "lqe_activation_function", mlp_act)
    heads = [model.model.enc_bbox_head, decoder.pre_bbox_head, decoder.query_pos_head, *decoder.bbox_embed, *model.bbox_embed]
    for head in heads:
        head.act = ACT2CLS[mlp_act]()
    for module in decoder.lqe_layers.modules():
        if isinstance(module, Deimv2MLP):
            module.act = ACT2CLS[lqe_act]()
