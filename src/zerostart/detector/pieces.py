"""What every training of detector weights shares: the moving average, and batch norms that stay as they are."""

import math

import torch


def update_ema(ema: torch.nn.Module, model: torch.nn.Module, step: int, decay: float) -> None:
    """Exponential moving average of weights and BatchNorm statistics; the decay itself warms up (official EMA)."""
    rate = 1 - decay * (1 - math.exp(-(step + 1) / 300))
    with torch.no_grad():
        # Not state_dict(), which names a tied head several times: it would be averaged as often.
        pairs = zip((*ema.parameters(), *ema.buffers()), (*model.parameters(), *model.buffers()), strict=True)
        for averaged, current in pairs:
            if averaged.is_floating_point():
                averaged.lerp_(current, rate)
            else:
                averaged.copy_(current)


def freeze_batch_norm(model: torch.nn.Module) -> None:
    """BatchNorm in eval mode: its statistics stay as they are."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
