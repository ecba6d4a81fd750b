"""The frozen DEIMv2 detector: build a variant, load and save a baseline folder.

DEIMv2: Huang et al., "Real-Time Object Detection Meets DINOv3" (2025). The model, its matcher and its losses are those of
`transformers`. Its input is RGB in [0, 1]: a detector whose training normalised further does that itself.
"""

import logging
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import Deimv2Config, Deimv2ForObjectDetection
from transformers.utils import logging as transformers_logging

from zerostart.detector.baseline_config import baseline_classes
from zerostart.detector.official.buffers import hold_buffers
from zerostart.detector.official.corrections import follow_official_code
from zerostart.errors import InputError, shown
from zerostart.records import WRONG_SHAPE, check_regular, read_json
from zerostart.weights import copy_weights

MOST_WEIGHTS = 2_000_000_000
"""Of a detector: the largest DEIMv2 has 50 million."""

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
logging.getLogger("transformers").setLevel(logging.ERROR)


def build_detector(config: Deimv2Config) -> Deimv2ForObjectDetection:
    """A detector with random weights (torch's global seed) that computes what the official code computes.

    With `official_buffers` in `config` its anchors and rotary frequencies are part of its state, as in an official checkpoint.
    """
    config.official_decoder = True  # for `load_detector`: transformers' own loader does not make the corrections
    model = follow_official_code(Deimv2ForObjectDetection(config))
    if getattr(config, "official_buffers", False):
        hold_buffers(model)
    return _normalise_pixels(model)


def _normalise_pixels(model: Deimv2ForObjectDetection) -> Deimv2ForObjectDetection:
    """Let the model subtract the mean and divide by the standard deviation in its configuration, if there are any."""
    if getattr(model.config, "image_mean", None) is None:
        return model
    encoder = model.model.conv_encoder
    for name, values in (("image_mean", model.config.image_mean), ("image_std", model.config.image_std)):
        encoder.register_buffer(name, torch.tensor(values).reshape(3, 1, 1), persistent=False)

    def normalise(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return ((inputs[0] - module.image_mean) / module.image_std,)

    encoder.register_forward_pre_hook(normalise)
    return model


def save_detector(model: Deimv2ForObjectDetection, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` (tied tensors once) of a detector of :func:`build_detector`."""
    model.save_pretrained(folder)


def load_detector(folder: str | Path, classes: list[str]) -> Deimv2ForObjectDetection:
    """The frozen detector of a baseline folder, in eval mode with gradients off.

    A folder that `transformers` itself wrote (`official_decoder` is not true) gives the detector that was trained with it:
    without our corrections, and with the normalisation in its `preprocessor_config.json`.

    Raises InputError when a file is missing, when the detector was trained for other classes than `classes` (names and
    order), or when a tensor is missing, unknown or of another shape.
    """
    folder = Path(folder)
    trained_for = baseline_classes(folder)
    if not (folder / "model.safetensors").is_file():
        what = "a baseline is a folder with config.json and model.safetensors"
        raise InputError(f"{folder / 'model.safetensors'}: no such file; {what}")
    check_regular(folder / "model.safetensors")
    try:
        weights = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder}: the baseline cannot be read: {str(error).splitlines()[0]}") from None
    config = _buildable(folder)
    if trained_for != list(classes):
        raise InputError(
            f"{folder / 'config.json'}: the baseline was trained for the classes {trained_for},"
            f" but the data set has {list(classes)}"
        )
    # transformers writes the ViT's blocks without the name of the module around them, and puts it back when it reads.
    weights = {name.replace(".backbone.layer.", ".backbone.model.layer."): tensor for name, tensor in weights.items()}
    model = build_detector(config) if getattr(config, "official_decoder", False) else _build_as_ported(config, folder)
    copy_weights(model, weights, folder / "model.safetensors")
    return model.eval().requires_grad_(False)


def _buildable(folder: Path) -> Deimv2Config:
    """The configuration, if the model of `transformers` can be made from it: tried without memory for its weights."""
    try:
        config = Deimv2Config.from_pretrained(folder)
        with torch.device("meta"):
            model = Deimv2ForObjectDetection(config)
    except Exception as error:  # whatever a wrong value leads to in there
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"{folder / 'config.json'}: no detector can be built from it ({type(error).__name__}: {shown(reason, 200, False)})"
        ) from None
    if (size := sum(tensor.numel() for tensor in model.state_dict().values())) > MOST_WEIGHTS:
        raise InputError(f"{folder / 'config.json'}: describes {size:,} weights; at most {MOST_WEIGHTS:,} are expected")
    return config


def _build_as_ported(config: Deimv2Config, folder: Path) -> Deimv2ForObjectDetection:
    path = folder / "preprocessor_config.json"
    processor = read_json(path, "") if path.exists() else {}
    try:
        if processor.get("do_normalize"):
            _check_colours(processor["image_mean"], processor["image_std"])
        side = config.eval_size or [640, 640]
        height, width = (processor["size"][key] for key in ("height", "width")) if "size" in processor else side
        mean, std = (processor["image_mean"], processor["image_std"]) if processor.get("do_normalize") else (None, None)
        if not path.exists():  # a detector that was saved again
            mean, std = getattr(config, "image_mean", None), getattr(config, "image_std", None)
        expected = height == width and height % 32 == 0 and 32 <= height <= 8192
    except WRONG_SHAPE as error:
        raise InputError(f"{path}: not what an image processor writes ({type(error).__name__}: {error})") from None
    if not expected:
        raise InputError(f"{folder}: the input is {height}x{width} pixels; equal sides, a multiple of 32, are expected")
    model = Deimv2ForObjectDetection(config)
    config.eval_size = [height, width]  # for those who ask for the input's size; the port's layers have read it by now
    config.image_mean, config.image_std = mean, std
    return _normalise_pixels(model)


def _check_colours(mean: list[float], std: list[float]) -> None:
    numbers = [float(value) for value in (*mean, *std)]
    if len(mean) != 3 or len(std) != 3 or not all(abs(value) < 1e6 for value in numbers) or min(map(float, std)) <= 0:
        raise ValueError("image_mean and image_std are expected to be three numbers each, the second above 0")


def look(model: Deimv2ForObjectDetection, **inputs: Tensor | None) -> dict[str, Tensor]:
    """What the cache holds of images: hidden B×Q×D_v, logits B×Q×K, and boxes B×Q×4 within the image.

    inputs: `pixel_values` (B×3×S×S in [0, 1]) or, for a detector without its encoder, `inputs_embeds` (encoder_outputs.py).
    """
    outputs = model(**inputs)
    return {
        "hidden": outputs.last_hidden_state,
        "logits": outputs.logits,
        "boxes": outputs.pred_boxes.clamp(0, 1),
    }
