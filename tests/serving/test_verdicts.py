"""From a verdict to a data set that the stage `dataset` reads."""

import contextlib
import json

import pytest
import yaml
from live_server import encoded
from PIL import Image
from refined_sample import ROOT, run_command
from served_sample import noise
from tiny_detector import CLASSES

from zerostart import verdicts as verdicts_module
from zerostart.datasets.cards import load_card
from zerostart.datasets.checks import import_dataset
from zerostart.errors import InputError
from zerostart.serving.frames import memory_file, write_all
from zerostart.serving.judgements import Verdict, checked
from zerostart.serving.labelled import collect, split_of
from zerostart.serving.refusals import Refusal
from zerostart.serving.store import Store, sha256_of

SIZE = (80, 48)


def detection(engine, index, name, box):
    return {
        "id": f"{engine}:{index}",
        "class": name,
        "score": 0.7,
        "box": box,
        "critical": False,
        "view": "whole",
        "logits": {},
    }


def answer_about(picture_id):
    refined = [
        detection("refined", 0, "crack", [5.0, 5.0, 30.0, 30.0]),
        detection("refined", 1, "dent", [40.0, 10.0, 60.0, 30.0]),
        detection("refined", 2, "scratch", [1.0, 1.0, 10.0, 40.0]),
        detection("refined", 3, "dent", [50.0, 5.0, 70.0, 45.0]),
    ]
    baseline = [detection("baseline", 0, "crack", [5.0, 5.0, 30.0, 31.0])]
    return {
        "id": picture_id,
        "picture": {"width": SIZE[0], "height": SIZE[1], "file_name": "a.png"},
        "classes": CLASSES,
        "detections": {"refined": refined, "baseline": baseline},
        "thresholds": {"refined": 0.5, "baseline": 0.5},
    }


SAID = {
    "decisions": [
        {"detection": "refined:0", "decision": "accept"},
        {"detection": "baseline:0", "decision": "accept"},
        {"detection": "refined:1", "decision": "reject"},
        {"detection": "refined:2", "decision": "correct", "class": "dent", "box": [2, 2, 12, 42]},
    ],
    "added": [{"class": "scratch", "box": [70, 1, 79, 40], "sentence": "a hair line"}],
    "sentence": "seen twice",
    "inspector": "Ana",
}


def judged(store, count, said=SAID):
    for seed in range(count):
        file = memory_file("picture")
        # Every third one is turned: what is exported is what was looked at.
        exif = Image.Exif()
        exif[0x0112] = 6 if seed % 3 == 0 else 1
        stored = noise(SIZE if seed % 3 else SIZE[::-1], seed)
        write_all(file, encoded(stored, "JPEG", exif=exif))
        picture_id = sha256_of(file)
        store.add_picture(picture_id, file)
        answer = answer_about(picture_id)
        n = store.add_inspection(answer, {"uncertainty": 0.0, "novelty": None, "score": 0.0})
        store.add_verdict(picture_id, n, checked(Verdict.model_validate(said), answer))


@pytest.fixture
def folder(tmp_path):
    """A checkout with a card of three classes."""
    card = yaml.safe_load((ROOT / "data/datasets/synthetic.yaml").read_text())
    card |= {"name": "parts", "classes": CLASSES, "critical": ["crack"]}
    (tmp_path / "data/datasets").mkdir(parents=True)
    (tmp_path / "data/datasets/parts.yaml").write_text(yaml.safe_dump(card))
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text().replace("dataset: synthetic", "dataset: parts"))
    return tmp_path


