"""The stage `added`: new classes are judged where a test split has boxes of them, and the known ones have no part in it."""

import json
from pathlib import Path

import numpy as np
import pytest
from novel_sample import encoder, vocabulary, write_card_and_prompts
from stage_files import run_stage_file
from tiny_detector import write_images

from zerostart.language import text_encoders
from zerostart.novel.additions import add_class
from zerostart.novel.rows import save_vocabulary

NEW = [8.0, 8.0, 16.0, 16.0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two pictures of test: a crack in one, and in the other a box of `rust`, which is where the second query looks."""
    write_card_and_prompts(tmp_path)
    raw = tmp_path / "data/raw/parts"
    coco = write_images(raw, 2)
    boxes = [(0, 0, [30.0, 20.0, 10.0, 10.0]), (1, 1, NEW)]
    coco["annotations"] = [
        {"id": index, "image_id": coco["images"][at]["id"], "category_id": kind, "bbox": box, "area": 1, "iscrowd": 0}
        for index, (at, kind, box) in enumerate(boxes)
    ]
    coco["categories"] = [{"id": 0, "name": "crack"}, {"id": 1, "name": "rust"}]
    (raw / "c.json").write_text(json.dumps(coco))
    looks = tmp_path / "data/novel/parts/looks/own_test"
    looks.mkdir(parents=True)
    known = {
        **coco,
        "annotations": coco["annotations"][:1],
        "categories": [{"id": 0, "name": "crack"}, {"id": 1, "name": "dent"}],
    }
    (looks / "coco.json").write_text(json.dumps(known))
    size = coco["images"][0]["width"], coco["images"][0]["height"]
    x, y, w, h = NEW
    query = [(x + w / 2) / size[0], (y + h / 2) / size[1], w / size[0], h / size[1]]
    arrays = {
        "hidden": np.random.default_rng(0).standard_normal((2, 2, 3)),
        "regions": np.zeros((2, 2, 1)),
        "logits": np.zeros((2, 2, 2)),
        "boxes": np.array([[[0.9, 0.9, 0.1, 0.1], query]] * 2),
    }
    for name, array in arrays.items():
        np.save(looks / f"{name}.npy", array.astype(np.float32))
    (tmp_path / "models/vocabulary/parts").mkdir(parents=True)
    save_vocabulary(vocabulary(4, ["crack", "dent"]), tmp_path / "models/vocabulary/parts")
    monkeypatch.setattr(text_encoders, "load_text_encoder", encoder)
    return tmp_path


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics/added_parts.json").read_text())


def test_without_a_new_class_there_is_nothing_to_judge(folder):
    assert run_stage_file("novel/added", folder, "parts").endswith("no new class in the card")
    assert metrics(folder) == {}


def test_a_new_class_is_judged_by_the_boxes_of_its_name(folder):
    """One box among four queries: the AP is 1 over the rank of the one that covers it."""
    add_class("parts", "rust", ["a brown spot"], root=folder)
    add_class("parts", "chalk", ["a white line"], root=folder)
    said = run_stage_file("novel/added", folder, "parts")
    assert "no labels of chalk" in said
    found = metrics(folder)["own_test"]
    assert set(found) == {"rust"} and found["rust"]["boxes"] == 1 and found["rust"]["wrong_sentence"] == "a white line"
    for arm in ("sentence", "wrong", "objectness"):
        assert any(found["rust"][arm] == pytest.approx(1 / rank, abs=1e-5) for rank in range(1, 5))


def test_other_labels_of_the_test_split_change_nothing(folder):
    add_class("parts", "rust", ["a brown spot"], root=folder)
    run_stage_file("novel/added", folder, "parts")
    before = metrics(folder)
    path = folder / "data/raw/parts/c.json"
    coco = json.loads(path.read_text())
    coco["annotations"] = coco["annotations"][1:]
    path.write_text(json.dumps(coco))
    run_stage_file("novel/added", folder, "parts")
    assert metrics(folder) == before
