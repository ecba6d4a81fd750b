"""What the stages `warmup` and `head_tuning` share: their inputs, and the files that they leave."""

import pandas as pd
import torch

from zerostart.errors import InputError
from zerostart.feature_cache import FLIPS, View, flip_targets, load_view, view_name
from zerostart.fusion import Fusion
from zerostart.fusion_checkpoint import save_fusion
from zerostart.outputs import output_file, output_folder, write_json
from zerostart.params import Params
from zerostart.refinement import PhaseResult, TrainingView, ValidationScore, train_phase, trainable_parameters
from zerostart.splits import read_split, split_targets


def run_phase(name: str, fusion: Fusion, groups: list[dict], epochs: int, params: Params) -> str:
    """Train a phase on the cache and write models/<name>, plots/<name>.csv and metrics/<name>.json."""
    torch.set_num_threads(1)  # tiny tensors: threads cost more than they give, and one gives the same sums everywhere
    train, val = read_split("train"), read_split("val")
    targets = split_targets(train)
    views = [
        TrainingView(_open_view("train", view, train, fusion), flip_targets(targets, FLIPS[view]))
        for view in range(1 + params.augment_views)
    ]
    val_view = _open_view("val", 0, val, fusion)
    try:
        score = ValidationScore(val_view, val, params.lambdas)
    except InputError as error:
        raise InputError(f"data/coco/val.json: {error}") from None
    result = train_phase(
        fusion, groups, views, score, epochs, params.patience, params.batch_size, params.weight_decay, params.seed
    )
    _write(name, fusion, groups, result)
    start, best = result.history[0]["composite"], result.best["composite"]
    return (
        f"models/{name}: epoch {result.best_epoch} of {len(result.history) - 1} chosen,"
        f" composite on val {start:.4f} -> {best:.4f}; see plots/{name}.csv"
    )


def _open_view(split: str, view: int, coco: dict, fusion: Fusion) -> View:
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


def _write(name: str, fusion: Fusion, groups: list[dict], result: PhaseResult) -> None:
    with output_folder(f"models/{name}") as folder:
        save_fusion(fusion, folder)
    with output_file(f"plots/{name}.csv") as temporary:
        pd.DataFrame(result.history).to_csv(temporary, index=False, float_format="%.6f")
    write_json(
        f"metrics/{name}.json",
        {
            "best_epoch": result.best_epoch,
            "epochs": len(result.history) - 1,
            "trainable_parameters": trainable_parameters(groups),
            "val": result.best,
            "alpha": fusion.alpha.mean().item(),
            "tau": fusion.tau.item(),
        },
    )
