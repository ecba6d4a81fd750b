"""Refinements of the class logits without any text: what could be learned from the labels alone.

Like `Fusion` they start at exactly the baseline and accept several trainings at once (run_stack.py).
"""

import torch
from torch import Tensor, nn

from zerostart.method.fusion import affine


class HeadDelta(nn.Module):
    """L_base + ΔW h + Δb: the class head's difference alone."""

    def __init__(self, visual_dim: int, classes: int):
        super().__init__()
        self.head_delta = nn.Linear(visual_dim, classes)
        nn.init.zeros_(self.head_delta.weight)
        nn.init.zeros_(self.head_delta.bias)

    def forward(self, hidden: Tensor, base_logits: Tensor) -> Tensor:
        """Refined logits (…×K) from query features (…×D_v) and the detector's own logits (…×K)."""
        return base_logits + affine(hidden, self.head_delta)


class ExtraLinear(HeadDelta):
    """L_base + ΔW h + Δb + V (W h + b): the fusion's projection with a learned matrix V, zero at first, for the text."""

    def __init__(self, visual_dim: int, classes: int, text_dim: int, sigma: float, seed: int):
        super().__init__(visual_dim, classes)
        self.projector = nn.Linear(visual_dim, text_dim)
        nn.init.normal_(self.projector.weight, std=sigma, generator=torch.Generator().manual_seed(seed))
        nn.init.zeros_(self.projector.bias)
        self.classifier = nn.Parameter(torch.zeros(classes, text_dim))

    def forward(self, hidden: Tensor, base_logits: Tensor) -> Tensor:
        """Refined logits (…×K) from query features (…×D_v) and the detector's own logits (…×K)."""
        combined = (self.classifier @ self.projector.weight).mT  # D_v×K: two linear maps in a row are one
        offset = (self.classifier @ self.projector.bias.unsqueeze(-1)).mT
        return super().forward(hidden, base_logits) + hidden @ combined + offset


class AffineCalibration(nn.Module):
    """L_base · (1 + a) + c with two numbers per class (Platt 1999, of each class alone)."""

    def __init__(self, classes: int):
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(classes))
        self.offset = nn.Parameter(torch.zeros(classes))

    def forward(self, hidden: Tensor, base_logits: Tensor) -> Tensor:
        """Refined logits (…×K) from the detector's own logits (…×K); the features are not looked at."""
        return base_logits * (1 + self.gain.unsqueeze(-2)) + self.offset.unsqueeze(-2)
