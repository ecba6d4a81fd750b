"""The state of a training that goes on after a kill as if there had been none."""

from pathlib import Path
from typing import Any

import torch

from zerostart.errors import InputError
from zerostart.outputs import output_file


class OtherTrainingError(InputError):
    """The state is that of a training with other settings."""


def save_training(path: Path, settings: dict[str, Any], parts: dict[str, Any], values: dict[str, Any]) -> None:
    """Write the state of a training, replacing the last one in one step.

    settings: what must be equal for it to go on. parts: what has a `state_dict`: model, optimiser. values: anything else.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    with output_file(path) as temporary:
        torch.save({"settings": settings, "parts": states, "values": values}, temporary)


def load_training(path: Path, settings: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Fill the parts from `path` and return the values; raises OtherTrainingError naming the settings that differ."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    if changed := ", ".join(name for name in settings if state["settings"].get(name) != settings[name]):
        raise OtherTrainingError(f"{path}: this training was started with another {changed}; delete it to start anew")
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    return state["values"]
