"""Train a DEIMv2 detector with its own loss. The result is the frozen baseline of every experiment after it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor
from tqdm import tqdm
from transformers import Deimv2ForObjectDetection

from zerostart.config import Count, FrozenModel, Integer, Name, NotNegative, Number, Positive, Rate
from zerostart.detector.pieces import freeze_batch_norm, update_ema
from zerostart.detector.pixels import pixel_values
from zerostart.detector_training.augmentation import augment
from zerostart.errors import InputError
from zerostart.resume import load_training, save_training


class TrainingParams(FrozenModel):
    """Parameters of one detector training (pipelines/detector/params.yaml)."""

    variant: Literal["atto", "femto"]
    init: Name | None
    """Official `.pth` checkpoint or baseline folder (class heads only for as many classes); null: random weights."""
    image_size: Annotated[Integer, Field(ge=64, le=8192, multiple_of=32)]
    """Side of the square input, pixels."""
    num_queries: Annotated[Count, Field(le=10_000)]
    num_denoising: Annotated[Count, Field(le=10_000)]
    extra_images: Annotated[Integer, Field(ge=0, le=1_000_000)]
    """Further generated training images (synthetic data only)."""
    freeze_batch_norm: bool
    """Keep BatchNorm's statistics and affine fixed (right for `init`)."""
    local_loss: bool
    """Add D-FINE's fine-grained localisation and distillation losses to MAL and the box losses."""
    epochs: Annotated[Count, Field(le=10_000)]
    zoom_epochs: Annotated[Integer, Field(ge=0, le=10_000)]
    """First epochs, with zoom-and-shift crops; the others are closer to what val and test look like."""
    batch_size: Annotated[Count, Field(le=65536)]
    lr: Rate
    head_lr_scale: Annotated[Positive, Field(le=1_000_000)]
    """Learning rate of the class heads, as a multiple of `lr`."""
    warmup_steps: Annotated[Integer, Field(ge=0, le=1_000_000_000)]
    weight_decay: Annotated[NotNegative, Field(le=1000)]
    clip_norm: Annotated[Positive, Field(le=1_000_000_000)]
    ema_decay: Annotated[Number, Field(ge=0, lt=1)]
    patience: Count
    seed: Annotated[Integer, Field(ge=0, lt=2**32)]

    @field_validator("num_queries")
    @classmethod
    def _enough_to_select_from(cls, value: int, info: ValidationInfo) -> int:
        if "image_size" not in info.data:  # it is wrong itself, and reported
            return value
        side = info.data["image_size"]
        positions = (side // 16) ** 2 + (side // 32) ** 2
        if value > positions:
            raise ValueError(f"the queries are selected among {positions} positions when image_size is {side}")
        return value


@dataclass
class TrainingState:
    """Everything a killed training needs to go on as if it had not been killed."""

    model: Deimv2ForObjectDetection
    ema: Deimv2ForObjectDetection
    optimizer: torch.optim.Optimizer
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    """One row per finished epoch: epoch, loss and the scores on val, `mAP` among them."""

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """The (first) epoch with the highest mAP on val; 0 before any."""
        best = max((row["mAP"] for row in self.history), default=None)
        return next((index for index, row in enumerate(self.history, 1) if row["mAP"] == best), 0)

    def parts(self) -> dict[str, Any]:
        return {"model": self.model, "ema": self.ema, "optimizer": self.optimizer}


def make_optimizer(model: Deimv2ForObjectDetection, params: TrainingParams) -> torch.optim.AdamW:
    """AdamW with DEIMv2's habits: no decay on norms and biases, an own rate for the class heads."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        head = "class_embed" in name or "enc_score_head" in name
        decays = parameter.ndim > 1
        groups.setdefault((head, decays), []).append(parameter)
    return torch.optim.AdamW(
        {
            "params": members,
            "lr": params.lr * (params.head_lr_scale if head else 1.0),
            "weight_decay": params.weight_decay if decays else 0.0,
        }
        for (head, decays), members in groups.items()
    )


def rate_factor(step: int, total: int, warmup: int) -> float:
    """Linear warm-up, then half a cosine down to 2 % of the learning rate."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def epoch_batches(
    images: Tensor, targets: list[dict[str, Tensor]], params: TrainingParams, epoch: int
) -> Iterator[tuple[Tensor, list[dict[str, Tensor]]]]:
    """Shuffled, augmented batches of one epoch; a function of seed and epoch alone, so that a resumed run repeats it."""
    generator = torch.Generator().manual_seed(params.seed * 100_003 + epoch)
    order = torch.randperm(len(images), generator=generator)
    for chosen in order.split(params.batch_size):
        if len(chosen) < params.batch_size:
            return
        batch = images[chosen].to(torch.float32).div_(255)
        yield augment(batch, [targets[index] for index in chosen.tolist()], generator, zoom=epoch < params.zoom_epochs)


