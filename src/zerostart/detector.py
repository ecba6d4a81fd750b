"""The frozen DEIMv2 detector: build a variant, load and save a baseline folder, run it on images.

DEIMv2: Huang et al., "Real-Time Object Detection Meets DINOv3" (2025). The model, its matcher and its losses are those of
`transformers`; what is here is configuration and the corrections that official weights need.
"""

import logging
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import Deimv2Config, Deimv2ForObjectDetection, HGNetV2Config
from transformers.models.deimv2.modeling_deimv2 import Deimv2MLP
from transformers.utils import logging as transformers_logging

from zerostart.errors import InputError
from zerostart.weights import copy_weights

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
logging.getLogger("transformers").setLevel(logging.ERROR)

# What differs between the two HGNetv2 variants whose encoder is the light one (the official configs deimv2_hgnetv2_*_coco.yml).
LIGHT_VARIANTS = {
    "atto": {"last_channels": 256, "last_kernel": 3, "width": 64, "expansion": 0.34, "ffn": 160},
    "femto": {"last_channels": 512, "last_kernel": 5, "width": 96, "expansion": 0.34, "ffn": 256},
}


def variant_config(variant: str, classes: list[str], image_size: int, num_queries: int) -> Deimv2Config:
    """Configuration of a light HGNetv2 variant for `classes`, square inputs of `image_size` pixels."""
    preset = LIGHT_VARIANTS[variant]
    last, width = preset["last_channels"], preset["width"]
    backbone = HGNetV2Config(
        hidden_sizes=[64, 256, last],
        depths=[3, 3, 3],
        stem_channels=[3, 16, 16],
        stage_in_channels=[16, 64, 256],
        stage_mid_channels=[16, 32, 64],
        stage_out_channels=[64, 256, last],
        stage_num_blocks=[1, 1, 1],
        stage_downsample=[False, True, True],
        stage_light_block=[False, False, True],
        stage_kernel_size=[3, 3, preset["last_kernel"]],
        stage_numb_of_layers=[3, 3, 3],
        use_learnable_affine_block=True,
        out_features=["stage3"],
    )
    return Deimv2Config(
        backbone_config=backbone,
        id2label=dict(enumerate(classes)),
        label2id={name: index for index, name in enumerate(classes)},
        encoder_type="lite",
        encoder_layers=0,
        encoder_hidden_dim=width,
        encoder_in_channels=[last],
        feat_strides=[16],
        hidden_expansion=preset["expansion"],
        depth_mult=0.5,
        d_model=width,
        decoder_in_channels=[width, width],
        decoder_ffn_dim=preset["ffn"],
        decoder_layers=3,
        decoder_n_points=[4, 2],
        num_feature_levels=2,
        decoder_activation_function="silu",
        num_queries=num_queries,
        share_bbox_head=True,
        use_gateway=False,
        eval_size=[image_size, image_size],
    )


def follow_official_decoder(model: Deimv2ForObjectDetection) -> Deimv2ForObjectDetection:
    """Correct, in place, what the `transformers` port computes differently from the official code for the same weights.

    1. Query positions are embedded once, from the initial reference points (engine/deim/deim_decoder.py); the port embeds
       the refined ones again in every layer.
    2. The decoder's MLPs use `mlp_act` (SiLU in the light variants); the port leaves most of them at ReLU.
    3. The light variants have no projection before the query selection; the port always has one.
    """
    first: list[Tensor] = []
    decoder = model.model.decoder
    decoder.register_forward_pre_hook(lambda *_: first.clear())

    def reuse_first(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
        if not first:
            first.append(output)
        return first[0]

    decoder.query_pos_head.register_forward_hook(reuse_first)
    for module in model.modules():
        if isinstance(module, Deimv2MLP):
            module.act = nn.SiLU()
    if model.config.encoder_type == "lite":
        model.model.enc_output = nn.Identity()
    return model


def build_detector(config: Deimv2Config) -> Deimv2ForObjectDetection:
    """A detector with random weights (torch's global seed) that computes what the official code computes."""
    return follow_official_decoder(Deimv2ForObjectDetection(config))


def save_detector(model: Deimv2ForObjectDetection, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` (tied tensors once) into `folder`."""
    model.config.official_decoder = True  # transformers' own loader does not make the corrections above
    model.save_pretrained(folder)


def load_detector(folder: str | Path, classes: list[str]) -> Deimv2ForObjectDetection:
    """The frozen detector of a baseline folder, in eval mode with gradients off.

    Raises InputError when a file is missing, when the detector was trained for other classes than `classes` (names and
    order), or when a tensor is missing, unknown or of another shape.
    """
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file; a baseline is a folder with config.json and model.safetensors")
    try:
        config = Deimv2Config.from_pretrained(folder)
        weights = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder}: the baseline cannot be read: {str(error).splitlines()[0]}") from None
    if not getattr(config, "official_decoder", False):
        raise InputError(
            f"{folder / 'config.json'}: official_decoder is not true; a detector trained with the plain transformers port"
            " computes another function and is not supported"
        )
    trained_for = [config.id2label[index] for index in sorted(config.id2label)]
    if trained_for != list(classes):
        raise InputError(
            f"{folder / 'config.json'}: the baseline was trained for the classes {trained_for},"
            f" but the data set has {list(classes)}"
        )
    model = build_detector(config)
    copy_weights(model, weights, folder / "model.safetensors")
    return model.eval().requires_grad_(False)
