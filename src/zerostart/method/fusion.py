"""The refinement of a frozen detector's class logits by language.

    S       = normalize(W h + b) · normalize(T)^T / tau        similarity of a query to the class descriptions
    L_final = L_base + ΔW h + Δb + alpha · S                   residual (ours)
    L_final = S + ΔW h + Δb                                    replace  (a published failure, kept to be replayed)

alpha = 0, ΔW = 0 and Δb = 0 make L_final the baseline's own logits, bit for bit ("Zero-Start"; ReZero, Bachlechner et al.
2021, applied to logits). The form of S is CLIP's (Radford et al. 2021, section 2.3).
"""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from zerostart.config import Count, NotNegative
from zerostart.params import Params

Dimension = Annotated[Count, Field(le=8192)]
TAU_RANGE = (0.01, 1.0)
"""Bounds of tau. Training brings log tau back after a step that left them, as CLIP does it: a clamp in the forward pass would
have no gradient outside, and tau could never come back."""


class FusionConfig(BaseModel):
    """What determines the function (not its weights); stored beside every checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: Annotated[list[str], Field(min_length=1)]
    visual_dim: Dimension
    text_dim: Dimension
    mode: Literal["residual", "replace"]
    projector: Literal["linear", "mlp"]
    dropout: Annotated[NotNegative, Field(lt=1)]
    alpha_per_class: bool
    center_similarity: bool

    @classmethod
    def from_params(cls, params: Params, classes: list[str], visual_dim: int, text_dim: int) -> "FusionConfig":
        """The part of the parameters that shapes the module."""
        shared = {name: getattr(params, name) for name in cls.model_fields if name in Params.model_fields}
        return cls(classes=classes, visual_dim=visual_dim, text_dim=text_dim, **shared)


class Fusion(nn.Module):
    """Text similarity and class head delta on top of frozen query features.

    text: K×D_t class embeddings, frozen; they are part of the checkpoint.
    """

    def __init__(self, config: FusionConfig, text: Tensor):
        super().__init__()
        expected = (len(config.classes), config.text_dim)
        if text.shape != expected:
            raise ValueError(f"text embeddings of shape {tuple(text.shape)}; {expected} (classes, text_dim) is expected")
        self.config = config
        self.register_buffer("text", F.normalize(text.to(torch.float32), dim=1))
        visual, out = config.visual_dim, config.text_dim
        if config.projector == "linear":
            self.projector = nn.Sequential(nn.Linear(visual, out))
        else:
            hidden = 2 * visual
            self.projector = nn.Sequential(
                nn.Linear(visual, hidden), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(hidden, out)
            )
        self.alpha = nn.Parameter(torch.zeros(len(config.classes) if config.alpha_per_class else 1))
        self.log_tau = nn.Parameter(torch.zeros(1))
        self.head_delta = nn.Linear(visual, len(config.classes))
        nn.init.zeros_(self.head_delta.weight)
        nn.init.zeros_(self.head_delta.bias)

    @torch.no_grad()
    def initialize(self, params: Params) -> "Fusion":
        """Set the starting point: alpha_init, tau, and projection weights N(0, sigma²) or Xavier, with zero bias.

        The weights depend on `seed` alone.
        """
        generator = torch.Generator().manual_seed(params.seed)
        for layer in self.projector:
            if isinstance(layer, nn.Linear):
                if params.weight_init == "xavier":
                    nn.init.xavier_uniform_(layer.weight, generator=generator)
                else:
                    nn.init.normal_(layer.weight, std=params.sigma, generator=generator)
                nn.init.zeros_(layer.bias)
        self.alpha.fill_(params.alpha_init)
        self.log_tau.fill_(math.log(params.tau))
        return self

    @property
    def tau(self) -> Tensor:
        """Temperature."""
        return self.log_tau.exp()

    def similarity(self, hidden: Tensor) -> Tensor:
        """S (…×K) of query features (…×D_v)."""
        return self._scale(self._cosines_and_delta(hidden)[0])

    def forward(self, hidden: Tensor, base_logits: Tensor) -> Tensor:
        """Refined logits (…×K) from query features (…×D_v) and the detector's own logits (…×K)."""
        delta, text = self.contributions(hidden)
        if self.config.mode == "replace":
            return text + delta
        return base_logits + delta + text

    def contributions(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What is added to the detector's logits: ΔW h + Δb and alpha · S (both …×K; S alone where it replaces them)."""
        cosines, delta = self._cosines_and_delta(hidden)
        similarity = self._scale(cosines)
        return delta, similarity if self.config.mode == "replace" else self.alpha.unsqueeze(-2) * similarity

    def _scale(self, cosines: Tensor) -> Tensor:
        similarity = cosines / self.tau.unsqueeze(-1)
        if self.config.center_similarity:
            similarity = similarity - similarity.mean(dim=-1, keepdim=True)
        return similarity

    def _cosines_and_delta(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.projector == "linear":
            return self._linear_cosines_and_delta(hidden)
        projected = hidden
        for layer in self.projector:
            projected = affine(projected, layer) if isinstance(layer, nn.Linear) else layer(projected)
        return F.normalize(projected, dim=-1) @ self.text.mT, affine(hidden, self.head_delta)

    def _linear_cosines_and_delta(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The same without ever forming the D_t numbers of a projected query.

        T(Wh + b) needs only TW (K×D_v), and |Wh + b|² = hᵀWᵀWh + 2bᵀWh + bᵀb only WᵀW (D_v×D_v): the cost per query
        does not depend on D_t, which is many times D_v. One product with all these columns costs hardly more than one of them.
        """
        weight, bias = self.projector[0].weight, self.projector[0].bias.unsqueeze(-1)
        columns = [weight.mT @ weight, (self.text @ weight).mT, weight.mT @ bias, self.head_delta.weight.mT]
        widths = [part.shape[-1] for part in columns]
        widths.append(-sum(widths) % 8)  # matrix products of full vector registers are a quarter faster
        products = hidden @ F.pad(torch.cat(columns, dim=-1), (0, widths[-1]))
        gram, dots, cross, delta, _ = products.split(widths, dim=-1)
        squared = (gram * hidden).sum(dim=-1, keepdim=True) + 2 * cross + bias.mT @ bias
        cosines = (dots + (self.text @ bias).mT) * squared.clamp(min=1e-24).rsqrt()
        return cosines, delta + self.head_delta.bias.unsqueeze(-2)

    def fusion_parameters(self) -> list[str]:
        """Names of what phase 1 (warmup) trains: projection, alpha and tau."""
        return [name for name, _ in self.named_parameters() if not name.startswith("head_delta")]

    def head_parameters(self) -> list[str]:
        """Names of what phase 2 (head tuning) adds: the difference to the frozen class head."""
        return [name for name, _ in self.named_parameters() if name.startswith("head_delta")]


def affine(hidden: Tensor, layer: nn.Linear) -> Tensor:
    """The layer's function, also when its weight (…×out×in) and bias (…×out) hold several trainings (see run_stack.py)."""
    return hidden @ layer.weight.mT + layer.bias.unsqueeze(-2)
