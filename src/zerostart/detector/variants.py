"""The light DEIMv2 variants that are built here from a preset."""

from transformers import Deimv2Config

from zerostart.detector.official.architecture import transformers_config
from zerostart.detector.official.config import DEIMTransformer, HGNetv2, LiteEncoder, OfficialConfig, Task

# What differs between the two variants that are trained here (the official configs deimv2_hgnetv2_*_coco.yml).
LIGHT_VARIANTS = {"atto": {"channels": 256, "width": 64, "ffn": 160}, "femto": {"channels": 512, "width": 96, "ffn": 256}}


def variant_config(variant: str, classes: list[str], image_size: int, num_queries: int) -> Deimv2Config:
    """Configuration of a light HGNetv2 variant for `classes`, square inputs of `image_size` pixels."""
    preset = LIGHT_VARIANTS[variant]
    width = preset["width"]
    official = OfficialConfig(
        task=Task(num_classes=len(classes), eval_spatial_size=(image_size, image_size)),
        backbone=HGNetv2(name=variant.capitalize(), return_idx=(2,), use_lab=True),
        encoder=LiteEncoder(in_channels=(preset["channels"],), hidden_dim=width, expansion=0.34, depth_mult=0.5),
        decoder=DEIMTransformer(
            hidden_dim=width,
            feat_channels=(width, width),
            num_levels=2,
            num_points=(4, 2),
            num_layers=3,
            dim_feedforward=preset["ffn"],
            num_queries=num_queries,
            activation="silu",
            mlp_act="silu",
            use_gateway=False,
            share_bbox_head=True,
        ),
        normalize=None,
    )
    return transformers_config(official, classes)
