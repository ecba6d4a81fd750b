"""Build a ConvNeXt tagger, fill it with weights, save it and load it again: a logit per tag, no softmax.

Liu et al. 2022, "A ConvNet for the 2020s" (arXiv 2201.03545); the implementation is timm's.
"""

from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub.errors import HfHubHTTPError
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm.models.convnext import ConvNeXt
from torch import nn

from zerostart.config import FrozenModel, Name, explain_problems
from zerostart.errors import InputError
from zerostart.records import check_regular, checked_json
from zerostart.tagging.params import ModelParams, Side
from zerostart.weights import copy_weights

HEAD = "head.fc.weight"
"""Name of the class head's weight in every ConvNeXt of timm: its rows are the classes."""


def build_tagger(params: ModelParams, tags: int) -> ConvNeXt:
    """A ConvNeXt with `tags` logits; random weights come from torch's global seed, a new head always does.

    Raises InputError when there is no such model, when its weights cannot be fetched or do not fit.
    """
    if params.name.split(".")[0] not in timm.list_models("convnext*"):
        raise InputError(f"model '{params.name}' is no ConvNeXt of timm; for example convnext_atto is expected")
    options = params.options.model_dump()
    try:
        model = _started_model(params, tags, options)
    except InputError:  # a ValueError too
        raise
    except (TypeError, ValueError, AssertionError, LookupError) as error:
        raise InputError(f"model '{params.name}' cannot be built with the options {options}: {_first_line(error)}") from None
    return model.to(memory_format=torch.channels_last)  # trains about 1.5 times as fast on a CPU


def _started_model(params: ModelParams, tags: int, options: dict[str, Any]) -> ConvNeXt:
    if params.weights == "random":
        model = timm.create_model(params.name, num_classes=tags, **options)
        _initialise(model)
        return model
    fetched = params.weights == "pretrained"
    model = _fetched(params.name, options) if fetched else _from_file(params.name, params.weights, options)
    model.reset_classifier(tags)
    return model


def _initialise(model: ConvNeXt) -> None:
    """Random weights after He et al. 2015 (arXiv 1502.01852), the head apart.

    timm's (deviation 0.02 everywhere) are for trainings of 300 epochs: a small network on few pictures hardly starts from them.
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module is not model.head.fc:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def _fetched(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True, **options)
    except (OSError, RuntimeError, HfHubHTTPError) as error:
        raise InputError(
            f"the weights of '{name}' cannot be fetched ({_first_line(error)}); `weights` may also be `random` or the path of"
            " their model.safetensors"
        ) from None


def _from_file(name: str, path: str, options: dict[str, Any]) -> nn.Module:
    """The model with all weights of a file, whatever number of classes its head has."""
    check_regular(path)
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the model.safetensors of '{name}' is expected there") from None
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({_first_line(error)})") from None
    if HEAD not in weights:
        raise InputError(f"{path}: no tensor '{HEAD}'; the weights of a ConvNeXt of timm are expected")
    model = timm.create_model(name, num_classes=len(weights[HEAD]), **options)
    copy_weights(model, weights, path)
    return model


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class _Config(FrozenModel):
    """config.json of an engine."""

    input_size: Side
    model: ModelParams
    tags: tuple[Name, ...]


def save_engine(model: nn.Module, params: ModelParams, tags: tuple[str, ...], input_size: int, folder: Path) -> None:
    """Write `config.json` and `model.safetensors`."""
    config = _Config(model=params, tags=tags, input_size=input_size)
    (folder / "config.json").write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    save_file({name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")


def load_engine(folder: str | Path, tags: tuple[str, ...]) -> tuple[ConvNeXt, int]:
    """The frozen tagger of a folder in eval mode, and the side of its input.

    Raises InputError when a file is missing, or when the tagger was trained for other tags (names or order).
    """
    folder = Path(folder)
    check_regular(folder / "model.safetensors")
    try:
        config = _Config.model_validate_json(checked_json(folder / "config.json", "the tagging stages write it"))
        weights = load_file(folder / "model.safetensors")
    except ValidationError as error:
        raise InputError(f"{folder}/config.json: {explain_problems(error, kind='key')}") from None
    except InputError:  # a ValueError too
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder}: no readable tagger in it ({_first_line(error)})") from None
    if config.tags != tags:
        raise InputError(f"{folder}: trained for the tags {', '.join(config.tags)}; {', '.join(tags)} are expected")
    model = build_tagger(config.model.model_copy(update={"weights": "random"}), len(tags))
    copy_weights(model, weights, folder)
    return model.eval().requires_grad_(False), config.input_size


@torch.inference_mode()
def features_and_logits(model: ConvNeXt, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pooled features (B×D, what the last layer sees) and logits (B×K) of model inputs."""
    pooled = model.forward_head(model.forward_features(inputs), pre_logits=True)
    return pooled, model.head.fc(pooled)
