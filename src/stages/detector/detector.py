"""detector: train the baseline of one data set: `python -m stages.detector.detector DATASET`.

Reads data/raw/DATASET, its card and pipelines/detector/params.yaml. A killed training goes on where it was.
"""

import shutil
from pathlib import Path

import torch

from zerostart.datasets.cards import load_card
from zerostart.datasets.checks import build_splits
from zerostart.datasets.splits import split_targets
from zerostart.detector.model import load_detector, save_detector
from zerostart.detector_training.run import extra_images, judge, load_images, load_training_params, new_state
from zerostart.detector_training.training import train
from zerostart.device import default_device
from zerostart.drawing.synthetic import CLASSES
from zerostart.errors import InputError, dataset_argument, run_stage
from zerostart.outputs import stage_folder, write_json, write_records


def main() -> str:
    dataset = dataset_argument()
    params = load_training_params("pipelines/detector/params.yaml", dataset)
    card, raw = load_card(dataset), Path("data/raw") / dataset
    cocos = build_splits(card, raw)
    device = default_device()
    if params.extra_images and tuple(card.classes) != CLASSES:
        raise InputError(f"pipelines/detector/params.yaml: extra_images is for the drawn data set only; '{dataset}' expects 0")
    state = new_state(params, card.classes, device)
    images, targets = load_images(cocos["train"], raw, params.image_size), split_targets(cocos["train"])
    if params.extra_images:
        more = extra_images(params.extra_images, params.image_size)
        images, targets = torch.cat([images, more[0]]), targets + more[1]
    val = load_images(cocos["val"], raw, params.image_size)

    output = Path("models/detector") / dataset
    best, resume = output.with_name(f".tmp-best-{dataset}"), output.with_name(f".tmp-resume-{dataset}.pt")
    curve = Path(f"plots/detector_{dataset}.csv")

    def score(ema: torch.nn.Module) -> dict[str, float]:
        metrics = judge(ema, val, cocos["val"], device).summary()
        return {"mAP": metrics["mAP"], "AP50": metrics["AP50"]}

    def report(history: list[dict[str, float]]) -> None:
        write_records(curve, history)

    train(state, images, targets, params, resume, score, report, lambda ema: _save(ema, best))
    _save(load_detector(best, card.classes), output)
    test = judge(
        load_detector(output, card.classes).to(device),
        load_images(cocos["test"], raw, params.image_size),
        cocos["test"],
        device,
    )
    summary = {name: test.summary()[name] for name in ("mAP", "AP50", "AP75")}
    write_json(f"metrics/detector_{dataset}.json", {"test": summary, "best_epoch": state.best_epoch, "epochs": state.epoch})
    resume.unlink()
    shutil.rmtree(best)
    return f"{output}: epoch {state.best_epoch} of {state.epoch}, test mAP {summary['mAP']:.3f}, AP50 {summary['AP50']:.3f}"


def _save(model: torch.nn.Module, folder: Path) -> None:
    with stage_folder(folder) as temporary:
        save_detector(model, temporary)


if __name__ == "__main__":
    run_stage(main)
