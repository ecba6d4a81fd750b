"""The refinement of a frozen detector's class logits by language.

    S       = normalize(W h + b) · normalize(T)^T / tau        similarity of a query to the class descriptions
    L_final = L_base + ΔW h + Δb + alpha · S                   residual (ours)
    L_final = S + ΔW h + Δb                                    replace  (a published failure, kept to be replayed)

alpha = 0, ΔW = 0 and Δb = 0 make L_final the baseline's own logits, bit for bit ("Zero-Start"; ReZero, Bachlechner et al.
2021, applied to logits). The form of S is CLIP's (Radford et al. 2021, section 2.3).
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from zerostart.params import Params

TAU_RANGE = (0.01, 1.0)


class FusionConfig(BaseModel):
    """What determines the function (not its weights); stored beside every checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: list[str]
    visual_dim: int
    text_dim: int
    mode: Literal["residual", "replace"]
    projector: Literal["linear", "mlp"]
    dropout: float
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

    @torch.no_grad()
    def clamp_tau(self) -> None:
        """Bring tau back into TAU_RANGE, after every optimiser step.

        As CLIP does it. A clamp in the forward pass would have no gradient outside the range: tau could never come back.
        """
        self.log_tau.clamp_(*(math.log(bound) for bound in TAU_RANGE))

    def similarity(self, hidden: Tensor) -> Tensor:
        """S (…×K) of query features (…×D_v)."""
        cosines = self._linear_cosines(hidden) if self.config.projector == "linear" else self._cosines(hidden)
        similarity = cosines / self.tau
        if self.config.center_similarity:
            similarity = similarity - similarity.mean(dim=-1, keepdim=True)
        return similarity

    def _cosines(self, hidden: Tensor) -> Tensor:
        return F.normalize(self.projector(hidden), dim=-1) @ self.text.T

    def _linear_cosines(self, hidden: Tensor) -> Tensor:
        """The same cosines without ever forming the D_t numbers of a projected query.

        T(Wh + b) needs only TW (K×D_v), and |Wh + b|² = hᵀWᵀWh + 2bᵀWh + bᵀb only WᵀW (D_v×D_v): the cost per query
        does not depend on D_t, which is many times D_v.
        """
        weight, bias = self.projector[0].weight, self.projector[0].bias
        dots = F.linear(hidden, self.text @ weight, self.text @ bias)
        squared = (F.linear(hidden, weight.T @ weight) * hidden).sum(dim=-1, keepdim=True)
        squared = squared + 2 * F.linear(hidden, (bias @ weight)[None]) + bias @ bias
        return dots * squared.clamp(min=1e-24).rsqrt()

    def forward(self, hidden: Tensor, base_logits: Tensor) -> Tensor:
        """Refined logits (…×K) from query features (…×D_v) and the detector's own logits (…×K)."""
        delta = self.head_delta(hidden)
        if self.config.mode == "replace":
            return self.similarity(hidden) + delta
        return base_logits + delta + self.alpha * self.similarity(hidden)

    def fusion_parameters(self) -> list[nn.Parameter]:
        """What phase 1 (warmup) trains: projection, alpha and tau."""
        return [*self.projector.parameters(), self.alpha, self.log_tau]

    def head_parameters(self) -> list[nn.Parameter]:
        """What phase 2 (head tuning) adds: the difference to the frozen class head."""
        return list(self.head_delta.parameters())
