"""From an official configuration and its weights to the detector that they make."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import Deimv2ForObjectDetection

from zerostart.detector.model import build_detector
from zerostart.detector.official.architecture import transformers_config
from zerostart.detector.official.buffers import with_buffers
from zerostart.detector.official.config import OfficialConfig
from zerostart.weights import CLASS_HEADS, copy_weights


def convert(
    official: OfficialConfig, weights: dict[str, Tensor], classes: Sequence[str], source: str | Path
) -> Deimv2ForObjectDetection:
    """The detector that the official code would build and load, in float32.

    weights: under the names of `transformers` (`checkpoint.rename_weights`). classes: names of the head's
    outputs, in order. Raises InputError when configuration and weights do not fit, the image size included, before anything
    is loaded.
    """
    config = transformers_config(official, classes)
    config.official_buffers = True
    model = build_detector(config)
    copy_weights(model, with_buffers(model, weights, source), source)
    return model.eval()


def settle(official: OfficialConfig, weights: dict[str, Tensor]) -> tuple[OfficialConfig, list[str]]:
    """The configuration with what the tensors alone decide, and a sentence for each key where it said otherwise.

    The official loader keeps keys of the configuration loaded before, so that a resolved configuration written after
    another one was loaded may say the wrong thing about the gateway and the sharing of box heads. The tensors cannot.
    """
    found = {"use_gateway": any(".gateway." in name for name in weights)}
    first = "model.decoder.bbox_embed.0."
    layers = (
        (re.sub(r"bbox_embed\.\d+\.", "bbox_embed.0.", name), tensor)
        for name, tensor in weights.items()
        if "bbox_embed" in name
    )
    if not all(torch.equal(tensor, weights[name]) for name, tensor in layers if name in weights and name.startswith(first)):
        found["share_bbox_head"] = False  # equal ones need not be shared: then the configuration is to be believed
    wrong = {key: value for key, value in found.items() if getattr(official.decoder, key) != value}
    decoder = official.decoder.model_copy(update=wrong)
    notes = [
        f"the configuration says {key}: {str(not value).lower()}, the tensors the opposite; they are right"
        for key, value in wrong.items()
    ]
    return dataclasses.replace(official, decoder=decoder), notes


def without_first_outputs(weights: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """The weights of a detector without the first `count` outputs of its class heads, for category ids that start at `count`.

    weights: under the names of `transformers`. Those outputs learned that they are never right. The official code lets them
    take part in the choice of queries, so that results are equal as long as they are no query's highest.
    """
    if count == 0:
        return weights
    # The denoising embedding has a row per class, and one for "no class" at its end.
    return {name: tensor[count:] if CLASS_HEADS.search(name) else tensor for name, tensor in weights.items()}