def test_verdicts_become_a_data_set(folder):
    """Accepted once, corrected as corrected, added, and not the rejected nor the undecided; the stage's own reader takes it."""
    judged(Store(folder / "inspections"), 30)
    sentence = run_command(verdicts_module, folder, "mine")
    assert "dvc exp run -S dataset=mine -S baseline=data/baselines/parts" in sentence
    assert "30 objects were kept of both engines" in sentence
    assert "30 detections at or above the threshold were neither accepted nor rejected" in sentence  # refined:3
    with contextlib.chdir(folder):
        imported = import_dataset(load_card("mine"), "data/raw/mine")
    assert sum(len(coco["images"]) for coco in imported.splits.values()) == 30
    for coco in imported.splits.values():
        assert [category["name"] for category in coco["categories"]] == CLASSES
        for image in coco["images"]:
            own = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
            boxes = {(CLASSES[a["category_id"]], *a["bbox"]) for a in own}
            # x, y, width, height by hand from the corners above
            assert boxes == {("crack", 5, 5, 25, 25), ("dent", 2, 2, 10, 40), ("scratch", 70, 1, 9, 39)}
            assert (image["width"], image["height"]) == SIZE


def test_only_boxes_of_two_engines_are_one_object(folder):
    """Two of one engine, two added ones, and an added one on an accepted one stay, however much they overlap."""
    decisions = [
        {"detection": "refined:0", "decision": "accept"},
        {"detection": "baseline:0", "decision": "accept"},  # IoU 25 · 25 / (25 · 26) = 0.96 with refined:0: one object
        {"detection": "refined:1", "decision": "correct", "box": [40, 10, 60, 31]},
        {"detection": "refined:3", "decision": "correct", "box": [40, 10, 60, 30]},
    ]
    added = [{"class": "crack", "box": [5, 5, 30, 30]}, {"class": "crack", "box": [5, 5, 30, 29]}]
    store = Store(folder / "inspections")
    judged(store, 1, {"decisions": decisions, "added": added})
    with contextlib.chdir(folder):
        labelled = collect(store, load_card("parts"))
    (record,) = [image for images in labelled.images.values() for image in images]
    found = sorted((one["attributes"].get("detection", "added"), *one["box"]) for one in record["objects"])
    assert found == [
        ("added", 5, 5, 30, 29),
        ("added", 5, 5, 30, 30),
        ("refined:0", 5, 5, 30, 30),
        ("refined:1", 40, 10, 60, 31),
        ("refined:3", 40, 10, 60, 30),
    ]
    assert labelled.twice == 1


def test_attributes_and_captions_are_kept(folder):
    judged(Store(folder / "inspections"), 30)
    run_command(verdicts_module, folder, "mine")
    coco = json.loads((folder / "data/raw/mine/train.json").read_text())
    assert coco["images"][0]["caption"] == "seen twice"
    corrected, added, accepted = coco["annotations"][:3]
    assert corrected["attributes"] == {"decision": "correct", "detection": "refined:2", "inspector": "Ana", "score": 0.7}
    assert added["attributes"] == {"decision": "add", "inspector": "Ana"} and added["caption"] == "a hair line"
    assert accepted["attributes"]["detection"] == "refined:0"


def test_a_picture_keeps_its_split(folder):
    """By its hash alone: 0x00… is train, 0xc0… (0.75) val, 0xff… test."""
    assert [split_of(start * 32) for start in ("00", "b0", "c0", "ff")] == ["train", "train", "val", "test"]
    store = Store(folder / "inspections")
    judged(store, 30)
    run_command(verdicts_module, folder, "one")
    judged(store, 40)
    run_command(verdicts_module, folder, "two")
    for split in ("train", "val", "test"):
        one, two = (
            {image["verdict_of"] for image in json.loads((folder / "data/raw" / name / f"{split}.json").read_text())["images"]}
            for name in ("one", "two")
        )
        assert one <= two


def test_verdicts_join_the_pictures_of_the_base(folder):
    """A judged picture of the base stays in its split, whatever its hash says; its boxes and sentence are the verdict's."""
    judged(Store(folder / "inspections"), 30)
    run_command(verdicts_module, folder, "one")
    base = folder / "data/raw/one"
    for split, other in (("val", "kept"), ("test", "val"), ("kept", "test")):
        (base / f"{split}.json").rename(base / f"{other}.json")
    before = {split: json.loads((base / f"{split}.json").read_text()) for split in ("train", "val", "test")}
    again = {"added": [{"class": "crack", "box": [1, 1, 9, 9]}], "sentence": "again"}
    judged(Store(folder / "again"), 20, again)
    run_command(verdicts_module, folder, "two", "--store", "again", "--like", "one", "--with-base")
    boxes = []
    for split, coco in before.items():
        after = json.loads((folder / "data/raw/two" / f"{split}.json").read_text())
        assert len(after["images"]) == len(coco["images"])
        for image in after["images"]:
            own = [tuple(a["bbox"]) for a in after["annotations"] if a["image_id"] == image["id"]]
            assert (image.get("caption") == "again") == (own == [(1, 1, 8, 8)])
            boxes.append(len(own))
    assert sorted(boxes) == [1] * 20 + [3] * 10


