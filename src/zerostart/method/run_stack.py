"""Several trainings of one module as the rows of one matrix: arms × seeds × learning rates in one batched computation.

Every parameter of the module then has a leading dimension R and every output as well; the rows never meet, so that each
training is what it would be alone. AdamW is Loshchilov & Hutter 2019, algorithm 2, with a learning rate for each
number: 0 keeps a parameter as it is.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from zerostart.method.fusion import TAU_RANGE

BETAS, EPSILON = (0.9, 0.999), 1e-8
NOT_DECAYED = ("alpha", "log_tau")
"""Weights of a sum, not of features: decay would pull them to 0 and tau to 1, whatever the data say."""


class RunStack:
    """R trainings of `module`, each from its own starting point.

    states: R state dictionaries (parameters and buffers). rates: for each training the learning rate of every parameter
    that it trains, by name; those without one stay as they are.
    """

    def __init__(self, module: nn.Module, states: list[dict[str, Tensor]], rates: list[dict[str, float]], weight_decay: float):
        self.module = module
        self.shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
        device = next(module.parameters()).device
        rows = [torch.cat([state[name].flatten() for name in self.shapes]) for state in states]
        self.values = torch.stack(rows).to(device).requires_grad_()
        """R×P: the parameters of each training, one after another."""
        self.buffers = {name: torch.stack([state[name] for state in states]).to(device) for name, _ in module.named_buffers()}
        self.rates = torch.stack([self._per_number(given) for given in rates]).to(device)
        decays = {name: weight_decay for name in self.shapes if name.rsplit(".", 1)[-1] not in NOT_DECAYED}
        self.decay = self._per_number(decays).to(device)
        self.mean, self.square = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self.steps = 0

    def __len__(self) -> int:
        return len(self.values)

    def __call__(self, hidden: Tensor, base_logits: Tensor) -> Tensor:
        """Refined logits R×M×K of M queries (hidden M×D_v, base_logits M×K), or of M for each training (R×M×…)."""
        return functional_call(self.module, self.parameters() | self.buffers, (hidden, base_logits))

    def parameters(self) -> dict[str, Tensor]:
        """Views of the matrix: R×shape for each parameter."""
        parts = self.values.split([shape.numel() for shape in self.shapes.values()], dim=1)
        return {name: part.view(len(self), *shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def state(self, run: int) -> dict[str, Tensor]:
        """A copy of the state of one training."""
        tensors = self.parameters() | self.buffers
        return {name: tensor[run].detach().cpu().clone() for name, tensor in tensors.items()}

    def step(self, losses: Tensor) -> None:
        """One AdamW step of every training down its own loss (R)."""
        (gradient,) = torch.autograd.grad(losses.sum(), self.values)
        self.steps += 1
        with torch.no_grad():
            self.mean.lerp_(gradient, 1 - BETAS[0])
            self.square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            scale = _sqrt_(self.square / (1 - BETAS[1] ** self.steps)).add_(EPSILON)
            update = (self.mean / (1 - BETAS[0] ** self.steps)).div_(scale).addcmul_(self.decay, self.values)
            self.values.addcmul_(self.rates, update, value=-1)
            if (log_tau := self.parameters().get("log_tau")) is not None:
                log_tau.clamp_(*(math.log(bound) for bound in TAU_RANGE))

    def _per_number(self, by_name: dict[str, float]) -> Tensor:
        return torch.cat([torch.full((shape.numel(),), by_name.get(name, 0.0)) for name, shape in self.shapes.items()])


def _sqrt_(values: Tensor) -> Tensor:
    """Square roots in place, on a CPU NumPy's, exactly rounded: torch takes MKL's, which differ between Intel and AMD."""
    if values.device.type != "cpu":
        return values.sqrt_()
    array = values.numpy()
    np.sqrt(array, out=array)
    return values
