"""A tagging data set of a few pictures, its card and its parameters, in a folder of its own."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from stage_files import run_stage_file

ROOT = Path(__file__).parents[2]
TAGS = ("red", "green", "blue")
COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200), "grey": (120, 120, 120)}
PHASE = {
    "input_size": 32,
    "epochs": 2,
    "patience": 5,
    "batch_size": 8,
    "lr": 0.003,
    "layer_decay": 1.0,
    "weight_decay": 0.05,
    "mixup_alpha": 0.2,
    "least_crop": 0.8,
    "zoom_out": 2.0,
    "all_orientations": False,
    "photometric": 0.0,
    "replay": 0.0,
}
PARAMS = {
    "seed": 0,
    "threads": 1,
    "precision": "float32",
    "data": {"longest": 96, "academic_val": 0.25, "real_val": 0.25, "real_test": 0.25},
    "model": {
        "name": "convnext_atto",
        "weights": "random",
        "options": {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 24], "norm_layer": "batchnorm2d", "conv_mlp": True},
    },
    "base": PHASE,
    "adaptation": PHASE | {"mixup_alpha": 0.0, "replay": 0.5, "photometric": 0.5, "layer_decay": 0.9},
    "engines": {"thresholds": "val", "published_standard": 0.5, "published_hd": 0.3},
    "tiling": {"windows": 6, "overlap": 0.25, "merge": "max"},
    "coco_detector": None,
    "bootstrap_samples": 100,
}
CARD = {
    "name": "toy",
    "obtain": "the tests make it",
    "tags": list(TAGS),
    "aliases": {"rouge": "red"},
    "academic": {"format": "folder", "path": "academic"},
    "real": [{"format": "csv", "path": "photos", "labels": "photos.csv"}],
}


def plain(colour: tuple[int, int, int], rng: np.random.Generator, side: int = 32) -> np.ndarray:
    """A square of one colour with a little noise, so that no two are equal."""
    return np.clip(np.array(colour) + rng.integers(-20, 20, (side, side, 3)), 0, 255).astype(np.uint8)


def photo(tags: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """A dark photo, 80 × 64 pixels, with a patch for each tag."""
    image = plain((40, 40, 40), rng, 80)[:64]
    for tag in tags:
        y, x = rng.integers(0, 44), rng.integers(0, 60)
        image[y : y + 20, x : x + 20] = COLOURS[tag]
    return image


def write_toy(folder: Path, params: dict | None = None, card: dict | None = None, photos: int = 24) -> None:
    """Raw pictures, card and parameters of the data set `toy`, where the stages look for them below `folder`."""
    rng = np.random.default_rng(0)
    raw = folder / "data/raw/toy"
    for split, count in (("train", 8), ("test", 4)):
        for name, colour in COLOURS.items():
            target = raw / "academic" / split / name
            target.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(plain(colour, rng)).save(target / f"{index}.png")
    (raw / "photos").mkdir()
    rows = ["file,tag"]
    for index in range(photos):
        tags = [(), ("red",), ("green",), ("blue",), ("red", "blue")][index % 5]
        Image.fromarray(photo(tags, rng)).save(raw / "photos" / f"{index:02d}.png")
        rows.append(",".join([f"{index:02d}.png", *(tags or ("",))]))
    (raw / "photos.csv").write_text("\n".join(rows) + "\n")
    for path, content in (
        (folder / "data/tags/toy.yaml", CARD if card is None else card),
        (folder / "pipelines/tagging/params.yaml", {"datasets": {"toy": PARAMS if params is None else params}}),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))


def run_stage(name: str, folder: Path, dataset: str = "toy") -> str:
    """Run a stage of the pipeline in this process, in a folder; returns its line."""
    return run_stage_file(f"tagging/{name}", folder, dataset)
