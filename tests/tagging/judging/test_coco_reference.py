"""The COCO detector as a tagger, and the drawn data set."""

import json

import numpy as np
import pytest
import torch
from tagging_samples import CARD, TAGS, run_stage, write_toy

from zerostart.detector.coco import COCO_CLASSES, load_official_detector
from zerostart.errors import InputError
from zerostart.tagging.cards import TagCard
from zerostart.tagging.drawn.shapes import SHAPES
from zerostart.tagging.drawn.shapes import TAGS as PARTS
from zerostart.tagging.drawn.toolbox import generate_toolbox
from zerostart.tagging.judging.coco_reference import class_columns, detector_scores
from zerostart.tagging.pictures.store import open_store


def test_coco_has_80_classes_in_their_published_order():
    names = list(COCO_CLASSES)
    assert len(names) == 80 and names[:3] == ["person", "bicycle", "car"] and names[-1] == "toothbrush"
    assert [names.index(name) for name in ("bird", "dog", "truck")] == [14, 16, 7]


def test_a_tags_columns_are_found_by_name():
    card = TagCard.model_validate(CARD | {"coco_names": {"red": ["car", "truck"], "blue": ["dog"]}})
    assert class_columns(card) == [[2, 7], [], [16]]
    with pytest.raises(InputError, match="'lorry', the COCO class of 'red', is none of COCO's 80"):
        class_columns(TagCard.model_validate(CARD | {"coco_names": {"red": ["lorry"]}}))


def test_the_score_of_a_tag_is_the_best_of_its_boxes(tmp_path):
    write_toy(tmp_path)
    run_stage("images", tmp_path)
    store = open_store(tmp_path / "data/tagging/toy/images/real", TAGS)

    class Detector:
        """Two queries whose logits for class k are plus and minus k times the brightness of the picture."""

        def __call__(self, pixel_values):
            assert pixel_values.shape[1:] == (3, 64, 64) and pixel_values.min() >= 0 and pixel_values.max() <= 1
            bright = pixel_values.mean(dim=(1, 2, 3))[:, None, None]
            logits = bright * torch.arange(80.0).repeat(len(pixel_values), 2, 1) * torch.tensor([[1.0], [-1.0]])
            return type("Output", (), {"logits": logits})

    scores = detector_scores(Detector(), 64, [[2, 3], [], [0]], store, np.arange(len(store.names)))
    bright = np.array([image.double().mean() / 255 for image in store.images(range(len(store.names)))])
    assert np.ptp(bright) > 0.02
    assert scores[:, 0] == pytest.approx(1 / (1 + np.exp(-3 * bright)), abs=1e-3)
    assert (scores[:, 1] == 0).all() and scores[:, 2] == pytest.approx(0.5)


def test_a_file_that_is_no_detector(tmp_path):
    torch.save({"model": {"decoder.x": torch.zeros(1)}}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="neither DEIMv2-Atto nor -Femto"):
        load_official_detector(tmp_path / "a.pth")


def test_the_drawn_domains_do_not_depend_on_the_number_of_processes(tmp_path):
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        generate_toolbox(tmp_path / str(workers), seed=3, per_part={"train": 2, "test": 1}, scenes=6, workers=workers)
    files = [path.relative_to(tmp_path / "1") for path in sorted((tmp_path / "1").rglob("*")) if path.is_file()]
    assert len(files) == 3 * len(SHAPES) + 6 + 1
    assert all((tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes() for file in files)
    coco = json.loads((tmp_path / "1/scenes.json").read_text())
    assert [category["name"] for category in coco["categories"]] == list(PARTS)
    for box in coco["annotations"]:
        x, y, width, height = box["bbox"]
        assert x >= 0 and y >= 0 and x + width <= 448 and y + height <= 448
