"""What ranking and boxes can still win on frozen features, beyond mirror images: a quality score, re-ranking, box deltas.

Every arm works on the merged queries of an image (`zerostart.method.merged_views`) and on what the four views say of each. It
is trained on `train`, its epoch, rate and exponent are chosen on `val` (epoch 0, the merged detector, is a candidate), and it
is judged on `test` once. `fitted on val` trains in five folds of `val` instead, which the detector has not been trained on.

    dvc exp run -S dataset=neu-det -S augment_views=3    # features of all four views of the training images
    python bench/head_room.py                            # prints the table of docs/results.md; half an hour on one core
    python bench/head_room.py control                    # could the arms win, were there something to win?

The control puts the truth among the features (IoU with the objects, distance to the nearest one) and judges on `val`.
"""

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_convert, box_iou, generalized_box_iou_loss

from zerostart.cache.views import View, load_view, view_name
from zerostart.datasets.splits import read_split, split_targets
from zerostart.detector.mirror import FLIPS, unflip
from zerostart.errors import InputError, run_stage
from zerostart.method.matching import Targets, compare_boxes, match, matchability_aware_loss
from zerostart.method.merged_views import merge
from zerostart.metrics.bootstrap import resampled_scores, seeds_and_images_interval
from zerostart.metrics.coco import class_indices, composite
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator, mean_over_classes
from zerostart.metrics.resampling import resample_weights
from zerostart.params import load_params

PARAMS = load_params()
SEEDS, FOLDS, BATCH = 5, 5, 32
EXPONENTS = (0.25, 0.5, 1.0, 2.0, 4.0)
LOWEST_LOGIT = -14.0
"""In the place of minus infinity, where fewer queries than those of one view remain."""


class Queries(NamedTuple):
    """The merged queries of one split, and what is learned from."""

    boxes: Tensor
    """N×Q×4 cxcywh."""
    logits: Tensor
    """N×Q×K, minus infinity where there is no query."""
    features: Tensor
    """N×Q×F."""
    overlaps: Tensor
    """N×Q×Q IoUs."""
    targets: list[Targets]
    """Of each image."""
    quality: Tensor
    """N×Q×K: highest IoU with an object of each class."""
    nearest: Tensor
    """N×Q×4: the object with the highest IoU, of any class."""

    def of(self, images: Tensor) -> "Queries":
        """Those of some images."""
        tensors = {name: value[images] for name, value in self._asdict().items() if name != "targets"}
        return Queries(targets=[self.targets[image] for image in images.tolist()], **tensors)


@dataclass(frozen=True)
class Arm:
    """What is learned, and how."""

    name: str
    learns: tuple[str, ...]
    """`rank`: a difference to the logits, by the detector's own loss. `quality`: expected IoU. `box`: deltas."""
    layers: int = 0
    """Attention layers over the queries of an image; 0: every query alone."""
    linear: bool = False
    rates: tuple[float, ...] = (3e-3, 1e-3)
    epochs: int = 20
    on_val: bool = False


ARMS = (
    Arm("class head, linear in the features", ("rank",), linear=True, rates=(1e-2, 1e-3)),
    Arm("class head, MLP", ("rank",)),
    Arm("quality score, MLP", ("quality",)),
    Arm("re-ranking, attention", ("rank",), layers=1, rates=(1e-3,)),
    Arm("box deltas, MLP", ("box",)),
    Arm("quality score and box deltas, attention", ("quality", "box"), layers=1, rates=(1e-3,)),
    Arm("re-ranking and box deltas, attention", ("rank", "box"), layers=1, rates=(1e-3,)),
    Arm("class head, linear, fitted on val", ("rank",), linear=True, on_val=True),
    Arm("quality score, MLP, fitted on val", ("quality",), on_val=True),
)


