"""Trainings as rows of one matrix: each row is what it would be alone."""

import pytest
import torch

from zerostart.ablation.control_heads import ExtraLinear
from zerostart.method.fusion import TAU_RANGE
from zerostart.method.run_stack import RunStack

VISUAL, CLASSES = 6, 3


class Toy(torch.nn.Module):
    """Every kind of parameter that is treated in its own way, and a buffer."""

    def __init__(self, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.alpha = torch.nn.Parameter(torch.randn(1, generator=generator))
        self.log_tau = torch.nn.Parameter(-torch.rand(1, generator=generator))
        self.weight = torch.nn.Parameter(torch.randn(CLASSES, VISUAL, generator=generator))
        self.register_buffer("text", torch.randn(CLASSES, generator=generator))

    def forward(self, hidden, base_logits):
        scaled = hidden @ self.weight.mT * self.log_tau.exp().unsqueeze(-1) + self.text.unsqueeze(-2)
        return base_logits + self.alpha.unsqueeze(-1) * scaled


@pytest.fixture
def queries():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(5, VISUAL, generator=generator), torch.randn(5, CLASSES, generator=generator)


RATES = [
    {"alpha": 0.01, "log_tau": 0.02, "weight": 0.3},
    {"weight": 0.1},
    {"alpha": 0.5, "log_tau": 0.001},
]


def test_outputs_are_those_of_the_modules(queries):
    modules = [Toy(seed) for seed in range(3)]
    stack = RunStack(modules[0], [module.state_dict() for module in modules], RATES, 0.0)
    outputs = stack(*queries)
    assert outputs.shape == (3, 5, CLASSES)
    for output, module in zip(outputs, modules, strict=True):
        torch.testing.assert_close(output, module(*queries))
    own = torch.stack([queries[0] + run for run in range(3)]), torch.stack([queries[1]] * 3)
    for run, module in enumerate(modules):
        torch.testing.assert_close(stack(*own)[run], module(own[0][run], own[1][run]))


def test_steps_are_those_of_torch_s_adamw(queries):
    modules = [Toy(seed) for seed in range(3)]
    stack = RunStack(Toy(9), [module.state_dict() for module in modules], RATES, weight_decay=0.1)
    before = [stack.state(run) for run in range(3)]
    optimizers = []
    for module, rates in zip(modules, RATES, strict=True):
        groups = [
            {"params": [module.get_parameter(name)], "lr": lr, "weight_decay": 0.1 if name == "weight" else 0.0}
            for name, lr in rates.items()
        ]
        optimizers.append(torch.optim.AdamW(groups))
    for _ in range(20):
        stack.step((stack(*queries) - 1).square().flatten(1).mean(dim=1))
        for module, optimizer in zip(modules, optimizers, strict=True):
            optimizer.zero_grad()
            (module(*queries) - 1).square().mean().backward()
            optimizer.step()
            with torch.no_grad():
                module.log_tau.clamp_(*torch.tensor(TAU_RANGE).log().tolist())
    for run, (module, rates) in enumerate(zip(modules, RATES, strict=True)):
        for name, tensor in stack.state(run).items():
            if name in rates:
                torch.testing.assert_close(tensor, module.state_dict()[name], rtol=1e-4, atol=1e-5)
                assert not torch.equal(tensor, before[run][name])
            else:
                assert torch.equal(tensor, before[run][name])


@pytest.mark.parametrize("direction", [-1, 1])
def test_tau_stays_in_its_range(direction):
    module = Toy(0)
    stack = RunStack(module, [module.state_dict()], [{"log_tau": 5.0}], 0.0)
    stack.step(direction * stack.parameters()["log_tau"].sum(dim=1))
    bound = TAU_RANGE[0 if direction > 0 else 1]
    assert stack.state(0)["log_tau"].exp().item() == pytest.approx(bound, rel=1e-6)


def test_a_state_is_a_copy_that_the_module_takes(queries):
    module = ExtraLinear(VISUAL, CLASSES, 12, sigma=0.1, seed=0)
    stack = RunStack(module, [module.state_dict()] * 2, [dict.fromkeys(dict(module.named_parameters()), 0.1)] * 2, 0.0)
    kept = stack.state(1)
    stack.step((stack(*queries) - 1).square().flatten(1).mean(dim=1))
    assert all(torch.equal(tensor, module.state_dict()[name]) for name, tensor in kept.items())  # not a view
    later = ExtraLinear(VISUAL, CLASSES, 12, sigma=0.1, seed=5)
    later.load_state_dict(stack.state(1))
    torch.testing.assert_close(later(*queries), stack(*queries)[1])
    assert not torch.equal(later(*queries), module(*queries))
