"""A refined detector small enough for tests, and the folder of a pipeline that would have made it."""

import contextlib
import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tiny_detector import CLASSES, tiny_detector, write_images

from zerostart.detector.model import save_detector
from zerostart.inference.refined_detector import RefinedDetector, Settings
from zerostart.method.checkpoint import save_fusion
from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.outputs import write_json
from zerostart.params import Params

ROOT = Path(__file__).parents[2]
PROMPTS = {"crack": ["a dark branching line"], "dent": ["a round hollow", "a shallow bump"], "scratch": ["a bright groove"]}


def settings(**changes) -> Settings:
    known = {
        "dataset": "parts",
        "classes": CLASSES,
        "critical": ["crack"],
        "prompts": PROMPTS,
        "threshold": {"baseline": 0.3, "refined": 0.2},
        "test_flips": "all",
        "merge_iou": 0.8,
        "version": "1",
    }
    return Settings.model_validate(known | changes)


def random_fusion(visual_dim=64, seed=0, **changes) -> Fusion:
    known = {"mode": "residual", "projector": "linear", "dropout": 0.1, "alpha_per_class": False, "center_similarity": False}
    config = FusionConfig(classes=CLASSES, visual_dim=visual_dim, text_dim=8, **(known | changes))
    generator = torch.Generator().manual_seed(seed)
    fusion = Fusion(config, torch.randn(len(CLASSES), 8, generator=generator))
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return fusion.eval()


def refined_sample(tuned=False, **changes) -> RefinedDetector:
    detector = tiny_detector()
    return RefinedDetector(detector, random_fusion(), settings(**changes), tiny_detector(seed=1) if tuned else None)


def run_command(module, folder, *arguments) -> str:
    """What a command's `main` returns, run in a folder with arguments."""
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["command", *map(str, arguments)])
        return module.main()


def write_pipeline(root, tuned=False, **changes) -> Params:
    """Everything that `RefinedDetector.from_pipeline` and the commands read, with params.yaml."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"dataset": "parts"} | changes
    (root / "params.yaml").write_text(yaml.safe_dump(raw))
    for split in ("train", "val", "test"):
        coco = write_images(root / "data/raw/parts", 3)
        coco["categories"] = [{"id": index, "name": name} for index, name in enumerate(CLASSES)]
        coco["info"] = {"dataset": "parts", "critical": ["crack"]}
        coco["annotations"] = [
            {
                "id": number + 1,
                "image_id": image["id"],
                "category_id": number % 3,
                "bbox": [9, 9, 40, 30],
                "area": 1200,
                "iscrowd": 0,
            }
            for number, image in enumerate(coco["images"])
        ]
        write_json(root / f"data/coco/{split}.json", coco)
    entries = [{"class": name, "sentences": sentences} for name, sentences in PROMPTS.items()]
    (root / "data/prompts_expanded.json").write_text(json.dumps(entries))
    write_json(root / "metrics/evaluate.json", {"threshold": {"baseline": 0.3, "refined": 0.2}})
    checkpoint = root / "models/decoder_tuning"
    for folder, seed in ((root / "data/baseline", 0), *([(checkpoint, 2)] if tuned else [])):
        folder.mkdir(parents=True)
        save_detector(tiny_detector(seed), folder)
    checkpoint.mkdir(parents=True, exist_ok=True)
    save_fusion(random_fusion(), checkpoint)
    return Params.model_validate(raw)