def test_too_few_are_refused_in_a_sentence(folder):
    judged(Store(folder / "inspections"), 1)
    with pytest.raises(InputError, match=r"too few verdicts .* judge more pictures"):
        run_command(verdicts_module, folder, "mine")
    assert not (folder / "data/raw/mine").exists() and not (folder / "data/datasets/mine.yaml").exists()


def test_nothing_of_others_is_replaced(folder):
    judged(Store(folder / "inspections"), 30)
    (folder / "data/datasets/mine.yaml").write_text("name: mine\n")
    with pytest.raises(InputError, match="was not written by this command"):
        run_command(verdicts_module, folder, "mine")
    with pytest.raises(InputError, match="small letters"):
        run_command(verdicts_module, folder, "../mine")


@pytest.mark.parametrize(
    "said, sentence",
    [
        ({"decisions": [{"detection": "refined:9", "decision": "accept"}]}, "no detection 'refined:9'"),
        ({"decisions": [{"detection": "refined:0", "decision": "correct"}]}, "with a class, a box or both"),
        (
            {"decisions": [{"detection": "refined:0", "decision": "accept", "class": "dent"}]},
            "the other decisions with",
        ),
        ({"decisions": [{"detection": "refined:0", "decision": "accept"}] * 2}, "was decided on before"),
        ({"added": [{"class": "rust", "box": [1, 1, 9, 9]}]}, "the class 'rust' is unknown; crack, dent, scratch are known"),
        ({"added": [{"class": "dent", "box": [1, 1, 90, 9]}]}, "inside the picture of 80x48 pixels"),
        ({"added": [{"class": "dent", "box": [9, 1, 1, 9]}]}, "at least a pixel a side"),
        ({"added": [{"class": "dent", "box": [1, 9, 9, 1]}]}, "at least a pixel a side"),
    ],
)
def test_a_verdict_must_fit_its_inspection(said, sentence):
    with pytest.raises(Refusal, match=sentence):
        checked(Verdict.model_validate(said), answer_about("a" * 64))


def test_a_verdict_by_http(server):
    """201 with its number, found again, and the picture is no more among the next ones."""
    answer = server.inspect(encoded(noise(seed=50))).json()
    path = f"/v1/inspections/{answer['id']}/verdict"
    assert server.client.get(path).status_code == 404
    assert answer["id"] in {one["id"] for one in server.client.get("/v1/next?limit=1000").json()}
    verdict = {"decisions": [{"detection": "refined:0", "decision": "reject"}], "sentence": "ñ é 漢"}
    given = server.client.post(path, json=verdict)
    assert given.status_code == 201 and given.json()["inspection"] == answer["id"]
    assert server.client.get(path).json()["sentence"] == "ñ é 漢"
    assert answer["id"] not in {one["id"] for one in server.client.get("/v1/next?limit=1000").json()}
    for wrong in (
        b'{"sentence": "\\ud800"}',
        b'{"sentence": "\\u0000"}',
        b"[1]",
        b"{",
        b"\xff",
        b'{"added": [{"box": [NaN]}]}',
    ):
        refused = server.client.post(path, content=wrong, headers={"Content-Type": "application/json"})
        assert refused.status_code in (400, 422) and "error" in refused.json()


def test_a_damaged_store_is_said(tmp_path):
    Store(tmp_path / "store").close()
    (tmp_path / "store/verdicts.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match="no store can be opened there"):
        Store(tmp_path / "store")
