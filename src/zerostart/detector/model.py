"""The frozen DEIMv2 detector: build a variant, load and save a baseline folder.

DEIMv2: Huang et al., "Real-Time Object Detection Meets DINOv3" (2025). The model, its matcher and its losses are those of
`transformers`. Its input is RGB in [0, 1]: a detector whose training normalised further does that itself.
"""

import json
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import Deimv2Config, Deimv2ForObjectDetection
from transformers.utils import logging as transformers_logging

from zerostart.detector.official.corrections import follow_official_code
from zerostart.errors import InputError
from zerostart.weights import copy_weights

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
logging.getLogger("transformers").setLevel(logging.ERROR)


def build_detector(config: Deimv2Config) -> Deimv2ForObjectDetection:
    """A detector with random weights (torch's global seed) that computes what the official code computes."""
    config.official_decoder = True  # for `load_detector`: transformers' own loader does not make the corrections
    return _normalise_pixels(follow_official_code(Deimv2ForObjectDetection(config)))


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
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file; a baseline is a folder with config.json and model.safetensors")
    try:
        config = Deimv2Config.from_pretrained(folder)
        weights = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder}: the baseline cannot be read: {str(error).splitlines()[0]}") from None
    trained_for = [config.id2label[index] for index in sorted(config.id2label)]
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


def _build_as_ported(config: Deimv2Config, folder: Path) -> Deimv2ForObjectDetection:
    path = folder / "preprocessor_config.json"
    try:
        processor = json.loads(path.read_text()) if path.is_file() else {}
        side = config.eval_size or [640, 640]
        height, width = (processor["size"][key] for key in ("height", "width")) if "size" in processor else side
        mean, std = (processor["image_mean"], processor["image_std"]) if processor.get("do_normalize") else (None, None)
        if not path.is_file():  # a detector that was saved again
            mean, std = getattr(config, "image_mean", None), getattr(config, "image_std", None)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not what an image processor writes ({type(error).__name__}: {error})") from None
    if height != width or height % 32:
        raise InputError(f"{folder}: the input is {height}x{width} pixels; equal sides, a multiple of 32, are expected")
    model = Deimv2ForObjectDetection(config)
    config.eval_size = [height, width]  # for those who ask for the input's size; the port's layers have read it by now
    config.image_mean, config.image_std = mean, std
    return _normalise_pixels(model)


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
