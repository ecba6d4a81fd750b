"""The stages on a few drawn images: `python tests/samples/kernel_sample.py FOLDER` prints a hash of each one's output.

A process of its own for every set of kernels: libraries choose theirs when they are loaded.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import zerostart  # noqa: F401  first: it pins the kernels

# isort: split
import numpy as np
import yaml

from stages import baseline, dataset, features, prompts, text_embeddings, warmup
from stages.retrieval import adapter, contexts, crops, embeddings, index
from stages.tagging import adaptation, base, engines, images
from zerostart.drawing.synthetic import generate, image_rng, render_image
from zerostart.retrieval.drawn.photos import generate_panels
from zerostart.tagging.drawn.toolbox import generate_toolbox

ROOT = Path(__file__).parents[2]
SENSITIVE = (335, 385, 447)
"""Images of the synthetic data set of which a pixel depended on NumPy's kernels when they were drawn in float32."""


def prepare(folder: Path) -> None:
    """What is in git, and small parameters."""
    for name in ("data/baselines", "data/contexts", "data/datasets", "data/prompts", "data/tags"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    write(
        folder / "params.yaml",
        params | {"epochs": {"warmup": 3, "head": 1, "decoder": 0}, "batch_size": 8, "test_flips": "none"},
    )
    params = yaml.safe_load((ROOT / "pipelines/retrieval/params.yaml").read_text())
    params["adapter"] |= {"epochs": 2, "batch_size": 8, "input_size": 128}
    write(folder / "pipelines/retrieval/params.yaml", params)
    params = yaml.safe_load((ROOT / "pipelines/tagging/params.yaml").read_text())["datasets"]["toolbox"]
    params["data"] |= {"longest": 96, "real_val": 0.3, "real_test": 0.3}
    for phase in ("base", "adaptation"):
        params[phase] |= {"epochs": 1, "input_size": 64, "batch_size": 8}
    write(folder / "pipelines/tagging/params.yaml", {"datasets": {"toolbox": params}})


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def drawn() -> None:
    """The three drawn data sets, small; the images that were sensitive among them."""
    for name in ("synthetic", "panels", "toolbox"):
        Path("data/raw", name).mkdir(parents=True)
    generate(Path("data/raw/synthetic"), seed=0, images=30, workers=1)
    np.savez("data/raw/synthetic.npz", *(render_image(image_rng(0, index))[0] for index in SENSITIVE))
    generate_panels(Path("data/raw/panels"), seed=0, photos=6, workers=1)
    generate_toolbox(Path("data/raw/toolbox"), seed=0, per_part={"train": 6, "test": 2}, scenes=24, workers=1)


STAGES: dict[str, tuple[Callable[[], object], str]] = {
    "drawn": (drawn, "data/raw"),
    "dataset": (dataset.main, "data/coco"),
    "prompts": (prompts.main, "data/prompts_expanded.json"),
    "text_embeddings": (text_embeddings.main, "data/text_embeddings"),
    "baseline": (baseline.main, "data/baseline"),
    "features": (features.main, "data/features"),
    "warmup": (warmup.main, "models/warmup"),
    "retrieval/crops": (crops.main, "data/retrieval/crops"),
    "retrieval/contexts": (contexts.main, "data/retrieval/contexts.parquet"),
    "retrieval/adapter": (adapter.main, "models/retrieval_adapter"),
    "retrieval/embeddings": (embeddings.main, "data/retrieval/embeddings"),
    "retrieval/index": (index.main, "data/retrieval/index"),
    "tagging/images": (images.main, "data/tagging/toolbox/images"),
    "tagging/base": (base.main, "models/tagging/toolbox/standard"),
    "tagging/adaptation": (adaptation.main, "models/tagging/toolbox/hd"),
    "tagging/engines": (engines.main, "models/tagging/toolbox/rules"),
}
"""What each stage is, and where it writes."""


def hashes(folder: Path) -> Iterator[tuple[str, str]]:
    """Run the stages in a folder of their own; yields (stage, hash of its output)."""
    prepare(folder)
    sys.argv[1:] = ["toolbox"]
    with contextlib.chdir(folder), contextlib.redirect_stdout(sys.stderr):
        for name, (run, output) in STAGES.items():
            run()
            yield name, digest(Path(output))


def digest(path: Path) -> str:
    """sha256 of a file, or of the files of a folder with their names."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in files:
        found.update(file.relative_to(path).as_posix().encode() + hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()[:12]


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    print(json.dumps(dict(hashes(Path(sys.argv[1])))))
