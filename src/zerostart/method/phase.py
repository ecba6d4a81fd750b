"""What the stages `warmup`, `head_tuning` and, in part, `decoder_tuning` share: their inputs, and the files that they leave."""

from pathlib import Path

import torch

from zerostart.cache.views import View, load_view, view_name
from zerostart.datasets.splits import read_split, split_targets
from zerostart.detector.mirror import FLIPS, flip_targets
from zerostart.detector.model import load_detector
from zerostart.device import default_device
from zerostart.errors import InputError
from zerostart.method.cached_images import CachedImages, TrainingImages
from zerostart.method.checkpoint import save_fusion
from zerostart.method.fusion import Fusion
from zerostart.method.live_images import LiveImages
from zerostart.method.training import PhaseResult, Run, Schedule, ValidationScore, train_phase
from zerostart.outputs import stage_folder, write_json, write_records
from zerostart.params import Params


def run_phase(name: str, fusion: Fusion, rates: dict[str, float], epochs: int, params: Params) -> str:
    """Train a phase, on the cache unless `live`, and write models/<name>, plots/<name>.csv and metrics/<name>.json.

    rates: the learning rate of every parameter that the phase trains, by name.
    """
    if not params.live:
        torch.set_num_threads(1)  # tiny tensors: threads cost more than they give, and one gives the same sums everywhere
    train, val = read_split("train"), read_split("val")
    images = training_images(train, fusion, params)
    val_view = open_view("val", 0, val, fusion)
    try:
        score = ValidationScore(val_view, val, params.lambdas)
    except InputError as error:
        raise InputError(f"data/coco/val.json: {error}") from None
    schedule = Schedule(epochs, params.patience, params.batch_size, params.weight_decay)
    (result,) = train_phase(fusion, [Run(fusion.state_dict(), rates, params.seed)], images, score, schedule)
    fusion.load_state_dict(result.best_state)
    with stage_folder(f"models/{name}") as folder:
        save_fusion(fusion, folder)
    return write_result(name, fusion, sum(fusion.get_parameter(trained).numel() for trained in rates), result)


def write_result(name: str, fusion: Fusion, trainable: int, result: PhaseResult) -> str:
    """Write plots/<name>.csv and metrics/<name>.json of a phase that trained so many numbers; returns its last line."""
    write_records(f"plots/{name}.csv", result.history)
    write_json(
        f"metrics/{name}.json",
        {
            "best_epoch": result.best_epoch,
            "epochs": len(result.history) - 1,
            "trainable_parameters": trainable,
            "val": result.best,
            "alpha": fusion.alpha.mean().item(),
            "tau": fusion.tau.item(),
        },
    )
    start, best = result.history[0]["composite"], result.best["composite"]
    return (
        f"models/{name}: epoch {result.best_epoch} of {len(result.history) - 1} chosen,"
        f" composite on val {start:.4f} -> {best:.4f}; see plots/{name}.csv"
    )


def training_images(train: dict, fusion: Fusion, params: Params) -> TrainingImages:
    """The train split and its mirrored views, as the cache holds them or, if `live`, as the detector sees them in each step."""
    views = range(1 + params.augment_views)
    targets = split_targets(train)
    objects = [flip_targets(targets, FLIPS[view]) for view in views]
    if not params.live:
        return CachedImages([open_view("train", view, train, fusion) for view in views], objects)
    detector = load_detector("data/baseline", fusion.config.classes)
    detector.to(default_device())
    return LiveImages(detector, train, Path("data/raw") / params.dataset, objects, params.photometric, params.seed)


def open_view(split: str, view: int, coco: dict, fusion: Fusion) -> View:
    """A cached view of a split; raises InputError when it holds other images, or is of another detector than `fusion`."""
    name = view_name(split, view)
    cached = load_view("data/features", name)
    if cached.image_id.tolist() != [image["id"] for image in coco["images"]]:
        raise InputError(f"data/features/{name}: other images, or in another order, than in data/coco/{split}.json")
    found = (cached.hidden.shape[2], cached.logits.shape[2])
    expected = (fusion.config.visual_dim, len(fusion.config.classes))
    if found != expected:
        raise InputError(f"data/features/{name}: {found} features and classes per query; {expected} are expected")
    return cached
