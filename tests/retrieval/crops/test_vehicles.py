"""The vehicle of a photo: the largest box of a car, bus or truck; no detector is no error."""

import pytest
import torch
from PIL import Image
from retrieval_samples import ROOT

from zerostart.detector.coco import COCO_CLASSES
from zerostart.detector.model import build_detector, save_detector
from zerostart.detector.variants import variant_config
from zerostart.errors import InputError
from zerostart.retrieval.crops.vehicles import find_vehicle, largest_vehicle, load_vehicle_detector

CAR, PERSON, TRUCK = 2, 0, 7


def detections(*found):
    logits, boxes = torch.full((len(found), 80), -9.0), torch.tensor([box for *_, box in found])
    for row, (kind, score, _) in enumerate(found):
        logits[row, kind] = torch.logit(torch.tensor(score))
    return logits, boxes


def test_the_largest_vehicle_counts_not_the_surest_nor_the_largest_thing():
    logits, boxes = detections(
        (CAR, 0.9, [0.5, 0.5, 0.2, 0.2]),
        (TRUCK, 0.4, [0.5, 0.5, 0.4, 0.2]),
        (CAR, 0.29, [0.5, 0.5, 0.8, 0.8]),
        (PERSON, 0.9, [0.5, 0.5, 0.9, 0.9]),
    )
    assert largest_vehicle(logits, boxes, (100, 200)) == pytest.approx((30, 80, 70, 120))
    assert largest_vehicle(logits[3:], boxes[3:], (100, 200)) is None


def test_a_box_over_the_border_ends_there():
    assert largest_vehicle(*detections((CAR, 0.9, [0.0, 0.5, 0.4, 2.0])), (100, 200)) == pytest.approx((0, 0, 20, 200))


def test_a_detector_runs_on_a_photo_of_any_size():
    torch.manual_seed(0)
    detector = build_detector(variant_config("atto", [str(i) for i in range(80)], 64, 5)).eval()
    assert find_vehicle(detector, Image.new("RGB", (90, 50))) is None


def test_without_a_detector_to_be_had(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert load_vehicle_detector(None) is None
    assert load_vehicle_detector("someone/deimv2-coco") is None
    with pytest.raises(InputError, match=r"nowhere.pth: no such checkpoint"):
        load_vehicle_detector("nowhere.pth")
    with pytest.raises(InputError, match=r"baseline is 'no/such/folder': no such folder"):
        load_vehicle_detector("no/such/folder")


def test_a_folder_of_a_coco_detector_and_of_another_one(tmp_path):
    torch.manual_seed(0)
    save_detector(build_detector(variant_config("atto", list(COCO_CLASSES), 64, 5)), tmp_path / "coco")
    assert load_vehicle_detector(str(tmp_path / "coco"))(Image.new("RGB", (90, 50))) is None
    with pytest.raises(InputError, match=r"config.json: the baseline was trained for the classes .'normal"):
        load_vehicle_detector(str(ROOT / "data/baselines/synthetic"))
