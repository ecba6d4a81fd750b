"""Write and read the checkpoint of a fusion: a configuration with the class names, and the weights."""

from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from zerostart.config import explain_problems
from zerostart.errors import InputError
from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.outputs import write_json
from zerostart.records import check_regular, read_json
from zerostart.weights import copy_weights


def save_fusion(fusion: Fusion, folder: Path) -> None:
    """Write `fusion.json` and `fusion.safetensors` into `folder`."""
    write_json(folder / "fusion.json", fusion.config.model_dump())
    save_file({name: tensor.contiguous() for name, tensor in fusion.state_dict().items()}, folder / "fusion.safetensors")


def load_fusion(folder: str | Path, classes: list[str]) -> Fusion:
    """The fusion of a checkpoint folder, in eval mode.

    Raises InputError when a file is missing or damaged, or when it was trained for other classes (names and order).
    """
    folder = Path(folder)
    raw = read_json(folder / "fusion.json", "not a readable fusion checkpoint without it")
    check_regular(folder / "fusion.safetensors")
    try:
        config = FusionConfig.model_validate(raw)
        weights = load_file(folder / "fusion.safetensors")
    except ValidationError as error:
        raise InputError(f"{folder / 'fusion.json'}: {explain_problems(error, kind='key')}") from None
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder}: not a readable fusion checkpoint: {' '.join(str(error).split())}") from None
    if config.classes != list(classes):
        raise InputError(f"{folder / 'fusion.json'}: trained for the classes {config.classes}, but the data set has {classes}")
    fusion = Fusion(config, torch.ones(len(classes), config.text_dim))
    copy_weights(fusion, weights, folder / "fusion.safetensors")
    return fusion.eval()
