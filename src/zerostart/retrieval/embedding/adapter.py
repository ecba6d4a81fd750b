"""The adapter: pooled backbone features and MiniLM sentences, each projected into one space (a CLIP in miniature).

Contrastive losses: CLIP (Radford et al. 2021, arXiv 2103.00020) and SigLIP (Zhai et al. 2023, arXiv 2303.15343), both with
several positives per row, because one sentence is true of many crops.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from zerostart.errors import InputError
from zerostart.outputs import write_json
from zerostart.records import WRONG_SHAPE, check_regular, read_json
from zerostart.weights import copy_weights


class Adapter(nn.Module):
    """Two projections into one space; both encoders before them are frozen."""

    def __init__(self, features: int, dimension: int, hidden: int = 0, dropout: float = 0.0) -> None:
        """features: of the pooled backbone; dimension: of the sentences and of the common space; hidden 0: linear."""
        super().__init__()
        self.shape = {"features": features, "dimension": dimension, "hidden": hidden}
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        if hidden:
            layers += [nn.Linear(features, hidden), nn.GELU(), nn.Dropout(dropout)]
        self.image = nn.Sequential(*layers, nn.Linear(hidden or features, dimension))
        self.text = nn.Linear(dimension, dimension, bias=False)
        nn.init.eye_(self.text.weight)  # at the start, sentences are where MiniLM puts them
        self.log_scale = nn.Parameter(torch.tensor(2.3))  # exp(2.3) = 10, SigLIP's start
        self.bias = nn.Parameter(torch.tensor(-5.0))

    def standardise(self, features: Tensor) -> None:
        """Take mean and standard deviation of the training features (n×F)."""
        self.mean.copy_(features.mean(0))
        self.std.copy_(features.std(0).clamp(min=1e-6))

    def embed_patches(self, features: Tensor) -> Tensor:
        """Pooled features …×F of patches to unit embeddings …×D."""
        return functional.normalize(self.image((features - self.mean) / self.std), dim=-1)

    def embed_crops(self, features: Tensor, weights: Tensor) -> Tensor:
        """Unit embeddings B×D of crops from their patches B×V×F, weighted B×V (0 for patches that a crop has not)."""
        return functional.normalize((self.embed_patches(features) * weights[..., None]).sum(1), dim=-1)

    def embed_texts(self, sentences: Tensor) -> Tensor:
        """Unit embeddings n×D of sentences from their MiniLM embeddings n×D."""
        return functional.normalize(self.text(sentences), dim=-1)


def contrastive_loss(similarity: Tensor, truth: Tensor, loss: str) -> Tensor:
    """SigLIP or CLIP loss of logits (B crops × T sentences); truth (B×T bool): which sentence is true of which crop.

    `siglip`: the sum of the binary losses of all pairs over B. `clip`: the mean of both directions' cross entropies against
    targets that share one unit equally among a row's positives.
    """
    if loss == "siglip":
        return -functional.logsigmoid(torch.where(truth, similarity, -similarity)).sum() / len(similarity)
    directions = [(similarity, truth), (similarity.T, truth.T)]
    return sum(-(rows.log_softmax(1) * true).sum(1).div(true.sum(1)).mean() for rows, true in directions) / 2


def save_adapter(adapter: Adapter, backbone: str, input_size: int, folder: Path) -> None:
    """Write adapter.safetensors and config.json into a folder."""
    save_file({name: tensor.contiguous() for name, tensor in adapter.state_dict().items()}, folder / "adapter.safetensors")
    write_json(folder / "config.json", {**adapter.shape, "backbone": backbone, "input_size": input_size})


def load_adapter(folder: str | Path) -> tuple[Adapter, str, int]:
    """The adapter in eval mode, its backbone's path and its input size; raises InputError when a file is missing or damaged."""
    folder = Path(folder)
    config = read_json(folder / "config.json", "the stage `adapter` writes it")
    check_regular(folder / "adapter.safetensors")
    try:
        backbone, input_size = config.pop("backbone"), config.pop("input_size")
        adapter = Adapter(**config)
        weights = load_file(folder / "adapter.safetensors")
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; the stage `adapter` writes it") from None
    except (OSError, RuntimeError, *WRONG_SHAPE, SafetensorError) as error:
        raise InputError(f"{folder}: not an adapter as the stage `adapter` writes it ({error})") from None
    copy_weights(adapter, weights, folder / "adapter.safetensors")
    return adapter.eval().requires_grad_(False), backbone, input_size
