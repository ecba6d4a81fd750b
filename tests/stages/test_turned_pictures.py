"""All eight EXIF orientations from the data set to the evaluation, and in every command that looks at pictures.

The same drawn surfaces twice: as a camera stores them, each in another orientation, and upright. What the library makes of both
must be the same; Pillow's own `exif_transpose` says what upright is. Folder and files have names that a shell or an encoding
could stumble over.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageOps
from refined_sample import ROOT, run_command
from retrieval_samples import load, make_index
from stage_files import run_stage_file as run_stage

from stages.retrieval.crops import cut_photo
from zerostart import export, predict, score
from zerostart.datasets.pictures import TURNS, open_rgb
from zerostart.drawing.synthetic import image_rng, render_image
from zerostart.retrieval.crops.photos import Damage, Photo
from zerostart.retrieval.embedding.embedders import Embedder
from zerostart.search import Search

HEIGHT = 192
"""Of the pictures, which are wider: a turned one has another size."""
COUNT = {"train": 8, "val": 8, "test": 16}
UNDONE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""The orientation that turns a picture back."""
SUFFIXES = ("png", "jpg", "tif")
ODD = 'it\'s "Größe" 傷'
STAGES = ("dataset", "prompts", "text_embeddings", "baseline", "features")
STAGES += ("warmup", "head_tuning", "decoder_tuning", "evaluate")
PARAMS = {
    "augment_views": 0,
    "test_flips": "none",
    "alpha_init": 0.1,
    "bootstrap_samples": 100,
    "epochs": {"warmup": 0, "head": 0, "decoder": 0},
}


def draw(index: int) -> tuple[np.ndarray, list[tuple[str, tuple[int, ...]]]]:
    """The upper part of a drawn surface and the objects that lie in it."""
    pixels, objects = render_image(image_rng(3, index))
    return pixels[:HEIGHT], [(name, box) for name, box in objects if box[1] + box[3] <= HEIGHT]


def store(folder: Path, index: int, pixels: np.ndarray) -> Image.Image:
    """Write a picture in one of the orientations; returns what is to be seen."""
    orientation = index % 8 + 1
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(pixels)
    stored = image.transpose(TURNS[UNDONE[orientation]]) if orientation > 1 else image
    path = folder / f"{index} {ODD}.{SUFFIXES[index % 3]}"
    stored.save(path, exif=exif, **({"quality": 92} if path.suffix == ".jpg" else {}))
    with Image.open(path) as saved:
        return ImageOps.exif_transpose(saved).convert("RGB")


def prepare(root: Path) -> dict[str, Path]:
    """Two folders in which the pipeline can run: with turned pictures, and with the same upright."""
    folders = {name: root / name for name in ("turned", "upright")}
    raw = {name: folder / "data/raw/synthetic" for name, folder in folders.items()}
    for folder in folders.values():
        (folder / "data/raw/synthetic/annotations").mkdir(parents=True)
        for name in ("baselines", "datasets", "prompts"):
            os.symlink(ROOT / "data" / name, folder / "data" / name)
        params = yaml.safe_load((ROOT / "params.yaml").read_text()) | PARAMS
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
    classes = yaml.safe_load((ROOT / "data/datasets/synthetic.yaml").read_text())["classes"]
    index = 0
    for split, count in COUNT.items():
        images, objects = [], []
        for _ in range(count):
            pixels, found = draw(index)
            store(raw["turned"], index, pixels).save(raw["upright"] / f"{index} {ODD}.png")
            images.append({"id": index, "width": pixels.shape[1], "height": pixels.shape[0]})
            for name, box in found:
                ids = {"id": len(objects), "image_id": index, "category_id": classes.index(name)}
                objects.append(ids | {"bbox": list(map(int, box))})
            index += 1
        for name, folder in raw.items():
            for image in images:
                image["file_name"] = next(folder.glob(f"{image['id']} *")).name
            categories = [{"id": k, "name": name} for k, name in enumerate(classes)]
            content = {"images": images, "annotations": objects, "categories": categories}
            (folder / f"annotations/{split}.json").write_text(json.dumps(content))
    return folders


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Both folders, all stages done."""
    folders = prepare(tmp_path_factory.mktemp("turned") / ODD)
    for folder in folders.values():
        for stage in STAGES:
            run_stage(stage, folder)
    return folders


def test_the_evaluation_is_that_of_the_upright_pictures(folders):
    turned, upright = (json.loads((folder / "metrics/evaluate.json").read_text()) for folder in folders.values())
    assert upright["composite"] > 0.5 and upright["composite"] != upright["baseline"]["composite"]
    for key in ("composite", "mAP", "AR_critical"):
        assert turned[key] == pytest.approx(upright[key], abs=1e-4)
        assert turned["baseline"][key] == pytest.approx(upright["baseline"][key], abs=1e-4)


def test_predict_finds_the_same_boxes(folders):
    found = []
    for folder in folders.values():
        arguments = ("data/raw/synthetic/annotations/val.json", "--images", "data/raw/synthetic", "--out", "predictions")
        run_command(predict, folder, *arguments)
        rows = json.loads((folder / "predictions/refined.json").read_text())
        found.append([[row[key] for key in ("image_id", "category_id", "bbox", "score")] for row in rows])
    assert found[0] == found[1] and len(found[0]) >= COUNT["val"]


def test_an_exported_graph_has_the_same_score(folders):
    run_command(export, folders["upright"], "--format", "onnx", "--out", "graph")
    graph = folders["upright"] / "graph"
    lines = [run_command(score, folder, graph) for folder in folders.values()]
    assert lines[0] == lines[1] and "mAP 0." in lines[0]


def test_a_search_finds_the_same_cases(folders, tmp_path):
    """The crops on record and the picture that asks are cut out of upright ones; a crop's pixels are its embedding here."""
    embedder = Embedder("pixels", 32, lambda patches: patches.float().flatten(1) - 128, None)
    found = {}
    for name, folder in folders.items():
        pictures = sorted((folder / "data/raw/synthetic").glob("*.*"), key=lambda path: int(path.name.split()[0]))[:16]
        (output := tmp_path / name).mkdir()
        rows = []
        for number, path in enumerate(pictures):
            photo = Photo(path.name, "drawn", "unknown", (Damage("dent", "unknown", (40, 30, 90, 100)),))
            rows += cut_photo(number, photo, path.parent, output, None, load().crops.model_copy(update={"min_side": 64}))[0]
        crops = [(row["crop_id"], lambda path=output / f"{row['crop_id']}.jpg": open_rgb(path)) for row in rows]
        search = Search(make_index(embedder.embed_images(crops), rows), embedder)
        found[name] = [[(hit.crop_id, hit.distance) for hit in search.find(path, k=3)] for path in pictures]
    assert found["turned"] == found["upright"] and len({tuple(hits) for hits in found["upright"]}) == 16
