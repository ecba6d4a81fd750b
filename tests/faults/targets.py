"""What is killed: the stages of every pipeline and commands that write, on a data set of a few drawn pictures."""

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from novel_sample import encoder
from official_checkpoint import random_weights, write_checkpoint, write_config
from tagging_samples import write_toy
from tiny_detector import tiny_detector

from zerostart.detector.model import save_detector
from zerostart.drawing.synthetic import CLASSES

ROOT = Path(__file__).parents[2]
SMALLER = {
    "stages.synthetic": {"IMAGES": 40},
    "stages.retrieval.panels": {"PHOTOS": 12},
    "stages.tagging.toolbox": {"PER_PART": {"train": 2, "test": 1}, "SCENES": 16},
    "stages.novel.captions": {"load_text_encoder": encoder, "RANDOM_SENTENCES": 8},
    "zerostart.classes": {"load_text_encoder": encoder},
    # The tiny random detector sees no mark: each is given to the nearest query by IoU, however far, and all queries count.
    "zerostart.novel.queries": {"MATCH_IOU": 0.0},
    "zerostart.novel.judging": {"SEEN_FROM": -100.0},
    "zerostart.novel.rows": {"SEEN_FROM": -100.0},
}
"""Constants: real data sets take minutes, and so does the real text encoder with hundreds of sentences."""


EXCEPTIONS = {
    "zerostart.report": "starts DVC six times, for half a minute, and writes one folder at its end",
}
"""What writes and is not killed, and why."""


class Target(NamedTuple):
    """A stage or a command with its arguments."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    command: bool = False
    """Its output is no input of another target, and does not stay in the folder; what it changes there comes back."""
    told: bool = False
    """What it prints is compared and its files are not: Optuna's journal has the time of day in it."""

    def main(self) -> str:
        """Run it in the working directory."""
        main = importlib.import_module(self.module).main
        for module, values in SMALLER.items():
            if module in sys.modules:
                vars(sys.modules[module]).update(values)
        return main()


def stages(folder: str, names: str, *arguments: str) -> list[Target]:
    prefix = f"{folder}." if folder else ""
    return [Target(f"{prefix}{name}", f"stages.{prefix}{name}", arguments) for name in names.split()]


TARGETS = [
    *stages("", "synthetic dataset prompts text_embeddings baseline features warmup head_tuning decoder_tuning evaluate"),
    *stages("ablation", "inputs grid report", "synthetic"),
    *stages("detector", "detector", "synthetic"),
    *stages("retrieval", "panels crops contexts adapter embeddings index validate"),
    *stages("tagging", "toolbox"),
    *stages("tagging", "images base adaptation engines evaluate", "toy"),
    *stages("novel", "school looks captions judge vocabulary added choose evaluate found", "synthetic"),
    Target("predict", "zerostart.predict", ("shown", "--out", "out/found", "--detector", "both"), command=True),
    Target("export", "zerostart.export", ("--format", "safetensors", "--out", "out/export"), command=True),
    Target("export onnx", "zerostart.export", ("--format", "onnx", "--out", "out/onnx"), command=True),
    Target(
        "convert",
        "zerostart.convert",
        (
            "official/last.pth",
            "--config",
            "official/configs/deimv2/s.yml",
            "--card",
            "official/toy.yaml",
            "--out",
            "out/converted",
        ),
        command=True,
    ),
    Target("search", "zerostart.search", ("--text", "a long scratch", "--sheet", "out/search.png"), command=True),
    Target(
        "classes add",
        "zerostart.classes",
        ("add", "star-shaped crack", "--text", "thin dark lines that meet", "--to", "synthetic"),
        command=True,
    ),
    Target("figures", "zerostart.figures", ("out/figures",), command=True),
    Target("sweep", "zerostart.sweep", ("experiments/toy.yaml", "--only-print"), command=True, told=True),
]


def write_inputs(folder: Path, shared: Path) -> None:
    """Everything that is in git, made small; what is large and only read lies in `shared`."""
    for name in ("data/datasets", "data/prompts", "data/contexts", "data/captions", "pipelines/ablation/plots"):
        shutil.copytree(ROOT / name, folder / name)
    change("params.yaml", folder, experiment)
    change("pipelines/ablation/params.yaml", folder, ablation)
    change("pipelines/retrieval/params.yaml", folder, retrieval)
    change("pipelines/detector/params.yaml", folder, detector)
    change("pipelines/novel/params.yaml", folder, novel)
    write_toy(folder, photos=16)
    baseline = folder / "data/baselines/synthetic"
    baseline.mkdir(parents=True)
    save_detector(tiny_detector(classes=list(CLASSES)), baseline)
    (folder / "experiments").mkdir()
    sweep = {"sampler": "grid", "at_once": 1, "parameters": {"alpha_init": [0.0, 0.2], "seed": [1, 2]}}
    (folder / "experiments/toy.yaml").write_text(yaml.safe_dump(sweep))
    write_official(shared)
    (folder / "official").symlink_to(shared)
    (folder / "shown").mkdir()


def write_official(shared: Path) -> None:
    """A checkpoint with the official names, its YAML and a card."""
    torch.manual_seed(0)
    write_checkpoint(shared / "last.pth", random_weights("s"))
    write_config(shared, "s")
    card = yaml.safe_load((ROOT / "data/datasets/synthetic.yaml").read_text())
    (shared / "toy.yaml").write_text(yaml.safe_dump(card | {"name": "toy"}, sort_keys=False))


def change(name: str, folder: Path, changes: Callable[[dict], None]) -> None:
    """Write the repository's parameters with changes."""
    content = yaml.safe_load((ROOT / name).read_text())
    changes(content)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))


def experiment(content: dict) -> None:
    content |= {"bootstrap_samples": 100, "batch_size": 8, "epochs": {"warmup": 2, "head": 2, "decoder": 1}}
    content["decoder"] |= {"batch_size": 8}


def ablation(content: dict) -> None:
    content |= {"arms": ["text_descriptive", "shuffled", "no_text"], "fraction_arms": ["no_text"], "fractions": [0.5]}
    content |= {"seeds": 2, "lr_scales": [3]}
    content["experiment"] |= {"bootstrap_samples": 100, "batch_size": 8, "epochs": {"warmup": 1, "head": 1}}


def retrieval(content: dict) -> None:
    content["adapter"] |= {"epochs": 3, "batch_size": 8, "input_size": 64}
    content["validation"]["bootstrap_samples"] = 100


def detector(content: dict) -> None:
    content["datasets"]["synthetic"] |= {
        **{"image_size": 64, "num_queries": 5, "num_denoising": 4, "epochs": 2, "zoom_epochs": 1, "batch_size": 8},
        **{"warmup_steps": 1, "extra_images": 0},
    }


def novel(content: dict) -> None:
    content["school"] |= {"images": 8}
    content["kind_images"] = {"val": 24, "val_pool": 24, "pool": 24, "test": 24}
    content |= {"seeds": 2, "shots": [1], "caption_counts": [6], "samples": 100, "regions": False}
    content["candidates"] = {name: options[:2] for name, options in content["candidates"].items()}
