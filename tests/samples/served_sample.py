"""A checkout small enough for tests of the server: a random detector, an index of six cases, a random tagger."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from refined_sample import write_pipeline
from retrieval_samples import case, damaged, make_index
from tagging_samples import PARAMS, TAGS

from zerostart.retrieval.embedding.adapter import Adapter, save_adapter
from zerostart.retrieval.embedding.backbone import load_backbone
from zerostart.retrieval.embedding.embedders import load_embedder
from zerostart.retrieval.embedding.probes import probe
from zerostart.tagging.answer.novelty import Home
from zerostart.tagging.answer.rules import Rules, save_rules
from zerostart.tagging.engine.model import build_tagger, save_engine
from zerostart.tagging.params import ModelParams

CASES = [
    damaged(0, "dent", vehicle_zone="hood_center", severity="minor", source="part-A_1.jpg"),
    damaged(1, "deep_scratch", vehicle_zone="rear_bumper", severity="severe", source="part-A_2.jpg"),
    damaged(2, "dent", "crack", vehicle_zone="rear_bumper", severity="unknown", source="part-B_1.jpg"),
    case(3, vehicle_zone="hood_center", source="part-B_2.jpg"),
    case(4, vehicle_zone="rear_bumper", source="part-C_1.jpg"),
    damaged(5, "crack", vehicle_zone="hood_center", severity="minor", source="part-C_2.jpg"),
]


def noise(size=(80, 48), seed=0) -> Image.Image:
    """A picture (width, height) of coloured patches, in which the random detector finds something."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def write_served(root: Path, index: bool = True, tagger: bool = True) -> Path:
    """All that `python -m zerostart.serve` reads, below `root`; without index or tagger where that is wanted."""
    root.mkdir(exist_ok=True)
    write_pipeline(root)
    if index:
        write_index(root)
    if tagger:
        write_tagger(root)
    return root


def write_index(root: Path) -> None:
    backbone = root / "data/baseline"
    features = load_backbone(str(backbone))(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).shape[1]
    torch.manual_seed(0)
    folder = root / "models/retrieval_adapter"
    folder.mkdir(parents=True)
    save_adapter(Adapter(features, 384), str(backbone), 64, folder)
    embedder = load_embedder("adapter", folder)
    pictures = root / "crops"
    pictures.mkdir()
    for number, row in enumerate(CASES):
        noise((64, 64), seed=100 + number).save(pictures / f"{row['crop_id']}.jpg")
    vectors = embedder.embed_images(
        [(row["crop_id"], lambda row=row: Image.open(pictures / f"{row['crop_id']}.jpg").convert("RGB")) for row in CASES]
    )
    found = make_index(vectors, CASES)
    found.about.update(pictures=str(pictures), mix={})
    type(found)(found.vectors, found.cases, probe(embedder), found.params, found.about).save(root / "data/retrieval/index")


def write_tagger(root: Path, seed: int = 0) -> None:
    folder = root / "models/tagging/toolbox"
    params = ModelParams.model_validate(PARAMS["model"])
    torch.manual_seed(seed)
    for engine in ("standard", "hd"):
        (folder / engine).mkdir(parents=True, exist_ok=True)
        save_engine(build_tagger(params, len(TAGS)), params, TAGS, 32, folder / engine)
    limits = {"published": 0.5, "val_1": [0.4] * 3, "val_6": [0.6] * 3}
    rules = Rules(
        tags=TAGS,
        longest=96,
        use="val",
        thresholds={"standard": limits, "hd": limits | {"published": 0.3}},
        tiling={"windows": 1, "overlap": 0.25, "merge": "max"},
        novelty_limit=1.5,
        side_limit=60.0,
    )
    (folder / "rules").mkdir(exist_ok=True)
    width = PARAMS["model"]["options"]["dims"][-1]
    save_rules(rules, Home(np.zeros(width), np.eye(width)), folder / "rules")
