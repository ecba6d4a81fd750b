"""Phase 3: the decoder learns, together with the fusion and the class head's difference; backbone and encoder stay frozen.

The loss is DEIMv2's own, on all layers and on the denoising queries; the logits of the last layer are the refined ones.
"""

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from zerostart.decoder.processes import Processes
from zerostart.decoder.tuned_decoder import TunedDecoder, make_optimizer
from zerostart.detector.pieces import update_ema
from zerostart.errors import InputError
from zerostart.method.fusion import TAU_RANGE
from zerostart.method.training import PhaseResult
from zerostart.params import Params
from zerostart.resume import OtherTrainingError, load_training, save_training

CLIP_NORM = 0.1
"""Largest norm of a gradient, as in DEIMv2's configurations."""


class StoredImages:
    """Views of the training images as encoder outputs (N×L×C each) with their objects: item v·N + i is image i in view v."""

    def __init__(self, stored: list[np.ndarray], objects: list[list[dict[str, Tensor]]]):
        self.stored, self.objects, self.images = stored, objects, len(stored[0])

    def __len__(self) -> int:
        return self.images * len(self.stored)

    def batch(self, items: np.ndarray, device: torch.device) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Encoder outputs (B×L×C) and objects of the given items."""
        places = [divmod(item, self.images) for item in items.tolist()]
        stored = torch.from_numpy(np.stack([self.stored[view][image] for view, image in places]))
        objects = [self.objects[view][image] for view, image in places]
        return stored.to(device), [{name: tensor.to(device) for name, tensor in target.items()} for target in objects]


def tune(
    decoder: TunedDecoder,
    images: StoredImages,
    score: Callable[[TunedDecoder], dict[str, float]],
    params: Params,
    checkpoint: Path,
    fingerprint: str,
    group: Processes,
) -> PhaseResult:
    """Train until `epochs.decoder` or `patience` is used up; `best_state` is the choice's state dictionary.

    What is scored and chosen is the moving average of the weights. Epoch 0, the starting point, is a candidate; the earliest
    of equals wins. `score` gives mAP, AR_critical and composite on val. `checkpoint` is written after every epoch; where it
    exists and has the same `fingerprint`, the training goes on from there as if it had not been killed.

    Raises InputError when the loss is not finite.
    """
    optimizer, result = make_optimizer(decoder, params), PhaseResult()
    ema = copy.deepcopy(decoder).requires_grad_(False)
    parts = {"decoder": decoder, "ema": ema, "optimizer": optimizer}
    settings = {"fingerprint": fingerprint}
    if checkpoint.is_file():
        with contextlib.suppress(OtherTrainingError):  # one of another training is as if there were none
            result = PhaseResult(**load_training(checkpoint, settings, parts))
    model = group.wrap(decoder)
    while len(result.history) <= params.epochs.decoder and len(result.history) - 1 - result.best_epoch < params.patience:
        epoch = len(result.history)
        loss = _epoch(model, ema, optimizer, images, params, epoch, group)
        scores = group.once(lambda: score(ema))
        alpha, tau = ema.fusion.alpha.mean().item(), ema.fusion.tau.item()
        result.history.append({"epoch": epoch, "loss": loss, **scores, "alpha": alpha, "tau": tau})
        if scores["composite"] > result.best["composite"]:
            result.best, result.best_epoch = scores, epoch
            result.best_state = {name: tensor.detach().cpu().clone() for name, tensor in ema.state_dict().items()}
        group.once(lambda: save_training(checkpoint, settings, parts, asdict(result)))
    return result


def check_batch_size(params: Params, images: int, group: Processes) -> None:
    """Raise InputError when so many images are less than a batch, or a batch cannot be split evenly."""
    size, parts = params.decoder.batch_size, params.decoder.accumulate * group.count
    key = f"params.yaml: parameter 'decoder.batch_size' is {size}"
    if size % parts:
        raise InputError(f"{key}; a multiple of {parts} (`decoder.accumulate` times the processes) is expected")
    if images < size:
        raise InputError(f"{key}, but there are only {images} training images, mirrored views included")


def _epoch(
    model: nn.Module,
    ema: TunedDecoder,
    optimizer: torch.optim.Optimizer,
    images: StoredImages,
    params: Params,
    epoch: int,
    group: Processes,
) -> float:
    """The mean loss of an epoch's batches, which are learned from; those of epoch 0 are only looked at."""
    model.train()
    torch.manual_seed(params.seed * 100_003 + 1_009 * epoch + group.rank)  # denoising queries and dropout are drawn
    total, passes = torch.zeros((), device=group.device), params.decoder.accumulate
    batches = list(_batches(len(images), params, epoch))
    for step, items in enumerate(tqdm(batches, desc=f"epoch {epoch}", disable=None if group.first else True)):
        for number, part in enumerate(np.split(items, passes * group.count)[group.rank :: group.count], start=1):
            with group.alone(model) if number < passes else contextlib.nullcontext(), torch.set_grad_enabled(epoch > 0):
                loss = model(*images.batch(part, group.device)) / passes
                if not torch.isfinite(loss):
                    raise InputError(f"epoch {epoch}: the loss is {loss.item()}; lower `lr.decoder` in params.yaml")
                if epoch > 0:
                    loss.backward()
            total += loss.detach()
        if epoch > 0:
            _step(model, optimizer)
            update_ema(ema, model, len(batches) * (epoch - 1) + step, params.decoder.ema_decay)
    return group.mean(total) / len(batches)


def _batches(count: int, params: Params, epoch: int) -> Iterator[np.ndarray]:
    """Whole batches of all items, shuffled by seed and epoch alone, so that a resumed training repeats them."""
    generator = torch.Generator().manual_seed(params.seed * 100_003 + epoch)
    order, size = torch.randperm(count, generator=generator).numpy(), params.decoder.batch_size
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def _step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
    optimizer.step()
    optimizer.zero_grad()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("fusion.log_tau"):
                parameter.clamp_(*(math.log(bound) for bound in TAU_RANGE))
