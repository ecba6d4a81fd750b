"""Predictions of folders and COCO files, tiles of large images, and what is refused."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from refined_sample import refined_sample, run_command, settings, write_pipeline
from tiny_detector import CLASSES

from zerostart import predict as predict_module
from zerostart.errors import InputError
from zerostart.inference.detections import Detections
from zerostart.inference.explained_pictures import draw, ranking
from zerostart.inference.tiles import BORDER, merge_tiles, tiles
from zerostart.outputs import output_folder


def predict(folder, *arguments):
    return run_command(predict_module, folder, *arguments)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    write_pipeline(folder)
    return folder


def test_a_pipe_among_the_pictures_is_not_waited_for(pipeline, tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: not a readable image \(not a regular file\)"):
        predict(pipeline, tmp_path, "--out", "piped")
    with pytest.raises(InputError, match=r"a\.png: no such file or folder; an image, a folder of images or a COCO file"):
        predict(pipeline, tmp_path / "a.png", "--out", "piped")
    assert not (pipeline / "piped").exists()


def detections(boxes, scores, labels):
    parts = [np.arange(len(scores) * 3, dtype=np.float32).reshape(-1, 3)] * 3
    return Detections(np.float32(boxes).reshape(-1, 4), np.float32(scores), np.int64(labels), *parts)


def test_a_folder(pipeline):
    sentence = predict(pipeline, "data/raw/parts", "--out", "p", "--detector", "both", "--threshold", 0.01, "--batch-size", 2)
    assert sentence.endswith("detections in 3 images")
    assert len(list((pipeline / "p/images").glob("*.png"))) == 3
    refined, baseline = (json.loads((pipeline / f"p/{name}.json").read_text()) for name in ("refined", "baseline"))
    found = refined_sample().detect(sorted((pipeline / "data/raw/parts").glob("*.png")), 0.01)
    assert [row["score"] for row in refined] == pytest.approx(np.concatenate([one.scores for one in found]).tolist(), abs=1e-5)
    left, top, right, bottom = found[0].boxes[0].tolist()
    assert refined[0]["bbox"] == pytest.approx([left, top, right - left, bottom - top], abs=1e-3)
    assert refined[0]["file_name"] == "1.png" and refined[0]["image_id"] == 1
    assert set(refined[0]["logits"]) == {"detector", "head", "text"} and set(baseline[0]["logits"]) == {"detector"}
    for name, part in (("detector", found[0].base), ("head", found[0].delta), ("text", found[0].text)):
        assert list(refined[0]["logits"][name].values()) == pytest.approx(part[0].tolist(), abs=1e-4)
    assert refined[0]["prompt"] == list(settings().prompts[refined[0]["category"]])


def test_pictures_may_have_any_name(pipeline, tmp_path):
    picture = (pipeline / "data/raw/parts/1.png").read_bytes()
    for name in (os.fsdecode(b"dent\xff.png"), "two\nlines.png"):
        (tmp_path / name).write_bytes(picture)
    sentence = predict(pipeline, tmp_path, "--out", "named", "--threshold", 0.01)
    assert sentence.endswith("detections in 2 images")
    assert len(os.listdir(pipeline / "named/images")) == 2
    with output_folder(pipeline / "named"):  # its list of files holds them both
        pass


def test_calibrated_scores_are_of_tempered_logits_and_nothing_else_changes(pipeline):
    path = pipeline / "metrics/evaluate.json"
    plain = path.read_text()
    path.write_text(json.dumps(json.loads(plain) | {"temperature": {"baseline": 1.0, "refined": 0.5}}))
    rows = []
    for out, arguments in (("raw", []), ("cured", ["--calibrated"])):
        predict(pipeline, "data/raw/parts", "--out", out, "--threshold", 0.01, *arguments)
        rows.append(json.loads((pipeline / out / "refined.json").read_text()))
    path.write_text(plain)
    for raw, cured in zip(*rows, strict=True):
        odds = (raw.pop("score"), cured.pop("score"))
        assert odds[1] / (1 - odds[1]) == pytest.approx((odds[0] / (1 - odds[0])) ** 2, rel=1e-2)  # twice the logit
        assert raw == cured


def test_a_coco_file_keeps_its_ids(pipeline):
    coco = json.loads((pipeline / "data/coco/test.json").read_text())
    coco["categories"] = [{"id": 10 * (3 - index), "name": name} for index, name in enumerate(CLASSES)]
    coco["annotations"] = []  # nor are any needed
    (pipeline / "own.json").write_text(json.dumps(coco))
    predict(pipeline, "own.json", "--images", "data/raw/parts", "--out", "c", "--every-class")
    rows = json.loads((pipeline / "c/refined.json").read_text())
    assert {row["image_id"] for row in rows} == {image["id"] for image in coco["images"]}
    assert {(row["category"], row["category_id"]) for row in rows} == {("crack", 30), ("dent", 20), ("scratch", 10)}
    assert len({row["file_name"] for row in rows}) == 3


@pytest.mark.parametrize("tiling", ["six", "grid"])
@pytest.mark.parametrize("size", [(1000, 700), (300, 1200), (257, 256), (40, 40)])
def test_tiles_cover_the_image(tiling, size):
    parts = tiles(*size, tiling, side=256)
    covered = np.zeros(size[::-1], int)
    for left, top, right, bottom in parts[1:]:
        assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
        covered[top:bottom, left:right] += 1
    assert parts[0] == (0, 0, *size)
    assert len(parts) == 6 if tiling == "six" else (covered.min() > 0 or len(parts) == 1)


def test_neighbours_in_the_grid_overlap():
    lefts = sorted({left for left, *_ in tiles(1000, 256, "grid", 256)[1:]})
    assert lefts[-1] == 1000 - 256
    assert max(np.diff(lefts)) <= 0.75 * 256 + 1


def test_tiles_are_merged_where_they_overlap():
    """A box of the left half and the whole image's are one object; the right half sees a part of it, cut by its edge."""
    parts = [(0, 0, 200, 100), (0, 0, 120, 100), (80, 0, 200, 100)]
    found = [
        detections([[0.3, 0.2, 0.5, 0.6]], [0.7], [1]),
        detections([[0.5, 0.2, 100 / 120, 0.6]], [0.9], [1]),
        detections([[BORDER / 2, 0.2, 20 / 120, 0.6], [0.5, 0.5, 1, 1]], [0.95, 0.4], [1, 2]),
    ]
    merged = merge_tiles(found, parts, (200, 100), 0.5)
    np.testing.assert_allclose(merged.boxes, [[60, 20, 100, 60], [140, 50, 200, 100]], rtol=1e-5)
    np.testing.assert_allclose(merged.scores, [0.9, 0.4], rtol=1e-6)
    assert merged.labels.tolist() == [1, 2] and merged.base.shape == (2, 3)