def read_queries(split: str) -> Queries:
    """The merged queries of a split with features of their views."""
    views = [load_view("data/features", view_name(split, number)) for number in range(len(FLIPS))]
    boxes = [unflip(torch.from_numpy(np.array(view.boxes)), flip) for view, flip in zip(views, FLIPS, strict=True)]
    merged, logits = map(torch.from_numpy, merge([b.numpy() for b in boxes], [v.logits for v in views], PARAMS.merge_iou))
    features, overlaps, targets, quality, nearest = [], [], [], torch.zeros_like(logits), torch.zeros_like(merged)
    for image, objects in enumerate(split_targets(read_split(split))):
        overlaps.append(box_iou(*[box_convert(merged[image], "cxcywh", "xyxy")] * 2).nan_to_num())
        of_views = [(b[image], torch.from_numpy(np.array(v.hidden[image])), torch.from_numpy(np.array(v.logits[image])))
                    for b, v in zip(boxes, views, strict=True)]  # fmt: skip
        features.append(describe(merged[image], logits[image], overlaps[-1], of_views))
        compared = compare_boxes(merged[image : image + 1], [objects])
        targets.append(compared)
        for label, iou in zip(compared.label.tolist(), compared.iou, strict=True):
            quality[image, :, label] = torch.maximum(quality[image, :, label], iou)
        if len(compared.label):
            nearest[image] = objects["boxes"][compared.iou.argmax(dim=0)]
    return Queries(merged, logits, torch.stack(features), torch.stack(overlaps), targets, quality, nearest)


