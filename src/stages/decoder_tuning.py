"""decoder_tuning: phase 3, the decoder is trained as well, on encoder outputs that are computed once. Off by default.

With `epochs.decoder: 0` it passes on what head tuning chose. A killed training goes on where it was.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file
from transformers import Deimv2ForObjectDetection

from zerostart.cache.views import view_name
from zerostart.datasets.splits import class_names, read_split, split_targets
from zerostart.decoder.encoder_outputs import write_encoder_outputs
from zerostart.decoder.processes import Processes, processes
from zerostart.decoder.tuned_decoder import TunedDecoder
from zerostart.decoder.tuning import StoredImages, check_batch_size, tune
from zerostart.detector.mirror import FLIPS, flip_targets
from zerostart.detector.model import load_detector
from zerostart.errors import run_stage
from zerostart.method.checkpoint import load_fusion, save_fusion
from zerostart.method.fusion import Fusion
from zerostart.method.phase import run_phase, write_result
from zerostart.method.training import PhaseResult, ValidationScore, refined_logits
from zerostart.outputs import stage_folder
from zerostart.params import Params, load_params

BASELINE = Path("data/baseline")
RESUME, ENCODER_OUTPUTS = Path("models/.tmp-resume-decoder.pt"), Path("models/.tmp-encoder_outputs")


def main() -> str:
    params = load_params()
    fusion = load_fusion("models/head_tuning", class_names(read_split("train")))
    with processes() as group:
        if params.epochs.decoder:
            return tune_decoder(fusion, params, group)
        group.once(clean_up)  # after a killed training
        unused = params.model_copy(update={"live": False})
        return group.once(lambda: run_phase("decoder_tuning", fusion, {}, 0, unused))


def tune_decoder(fusion: Fusion, params: Params, group: Processes) -> str:
    train, val = read_split("train"), read_split("val")
    views = range(1 + params.augment_views)
    check_batch_size(params, len(views) * len(train["images"]), group)
    detector = load_detector(BASELINE, fusion.config.classes).to(group.device)
    group.once(lambda: encode(detector, {"train": views, "val": [0]}, params))
    targets = split_targets(train)
    images = StoredImages([stored("train", view) for view in views], [flip_targets(targets, FLIPS[view]) for view in views])
    decoder = TunedDecoder(detector, fusion.to(group.device))

    def score(decoder: TunedDecoder) -> dict[str, float]:
        view = decoder.eval().view(stored("val", 0), np.array([image["id"] for image in val["images"]]))
        return ValidationScore(view, val, params.lambdas)(refined_logits(decoder.fusion, view, group.device))

    result = tune(decoder, images, score, params, RESUME, fingerprint(decoder, [train, val], params), group)
    decoder.load_state_dict(result.best_state)
    return group.once(lambda: write(decoder, result, params))


def encode(detector: Deimv2ForObjectDetection, views: dict[str, Iterable[int]], params: Params) -> None:
    """Write the encoder outputs of some views of each split."""
    with stage_folder(ENCODER_OUTPUTS) as folder:
        for split, numbers in views.items():
            coco = read_split(split)
            for number in numbers:
                path = folder / f"{view_name(split, number)}.npy"
                write_encoder_outputs(path, detector, coco, Path("data/raw") / params.dataset, FLIPS[number])


def stored(split: str, view: int) -> np.ndarray:
    """Encoder outputs, memory-mapped."""
    return np.load(ENCODER_OUTPUTS / f"{view_name(split, view)}.npy", mmap_mode="r")


def fingerprint(decoder: TunedDecoder, splits: list[dict], params: Params) -> str:
    """What a training depends on: only the same one is resumed."""
    given = params.model_dump(mode="json", exclude={"decoder": {"launcher"}})
    value = hashlib.sha256(json.dumps([given, splits]).encode() + (BASELINE / "model.safetensors").read_bytes())
    for tensor in decoder.state_dict().values():
        value.update(tensor.cpu().numpy().tobytes())
    return value.hexdigest()


def write(decoder: TunedDecoder, result: PhaseResult, params: Params) -> str:
    """Write the choice: the fusion and, if an epoch of this phase was chosen, the detector with its new decoder."""
    with stage_folder("models/decoder_tuning") as folder:
        if result.best_epoch:
            shutil.copytree(BASELINE, folder, dirs_exist_ok=True)
            weights, tuned = load_file(BASELINE / "model.safetensors"), decoder.detector.state_dict()
            weights |= {name: tuned[name].cpu().contiguous() for name in weights if name in tuned}
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        save_fusion(decoder.fusion.cpu(), folder)
    line = write_result(
        "decoder_tuning", decoder.fusion, sum(p.numel() for p in decoder.parameters() if p.requires_grad), result
    )
    clean_up()
    return line


def clean_up() -> None:
    """Remove what a training needs to go on after it was killed."""
    RESUME.unlink(missing_ok=True)
    shutil.rmtree(ENCODER_OUTPUTS, ignore_errors=True)


if __name__ == "__main__":
    run_stage(main)
