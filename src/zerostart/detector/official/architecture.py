"""From an official DEIMv2 configuration to the one of `transformers`."""

from collections.abc import Sequence

from transformers import Deimv2Config, DINOv3ViTConfig, HGNetV2Config

from zerostart.detector.official.config import DINOv3STAs, HGNetv2, HybridEncoder, OfficialConfig

# What the HGNetv2 variants differ in, stage by stage (engine/backbone/hgnetv2.py, `arch_configs`).
HGNET_STAGES = {
    "Atto": {"out": [64, 256, 256], "blocks": [1, 1, 1], "kernel": [3, 3, 3]},
    "Femto": {"out": [64, 256, 512], "blocks": [1, 1, 1], "kernel": [3, 3, 5]},
    "Pico": {"out": [64, 256, 512], "blocks": [1, 1, 2], "kernel": [3, 3, 5]},
    "B0": {"out": [64, 256, 512, 1024], "blocks": [1, 1, 2, 1]},
    "B2": {"stem": [24, 32], "mid": 32, "out": [96, 384, 768, 1536], "blocks": [1, 1, 3, 1], "layers": 4},
    "B4": {"stem": [32, 48], "mid": 48, "out": [128, 512, 1024, 2048], "blocks": [1, 1, 3, 1], "layers": 6},
    "B5": {"stem": [32, 64], "mid": 64, "out": [128, 512, 1024, 2048], "blocks": [1, 2, 5, 2], "layers": 6},
}
"""`mid`: channels inside the first stage, doubled by every further one; `layers`: convolutions of a block."""


def transformers_config(official: OfficialConfig, classes: Sequence[str]) -> Deimv2Config:
    """The configuration of the same architecture, with `classes` as the names of the head's outputs."""
    decoder = official.decoder
    hgnet = isinstance(official.backbone, HGNetv2)
    return Deimv2Config(
        backbone_config=_hgnet(official.backbone) if hgnet else _vit(official.backbone),
        id2label=dict(enumerate(classes)),
        label2id={name: index for index, name in enumerate(classes)},
        eval_size=list(official.task.eval_spatial_size),
        spatial_tuning_adapter_inplanes=16 if hgnet else official.backbone.conv_inplane,
        **_encoder(official),
        d_model=decoder.hidden_dim,
        decoder_in_channels=list(decoder.feat_channels),
        decoder_ffn_dim=decoder.dim_feedforward,
        decoder_layers=decoder.num_layers,
        decoder_attention_heads=decoder.nhead,
        decoder_n_points=decoder.num_points if isinstance(decoder.num_points, int) else list(decoder.num_points),
        num_feature_levels=decoder.num_levels,
        decoder_activation_function=decoder.mlp_act,
        lqe_activation_function=decoder.activation,
        num_queries=decoder.num_queries,
        num_denoising=decoder.num_denoising,
        label_noise_ratio=decoder.label_noise_ratio,
        box_noise_scale=decoder.box_noise_scale,
        max_num_bins=decoder.reg_max,
        reg_scale=decoder.reg_scale,
        share_bbox_head=decoder.share_bbox_head,
        use_gateway=decoder.use_gateway,
        **_normalization(official),
    )


def _encoder(official: OfficialConfig) -> dict:
    encoder = official.encoder
    both = {
        "encoder_hidden_dim": encoder.hidden_dim,
        "encoder_in_channels": list(encoder.in_channels),
        "hidden_expansion": encoder.expansion,
        "depth_mult": encoder.depth_mult,
        "activation_function": encoder.act,
    }
    if not isinstance(encoder, HybridEncoder):
        return both | {"encoder_type": "lite", "encoder_layers": 0, "feat_strides": [16]}
    return both | {
        "encoder_type": "hybrid",
        "encoder_layers": encoder.num_encoder_layers,
        "encoder_attention_heads": encoder.nhead,
        "encoder_ffn_dim": encoder.dim_feedforward,
        "encoder_activation_function": encoder.enc_act,
        "encode_proj_layers": list(encoder.use_encoder_idx),
        "positional_encoding_temperature": encoder.pe_temperature,
        "encoder_has_trailing_conv": encoder.version == "dfine",
        "feat_strides": list(encoder.feat_strides),
    }


def _hgnet(backbone: HGNetv2) -> HGNetV2Config:
    stages = {"stem": [16, 16], "mid": 16, "kernel": [3, 3, 5, 5], "layers": 3} | HGNET_STAGES[backbone.name]
    count = len(stages["out"])
    return HGNetV2Config(
        hidden_sizes=stages["out"],
        depths=[stages["layers"]] * count,
        stem_channels=[3, *stages["stem"]],
        stage_in_channels=[stages["stem"][1], *stages["out"][:-1]],
        stage_mid_channels=[stages["mid"] * 2**stage for stage in range(count)],
        stage_out_channels=stages["out"],
        stage_num_blocks=stages["blocks"],
        stage_downsample=[False, True, True, True][:count],
        stage_light_block=[False, False, True, True][:count],
        stage_kernel_size=stages["kernel"],
        stage_numb_of_layers=[stages["layers"]] * count,
        use_learnable_affine_block=backbone.use_lab,
        out_features=[f"stage{index + 1}" for index in backbone.return_idx],
    )


def _vit(backbone: DINOv3STAs) -> DINOv3ViTConfig:
    """The tiny ViTs are DEIMv2's own (engine/backbone/vit_tiny.py); the others are DINOv3's ViT-S/16 and ViT-S+/16."""
    tiny, gated = backbone.name.startswith("vit_tiny"), backbone.name == "dinov3_vits16plus"
    width = backbone.embed_dim if tiny else 384
    return DINOv3ViTConfig(
        hidden_size=width,
        num_attention_heads=backbone.num_heads if tiny else 6,
        intermediate_size=4 * width,  # ViT-S+: two thirds of 6 * width
        use_gated_mlp=gated,
        hidden_act="silu" if gated else "gelu",
        layer_norm_eps=1e-6 if tiny else 1e-5,
        layerscale_value=1.0 if tiny else 1e-5,
        num_register_tokens=0 if tiny else 4,
        key_bias=True,  # the official layer has it and masks it in DINOv3's own; with rotary positions it is no constant
        apply_layernorm=not tiny,
        pos_embed_rescale=None if tiny else 2.0,
        out_indices=[index + 1 for index in backbone.interaction_indexes],
    )


def _normalization(official: OfficialConfig) -> dict:
    if official.normalize is None:
        return {}
    return {"image_mean": list(official.normalize.mean), "image_std": list(official.normalize.std)}