def test_tiled_prediction_of_a_large_image(pipeline, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (150, 200), dtype=np.uint16) * 257
    Image.fromarray(noise).save(tmp_path / "deep.png")
    predict(pipeline, tmp_path / "deep.png", "--out", tmp_path / "t", "--tiling", "grid", "--tile", 96, "--threshold", 0.01)
    rows = json.loads((tmp_path / "t/refined.json").read_text())
    assert len(rows) > len(refined_sample().detect([tmp_path / "deep.png"], 0.01)[0].scores)
    for left, top, width, height in (row["bbox"] for row in rows):
        assert left > -1e-3 and top > -1e-3 and left + width <= 200.01 and top + height <= 150.01


def test_pictures_name_the_rivals():
    base = np.float32([[0.5, -1, -3]])
    found = Detections(
        np.float32([[2, 2, 20, 20]]), np.float32([0.7]), np.int64([0]), base, 0 * base, np.float32([[0.1, 0, 5]])
    )
    assert ranking(found, 0) == [0, 2, 1]
    image = Image.new("RGB", (50, 30))
    one, two = (draw(image, dict.fromkeys(names, found), settings()) for names in (["refined"], ["baseline", "refined"]))
    assert two.width == 2 * one.width
    empty = draw(image, {"refined": detections([], [], [])}, settings())
    assert empty.height < one.height


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "missing: no such file or folder"),
        (["data/coco"], "data/coco: has no image"),
        (["broken.png"], "broken.png: not a readable image"),
        (["data/coco/test.json"], "no such image, but data/coco/test.json lists it; --images says where"),
        (["list.json"], "list.json: input should be an object"),
        (["few.json"], "few.json: has no category 'crack', which the detector knows"),
        (["none.json"], "none.json: lists no image"),
        (["sizes.json", "--images", "data/raw/parts"], "size 81×48 is annotated, but .* is 80×48"),
        (["data/raw/parts", "--threshold", "2"], "--threshold is 2.0; 0 to 1 is expected"),
        (["data/raw/parts", "--batch-size", "0"], "--batch-size is 0; 1 to 4096 is expected"),
        (["data/raw/parts", "--out", "data"], "data: exists and is not empty; a new folder is expected"),
        (["data/raw/parts", "--out", "params.yaml"], "params.yaml: is a file; a new folder is expected"),
        (["data/raw/parts", "--out", "params.yaml/x"], "params.yaml: is a file; a new folder is expected"),
    ],
)
def test_refused(pipeline, arguments, message):
    coco = json.loads((pipeline / "data/coco/test.json").read_text())
    (pipeline / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (pipeline / "list.json").write_text("[]")
    (pipeline / "few.json").write_text(json.dumps(coco | {"categories": [], "annotations": []}))
    (pipeline / "none.json").write_text(json.dumps(coco | {"images": [], "annotations": []}))
    (pipeline / "sizes.json").write_text(json.dumps(coco | {"images": [image | {"width": 81} for image in coco["images"]]}))
    out = [] if "--out" in arguments else ["--out", "refused"]
    with pytest.raises(InputError, match=message):
        predict(pipeline, *arguments, *out)
    assert not (pipeline / "refused").exists() and not list(pipeline.glob(".tmp*"))
