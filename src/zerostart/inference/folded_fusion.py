"""A trained fusion without its text: everything that does not depend on the image is one matrix (D×K) and a few constants."""

import torch
from torch import Tensor, nn

from zerostart.method.fusion import Fusion


class FoldedFusion(nn.Module):
    """Computes what a :class:`Fusion` in eval mode does.

    With the projection's last layer W a + b (a: the query features, or the MLP's hidden layer) the similarity is
    (T W a + T b) / (tau · |W a + b|), where |W a + b|² = aᵀ WᵀW a + 2 bᵀW a + bᵀb. The norm depends on the query and stays a
    division. alpha and tau are part of the D×K matrix.
    """

    def __init__(self, fusion: Fusion):
        super().__init__()
        self.config = fusion.config
        *self.trunk, last = (layer for layer in fusion.projector if not isinstance(layer, nn.Dropout))
        self.trunk = nn.Sequential(*self.trunk)
        with torch.no_grad():
            weight, bias, text = last.weight.double(), last.bias.double(), fusion.text.double()
            gain = 1 / fusion.tau.double() * (fusion.alpha.double() if self.config.mode == "residual" else 1)
            if self.config.center_similarity:
                text = text - text.mean(dim=0)  # a mean over classes commutes with the products: centred S is linear in T
            constants = {
                "text": (text @ weight).mT * gain,
                "text_bias": text @ bias * gain,
                "gram": weight.mT @ weight,
                "cross": 2 * weight.mT @ bias,
                "squared_bias": bias @ bias,
                "delta": fusion.head_delta.weight.mT,
                "delta_bias": fusion.head_delta.bias,
            }
        for name, value in constants.items():
            self.register_buffer(name, value.float().contiguous())

    def contributions(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`zerostart.method.fusion.Fusion.contributions`."""
        features = self.trunk(hidden)
        squared = (features @ self.gram * features).sum(dim=-1, keepdim=True)
        squared = squared + (features @ self.cross).unsqueeze(-1) + self.squared_bias
        text = (features @ self.text + self.text_bias) / squared.clamp(min=1e-24).sqrt()
        return hidden @ self.delta + self.delta_bias, text

    def forward(self, hidden: Tensor, base_logits: Tensor) -> Tensor:
        """Refined logits (…×K) from query features (…×D_v) and the detector's own logits (…×K)."""
        delta, text = self.contributions(hidden)
        return text + delta if self.config.mode == "replace" else base_logits + delta + text
