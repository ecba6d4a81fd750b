"""A folder in which the main pipeline runs on a made-up feature cache."""

import json
from pathlib import Path

import yaml
from PIL import Image
from toy_cache import CLASSES, SIZE, write_cache

CARD = {
    "name": "toy",
    "format": "coco",
    "obtain": "it is made by the tests",
    "prompts": "toy",
    "classes": CLASSES,
    "critical": CLASSES[:2],
    "splits": {split: {"annotations": f"{split}.json", "images": "."} for split in ("train", "val", "test")},
}


PROMPTS = {
    "templates": ["a photo of {}", "{} on metal"],
    "descriptions": {
        "crack": ["a jagged dark line"],
        "dent": ["a shaded hollow", "a soft pit"],
        "scratch": ["a bright groove"],
    },
}


STAGES = ("prompts", "text_embeddings", "warmup", "head_tuning", "decoder_tuning", "evaluate")
ZERO_START = {"epochs": {"warmup": 0, "head": 0}, "alpha_init": 0.0}
TRAINED = {"epochs": {"warmup": 3, "head": 3}, "lr": {"warmup": 0.01, "fusion": 0.01, "head": 0.01}}


def prepare(folder: Path, **changes) -> None:
    """Everything that the stages read in a folder of their own."""
    write_cache(folder, bootstrap_samples=100, prompt_set="ensemble", **changes)
    for kind, content in (("datasets", CARD), ("prompts", PROMPTS)):
        (folder / "data" / kind).mkdir()
        (folder / "data" / kind / "toy.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (folder / "data/raw/toy").mkdir(parents=True)
    for image in json.loads((folder / "data/coco/test.json").read_text())["images"]:
        Image.new("L", (SIZE, SIZE), 90).save(folder / "data/raw/toy" / image["file_name"])


def tree(folder: Path, *names: str) -> dict[str, bytes]:
    """The files below some folders, temporary ones included."""
    paths = [path for name in names for path in (folder / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def change_params(folder: Path, **changes) -> None:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