def train_epoch(
    state: TrainingState,
    images: Tensor,
    targets: list[dict[str, Tensor]],
    params: TrainingParams,
    device: torch.device,
) -> float:
    """One pass over the training images; returns the mean loss. Raises InputError when the loss is not finite."""
    state.model.train()
    if params.freeze_batch_norm:
        freeze_batch_norm(state.model)
    steps = len(images) // params.batch_size
    torch.manual_seed(params.seed * 100_003 + state.epoch)  # the denoising queries draw from the global generator
    rates = [group.setdefault("initial_lr", group["lr"]) for group in state.optimizer.param_groups]
    total = 0.0
    batches = epoch_batches(images, targets, params, state.epoch)
    for batch, batch_targets in tqdm(batches, total=steps, desc=f"epoch {state.epoch + 1}", disable=None):
        factor = rate_factor(state.step, steps * params.epochs, params.warmup_steps)
        for group, rate in zip(state.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        pixels = batch.to(device).contiguous(memory_format=torch.channels_last)
        labels = [{key: value.to(device) for key, value in target.items()} for target in batch_targets]
        loss = _finite_loss(state, pixels, labels)
        state.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), params.clip_norm)
        state.optimizer.step()
        update_ema(state.ema, state.model, state.step, params.ema_decay)
        state.step += 1
        total += loss.item()
    return total / steps


def _finite_loss(state: TrainingState, pixels: Tensor, labels: list[dict[str, Tensor]]) -> Tensor:
    try:
        loss = state.model(pixel_values=pixels, labels=labels).loss
        problem = None if torch.isfinite(loss) else f"the loss is {loss.item()}"
    except ValueError as error:  # the matcher refuses boxes that are NaN before there is a loss
        problem = str(error).splitlines()[0]
    if problem:
        raise InputError(f"epoch {state.epoch + 1}: the training diverged ({problem}); lower `lr` or `clip_norm`")
    return loss


@torch.inference_mode()
def predict(model: Deimv2ForObjectDetection, images: Tensor, batch_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Eval-mode logits (N×Q×K) and boxes (N×Q×4, cxcywh) of uint8 images (N×3×S×S)."""
    model.eval()
    outputs = [model(pixel_values=pixel_values(chunk).to(device)) for chunk in images.split(batch_size)]
    logits = torch.cat([output.logits for output in outputs])
    return logits.cpu(), torch.cat([output.pred_boxes for output in outputs]).cpu()


def train(
    state: TrainingState,
    images: Tensor,
    targets: list[dict[str, Tensor]],
    params: TrainingParams,
    checkpoint: Path,
    score: Callable[[Deimv2ForObjectDetection], dict[str, float]],
    report: Callable[[list[dict[str, float]]], None],
    keep: Callable[[Deimv2ForObjectDetection], None],
) -> None:
    """Train until `epochs` or `patience` is used up, resuming from `checkpoint` when it exists.

    images: N×3×S×S uint8. `score(ema)` gives the numbers on val, of which `mAP` is maximised; `keep(ema)` is called after
    every epoch that is the best so far, `report(history)` after every epoch.

    Raises InputError when there is less than one batch of images, when the checkpoint is of another training, or when the
    loss is not finite.
    """
    if len(images) < params.batch_size:
        raise InputError(f"`batch_size` is {params.batch_size}, but there are only {len(images)} training images")
    device = next(state.model.parameters()).device
    if checkpoint.is_file():
        values = load_training(checkpoint, params.model_dump(), state.parts())
        state.step, state.history = values["step"], values["history"]
    while state.epoch < params.epochs and state.epoch - state.best_epoch < params.patience:
        loss = train_epoch(state, images, targets, params, device)
        state.history.append({"epoch": state.epoch + 1, "loss": loss, **score(state.ema)})
        if state.best_epoch == state.epoch:
            keep(state.ema)
        report(state.history)
        save_training(checkpoint, params.model_dump(), state.parts(), {"step": state.step, "history": state.history})