def describe(boxes: Tensor, logits: Tensor, overlaps: Tensor, views: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Q×F features of the merged queries of an image: what the best query of each view on the same place says."""
    found = []
    for view_boxes, hidden, view_logits in views:
        iou, query = box_iou(*(box_convert(b, "cxcywh", "xyxy") for b in (boxes, view_boxes))).nan_to_num().max(dim=1)
        found.append((iou, view_boxes[query], hidden[query], view_logits[query].amax(dim=1)))
    iou, view_boxes, hidden, best = (torch.stack(parts) for parts in zip(*found, strict=True))
    size = boxes[:, 2:].clamp(min=1e-3)
    score = logits.sigmoid().amax(dim=1)
    better = torch.where(score.unsqueeze(1) < score, overlaps, 0.0)
    columns = [hidden.mean(dim=0), hidden.std(dim=0), logits.clamp(min=LOWEST_LOGIT), best.sort(dim=0).values.T]
    columns += [iou.sort(dim=0).values.T, view_boxes.std(dim=0) / size.repeat(1, 2), boxes, size.log()]
    columns += [better.amax(dim=1, keepdim=True), (overlaps * score).sum(dim=1, keepdim=True)]
    return torch.cat(columns, dim=1)


class Attention(nn.Module):
    """Queries of an image look at each other; how much they overlap and which scores higher biases the attention.

    After Relation Networks (Hu et al. 2018), as a transformer layer.
    """

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(width, heads, 2 * width, activation="gelu", batch_first=True, norm_first=True)
        self.bias = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, heads))

    def forward(self, tokens: Tensor, queries: Queries) -> Tensor:
        """N×Q×width."""
        best = queries.logits.amax(dim=2)
        there = best > -torch.inf
        score = best.clamp(min=LOWEST_LOGIT)
        lead = (score.unsqueeze(1) - score.unsqueeze(2)) / 4
        pairs = torch.stack([queries.overlaps, lead, queries.overlaps * (lead > 0)], dim=3)
        bias = self.bias(pairs).permute(0, 3, 1, 2).masked_fill(~there[:, None, None, :], -1e4)
        return self.layer(tokens, src_mask=bias.flatten(0, 1))


class Refiner(nn.Module):
    """Differences to logits and boxes, which start at 0, and a quality of every class."""

    def __init__(self, arm: Arm, queries: Queries, width: int = 64):
        super().__init__()
        flat = queries.features.flatten(0, 1)
        self.register_buffer("mean", flat.mean(dim=0))
        self.register_buffer("scale", flat.std(dim=0).clamp(min=1e-3))
        first = nn.Sequential(nn.Linear(flat.shape[1], width), nn.GELU(), nn.Dropout(0.2))
        self.first = nn.Identity() if arm.linear else first
        self.layers = nn.ModuleList(Attention(width) for _ in range(arm.layers))
        last, classes = flat.shape[1] if arm.linear else width, queries.logits.shape[2]
        self.logit_delta, self.quality, self.box_delta = nn.Linear(last, classes), nn.Linear(last, classes), nn.Linear(last, 4)
        for layer in (self.logit_delta, self.box_delta):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, queries: Queries) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N×Q×K), quality logits (N×Q×K) and boxes (N×Q×4)."""
        tokens = self.first(((queries.features - self.mean) / self.scale).clamp(-6, 6))
        for layer in self.layers:
            tokens = layer(tokens, queries)
        shift, grow = (0.2 * torch.tanh(self.box_delta(tokens))).split(2, dim=2)
        centre, size = queries.boxes.split(2, dim=2)
        boxes = torch.cat([centre + shift * size, size * grow.exp()], dim=2)
        return queries.logits + self.logit_delta(tokens), self.quality(tokens), boxes


def loss(arm: Arm, refiner: Refiner, queries: Queries) -> Tensor:
    """The sum of the losses of what the arm learns."""
    logits, quality, boxes = refiner(queries)
    base, losses = queries.logits.sigmoid(), []
    if "rank" in arm.learns:
        targets = [of_image._replace(image=of_image.image + n) for n, of_image in enumerate(queries.targets)]
        together = Targets(*(torch.cat(parts) for parts in zip(*targets, strict=True)))
        finite = logits.clamp(min=LOWEST_LOGIT)
        losses.append(matchability_aware_loss(finite, together, match(finite.detach(), together))[0])
    if "quality" in arm.learns:
        weight = torch.where(base > 0, base + 0.02, 0.0)
        losses.append(F.binary_cross_entropy_with_logits(quality, queries.quality, weight, reduction="sum") / weight.sum())
    if "box" in arm.learns:
        near = queries.quality.amax(dim=2) >= 0.4
        weight = base.amax(dim=2)[near].sqrt()
        predicted, actual = boxes[near], queries.nearest[near]
        distance = (predicted - actual).abs() / queries.boxes[near][:, 2:].clamp(min=1e-3).repeat(1, 2)
        giou = generalized_box_iou_loss(*(box_convert(b, "cxcywh", "xyxy") for b in (predicted, actual)))
        losses.append((weight * (giou + 0.5 * distance.sum(dim=1))).sum() / weight.sum())
    return sum(losses)


def train(arm: Arm, rate: float, seed: int, queries: Queries, images: Tensor, batch: int) -> Iterator[Refiner]:
    """The refiner after every epoch, the starting point first."""
    torch.manual_seed(seed)
    refiner = Refiner(arm, queries)
    optimizer = torch.optim.AdamW(refiner.parameters(), rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, arm.epochs)
    yield refiner.eval()
    for _ in range(arm.epochs):
        refiner.train()
        for chosen in images[torch.randperm(len(images))].split(batch):
            optimizer.zero_grad()
            loss(arm, refiner, queries.of(chosen)).backward()
            nn.utils.clip_grad_norm_(refiner.parameters(), 1.0)
            optimizer.step()
        schedule.step()
        yield refiner.eval()


@torch.inference_mode()
def refined(arm: Arm, refiner: Refiner, queries: Queries) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, quality logits and boxes of all images; only what the arm learns is changed."""
    logits, quality, boxes = refiner(queries)
    return logits if "rank" in arm.learns else queries.logits, quality, boxes if "box" in arm.learns else queries.boxes


def with_quality(logits: Tensor, quality: Tensor, exponent: float) -> np.ndarray:
    """Logits of score^(1/(1+b)) · quality^(b/(1+b)), as in FCOS-like detectors; b = 0 leaves them as they are."""
    if exponent == 0:
        return logits.numpy()
    logs = (F.logsigmoid(logits.double()) + exponent * F.logsigmoid(quality.double())) / (1 + exponent)
    return torch.logit(logs.exp(), eps=1e-12).where(logits > -torch.inf, -torch.inf).numpy()


class Judge:
    """Scores of refined queries on one split."""

    def __init__(self, split: str):
        self.coco = read_split(split)
        self.view: View = load_view("data/features", split)
        self.critical = class_indices([c["name"] for c in self.coco["categories"]], self.coco["info"]["critical"])
        images = len(self.view.image_id)
        drawn = resample_weights(images, PARAMS.bootstrap_samples, np.random.default_rng(0))
        self.weights = np.hstack([np.ones((images, 1)), drawn])

    def evaluator(self, boxes: Tensor) -> FrozenBoxEvaluator:
        return FrozenBoxEvaluator(boxes.numpy(), self.view.image_id, self.coco)

    def composite(self, evaluator: FrozenBoxEvaluator, logits: np.ndarray) -> float:
        precision, recall = evaluator.evaluate(logits)
        return composite(mean_over_classes(precision), mean_over_classes(recall, self.critical), PARAMS.lambdas)

    def resampled(self, boxes: Tensor, logits: np.ndarray) -> dict[str, np.ndarray]:
        """By metric: on the images themselves, then on resamples of them."""
        return resampled_scores(self.evaluator(boxes).match(logits), self.critical, PARAMS.lambdas, self.weights)


class Chosen(NamedTuple):
    """A refiner and what val says of it."""

    composite: float
    epoch: int
    exponent: float
    state: dict[str, Tensor]


def choose_epoch(arm: Arm, rate: float, seed: int, train_set: Queries, val_set: Queries, judge: Judge) -> Chosen:
    """The epoch and the exponent with the highest composite on val; the earliest of equals."""
    best = Chosen(-1.0, 0, 0.0, {})
    evaluator = judge.evaluator(val_set.boxes)
    for epoch, refiner in enumerate(train(arm, rate, seed, train_set, torch.arange(len(train_set.boxes)), BATCH)):
        logits, quality, boxes = refined(arm, refiner, val_set)
        if "box" in arm.learns and epoch:
            evaluator = judge.evaluator(boxes)
        for exponent in EXPONENTS if "quality" in arm.learns and epoch else (0.0,):
            found = judge.composite(evaluator, with_quality(logits, quality, exponent))
            if found > best.composite:
                best = Chosen(found, epoch, exponent, {name: value.clone() for name, value in refiner.state_dict().items()})
    return best


def choose_by_folds(arm: Arm, rate: float, val_set: Queries, judge: Judge) -> tuple[float, int, float]:
    """Composite, epoch and exponent that are best where each image of val is judged by refiners that did not see it."""
    fold = torch.from_numpy(np.random.default_rng(0).permutation(len(val_set.boxes)) % FOLDS)
    trainings = [train(arm, rate, 0, val_set, (fold != f).nonzero()[:, 0], BATCH) for f in range(FOLDS)]
    best = (-1.0, 0, 0.0)
    evaluator = judge.evaluator(val_set.boxes)
    for epoch, refiners in enumerate(zip(*trainings, strict=True)):
        parts = [refined(arm, refiner, val_set)[:2] for refiner in refiners]
        logits, quality = (torch.stack(p)[fold, torch.arange(len(fold))] for p in zip(*parts, strict=True))
        for exponent in EXPONENTS if "quality" in arm.learns and epoch else (0.0,):
            best = max(best, (judge.composite(evaluator, with_quality(logits, quality, exponent)), epoch, exponent))
    return best


def run(arm: Arm, splits: dict[str, Queries], judges: dict[str, Judge]) -> tuple[float, list[Chosen]]:
    """The mean composite on val of the best rate, and its refiners, one for each seed."""
    by_rate = []
    for rate in arm.rates:
        if arm.on_val:
            found, epoch, exponent = choose_by_folds(arm, rate, splits["val"], judges["val"])
            chosen = []
            for seed in range(SEEDS):
                images = torch.arange(len(splits["val"].boxes))
                epochs = itertools.islice(train(arm, rate, seed, splits["val"], images, BATCH), epoch + 1)
                *_, refiner = epochs
                chosen.append(Chosen(found, epoch, exponent, refiner.state_dict()))
        else:
            chosen = [choose_epoch(arm, rate, seed, splits["train"], splits["val"], judges["val"]) for seed in range(SEEDS)]
        by_rate.append((float(np.mean([c.composite for c in chosen])), chosen))
    return max(by_rate, key=lambda found: found[0])


def voted(queries: Queries, views: list[Tensor], scores: list[Tensor], min_iou: float, power: float) -> Tensor:
    """Boxes (N×Q×4) as means of all boxes of all views that lie on them, weighted by scores to a power."""
    every_box, every_score = torch.cat(views, dim=1), torch.cat(scores, dim=1)
    means = []
    for merged, boxes, score in zip(queries.boxes, every_box, every_score, strict=True):
        iou = box_iou(*(box_convert(b, "cxcywh", "xyxy") for b in (merged, boxes))).nan_to_num()
        weight = (iou >= min_iou) * score**power
        total = weight.sum(dim=1, keepdim=True)
        means.append(torch.where(total > 0, weight @ boxes / total.clamp(min=1e-12), merged))
    return torch.stack(means)


def vote(splits: dict[str, Queries], judges: dict[str, Judge]) -> tuple[float, Tensor]:
    """Box voting without training: the composite on val of the best setting, and the boxes of test with it."""
    found = {}
    for split in ("val", "test"):
        views = [load_view("data/features", view_name(split, number)) for number in range(len(FLIPS))]
        boxes = [unflip(torch.from_numpy(np.array(v.boxes)), flip) for v, flip in zip(views, FLIPS, strict=True)]
        found[split] = boxes, [torch.from_numpy(np.array(v.logits)).sigmoid().amax(dim=2) for v in views]
    settings = list(itertools.product((0.8, 0.7, 0.6, 0.5), (1.0, 2.0, 4.0, 8.0)))
    composites = []
    for min_iou, power in settings:
        boxes = voted(splits["val"], *found["val"], min_iou, power)
        composites.append(judges["val"].composite(judges["val"].evaluator(boxes), splits["val"].logits.numpy()))
    best = int(np.argmax(composites))
    return composites[best], voted(splits["test"], *found["test"], *settings[best])


def row(name: str, epochs: str, val: float, judged: list[dict[str, np.ndarray]], merged: dict[str, np.ndarray]) -> str:
    """One line of the table: differences to the merged detector, paired by resample."""
    cells = []
    for metric in ("mAP", "composite"):
        values = np.stack([of_seed[metric] - merged[metric] for of_seed in judged])
        low, high = seeds_and_images_interval(values[:, 1:], seed=0)
        cells.append(f"{values[:, 0].mean():+.4f} [{low:+.4f}, {high:+.4f}]")
    return f"| {name} | {epochs} | {val:+.4f} | {' | '.join(cells)} |"


def with_truth(queries: Queries) -> Queries:
    """The same with what the arms are to learn among their features."""
    size = queries.boxes[..., 2:].clamp(min=1e-3).repeat(1, 1, 2)
    offset = ((queries.nearest - queries.boxes) / size).clamp(-0.2, 0.2)  # as far as deltas reach
    return queries._replace(features=torch.cat([queries.features, queries.quality, offset], dim=2))


def control(splits: dict[str, Queries], judge: Judge, on_val: float) -> None:
    """Print what the arms gain on val, one seed each, with the truth among the features."""
    train_set, val_set = (with_truth(splits[split]) for split in ("train", "val"))
    print("| arm | composite on val |\n|---|---|")
    for arm in ARMS:
        if not arm.on_val:
            best = max(choose_epoch(arm, rate, 0, train_set, val_set, judge).composite for rate in arm.rates)
            print(f"| {arm.name} | {best - on_val:+.4f} |", flush=True)


def main() -> str:
    if sys.argv[1:] not in ([], ["control"]):
        raise InputError(f"arguments {sys.argv[1:]}; none, or `control`, is expected")
    if (PARAMS.augment_views, PARAMS.test_flips) != (len(FLIPS) - 1, "all"):
        raise InputError("params.yaml: `augment_views: 3` and `test_flips: all` are expected, all four views of every split")
    torch.set_num_threads(1)  # the tensors are small
    torch.backends.mha.set_fastpath_enabled(False)  # it takes no bias for every pair of queries
    splits = {split: read_queries(split) for split in ("train", "val", "test")}
    judges = {split: Judge(split) for split in ("val", "test")}
    on_val = judges["val"].composite(judges["val"].evaluator(splits["val"].boxes), splits["val"].logits.numpy())
    if sys.argv[1:]:
        control(splits, judges["val"], on_val)
        return f"{PARAMS.dataset}, merged views: composite {on_val:.4f} on val"
    test = splits["test"]
    merged = judges["test"].resampled(test.boxes, test.logits.numpy())
    print("| arm | epochs | composite on val | mAP on test | composite on test |\n|---|---|---|---|---|")
    found, boxes = vote(splits, judges)
    print(row("box voting, no training", "", found - on_val, [judges["test"].resampled(boxes, test.logits.numpy())], merged))
    for arm in ARMS:
        found, chosen = run(arm, splits, judges)
        judged = []
        for choice in chosen:
            refiner = Refiner(arm, splits["train"])
            refiner.load_state_dict(choice.state)
            logits, quality, boxes = refined(arm, refiner.eval(), test)
            judged.append(judges["test"].resampled(boxes, with_quality(logits, quality, choice.exponent)))
        epochs = " ".join(str(choice.epoch) for choice in chosen)
        print(row(arm.name, epochs, found - on_val, judged, merged), flush=True)
    return f"{PARAMS.dataset}, merged views: composite {on_val:.4f} on val, {merged['composite'][0]:.4f} on test"


if __name__ == "__main__":
    run_stage(main)
