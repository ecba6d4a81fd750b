"""The synthetic data: reproducible bytes, honest boxes, two classes that differ only in what words say."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy import stats

from stages import synthetic as stage
from zerostart.contact_sheets import contact_sheet
from zerostart.drawing import marks as surface_marks
from zerostart.drawing.marks import BOX_PADDING, DRAW, Mark, paint
from zerostart.drawing.metal import clean_surface
from zerostart.drawing.synthetic import CLASSES, CRITICAL, SIZE, _crowded, generate, image_rng, render_image, split_indices

LIGHT = np.array([0.6, -0.8])


@pytest.fixture(scope="module")
def rendered():
    return [render_image(image_rng(0, index)) for index in range(250)]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one_worker")
    generate(folder, seed=3, images=25, workers=1)
    return folder


def file_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_bytes_do_not_depend_on_the_number_of_workers(data_set, tmp_path):
    generate(tmp_path, seed=3, images=25, workers=2)
    assert file_bytes(tmp_path) == file_bytes(data_set)


def test_another_seed_and_another_index_give_another_image():
    pixels = [render_image(image_rng(seed, index))[0] for seed, index in ((0, 1), (1, 0), (0, 1))]
    assert not np.array_equal(pixels[0], pixels[1])
    assert np.array_equal(pixels[0], pixels[2])


def test_splits_are_60_20_20_and_disjoint():
    splits = split_indices(1200)
    assert {name: len(indices) for name, indices in splits.items()} == {"train": 720, "val": 240, "test": 240}
    assert sorted(index for indices in splits.values() for index in indices) == list(range(1200))


@pytest.mark.parametrize(("split", "images"), [("train", 15), ("val", 5), ("test", 5)])
def test_annotations_load_in_pycocotools(data_set, split, images):
    coco = COCO(data_set / "annotations" / f"{split}.json")
    assert sorted(coco.getImgIds()) == list(range(1, images + 1))
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    critical = ["fracture", "scratch", "contamination"]
    assert coco.dataset["info"] == {"dataset": "synthetic", "critical": critical}
    assert len(coco.getAnnIds()) == len(coco.dataset["annotations"]) > 0
    for image in coco.loadImgs(coco.getImgIds()):
        assert Image.open(data_set / image["file_name"]).size == (image["width"], image["height"])


def test_annotations_belong_to_their_image(data_set):
    """The 5 images of val are the images 15 to 19 of the data set."""
    coco = COCO(data_set / "annotations" / "val.json")
    for image_id in range(1, 6):
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[image_id]))
        _, objects = render_image(image_rng(3, 14 + image_id))
        assert coco.loadImgs([image_id])[0]["file_name"] == f"images/{14 + image_id:06d}.jpg"
        assert [(CLASSES[a["category_id"]], tuple(a["bbox"])) for a in annotations] == objects
        assert all(a["area"] == a["bbox"][2] * a["bbox"][3] for a in annotations)


@pytest.mark.parametrize(("images", "workers"), [(4, 1), (10, 0)])
def test_empty_splits_and_no_workers_are_refused(tmp_path, images, workers):
    with pytest.raises(ValueError, match="at least 5 images and 1 worker"):
        generate(tmp_path, seed=0, images=images, workers=workers)


def test_classes_are_in_order_and_imbalanced(rendered):
    assert CLASSES == ("normal", "perforation", "fracture", "scratch", "dent", "contamination")
    count = Counter(name for _, objects in rendered for name, _ in objects)
    rare = max(count[name] for name in ("perforation", "fracture", "dent", "contamination"))
    assert rare < 0.8 * min(count["normal"], count["scratch"])
    # The 240 test images of the real data set need about 100 critical objects for a stable recall.
    assert sum(count[name] for name in CRITICAL) * 240 / 250 > 150


def test_images_hold_none_to_five_objects_and_some_are_empty(rendered):
    numbers = Counter(len(objects) for _, objects in rendered)
    assert set(numbers) == {0, 1, 2, 3, 4, 5}
    assert 0.07 <= numbers[0] / len(rendered) <= 0.13


def test_images_are_well_exposed_photographs(rendered):
    for pixels, _ in rendered:
        assert pixels.shape == (SIZE, SIZE, 3) and pixels.dtype == np.uint8
        assert 60 < pixels.mean() < 215 and (pixels == 255).mean() < 0.05


def test_boxes_are_inside_the_image_and_large_enough_for_stride_16(rendered):
    for name, (x, y, width, height) in (item for _, objects in rendered for item in objects):
        assert x >= 0 and y >= 0 and x + width <= SIZE and y + height <= SIZE, name
        assert max(width, height) >= 24 and max(width, height) / min(width, height) < 4, name


def test_objects_hardly_overlap(rendered):
    for _, objects in rendered:
        for (_, a), (_, b) in combinations(objects, 2):
            assert coco_mask.iou(np.array([a], float), np.array([b], float), [0])[0, 0] < 0.1
            centre_a, centre_b = (np.array(box[:2]) + np.array(box[2:]) / 2 for box in (a, b))
            assert np.linalg.norm(centre_a - centre_b) >= 32


@pytest.mark.parametrize(
    ("other", "crowded"),
    [
        ((100, 0, 40, 20), False),  # disjoint, centres 100 apart
        ((0, 20, 40, 20), True),  # they only touch, but the centres are 20 apart
        ((36, 0, 40, 20), False),  # 4·20 pixels shared: exactly a tenth of 40·20
        ((35, 0, 40, 20), True),  # 5·20 shared: an eighth
    ],
)
def test_two_objects_are_crowded_when_they_share_pixels_or_their_centres_are_close(other, crowded):
    assert _crowded((0, 0, 40, 20), other) is crowded


def painted_extent(name: str, seed: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners x0, y0, x1, y1 of what changes by `share` of the largest change; the box's without padding."""
    mark = DRAW[name](np.random.default_rng(seed), LIGHT)
    without = np.ones((SIZE, SIZE, 3), np.float32)
    painted = without.copy()
    paint(painted, mark, 20, 30)
    change = np.abs(painted - without).max(2)
    rows, columns = (np.flatnonzero((change > share * change.max()).any(axis)) for axis in (1, 0))
    x, y, width, height = mark.box[0] + 20, mark.box[1] + 30, mark.box[2], mark.box[3]
    box = np.array([x, y, x + width, y + height]) + np.array([1, 1, -1, -1]) * BOX_PADDING
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]), box


@pytest.mark.parametrize("name", ["normal", "perforation", "fracture", "scratch", "contamination"])
@pytest.mark.parametrize("seed", range(12))
def test_boxes_are_tight_on_what_is_painted(name, seed):
    extent, box = painted_extent(name, seed, share=0.3)
    tolerance = 5 if name == "contamination" else 3  # a blotch has a soft edge, some pixels wide
    assert np.abs(extent - box).max() <= tolerance


@pytest.mark.parametrize("seed", range(12))
def test_a_dent_fills_its_box_in_the_direction_of_the_light(seed):
    """The walls along the light are shaded, those across it are not: at least one side pair must be tight."""
    extent, box = painted_extent("dent", seed, share=0.3)
    gaps = (extent - box) * np.array([1, 1, -1, -1])
    assert gaps.min() >= 0  # nothing visible outside
    assert min(gaps[[0, 2]].max(), gaps[[1, 3]].max()) <= 3


@pytest.mark.parametrize("name", CLASSES)
def test_patches_hold_the_whole_mark(name):
    for seed in range(60):
        mark = DRAW[name](np.random.default_rng(seed), LIGHT)
        x, y, width, height = mark.box
        assert min(x, y) >= 0 and max(x + width, y + height) <= len(mark.gain)


def test_fracture_and_scratch_share_their_distributions(monkeypatch):
    """Two-sample Kolmogorov-Smirnov on each drawn parameter, from independent draws of both classes."""
    lines: dict[str, list] = {"fracture": [], "scratch": []}
    draw_line = surface_marks.draw_line

    def record(rng):
        lines[name].append(draw_line(rng))
        return lines[name][-1]

    monkeypatch.setattr(surface_marks, "draw_line", record)
    for name, first_seed in (("fracture", 0), ("scratch", 1000)):
        for seed in range(200):
            DRAW[name](np.random.default_rng(first_seed + seed), LIGHT)
        assert len(lines[name]) == 200
    for parameter in ("length", "angle", "width", "contrast", "sag"):
        samples = [[getattr(line, parameter) for line in lines[name]] for name in lines]
        assert stats.ks_2samp(*samples).pvalue > 0.01, parameter


def test_fracture_and_scratch_are_equally_long_and_dark_as_painted():
    marks = {name: [DRAW[name](np.random.default_rng(seed), LIGHT) for seed in range(200)] for name in ("fracture", "scratch")}
    diagonal = {name: np.median([np.hypot(*mark.box[2:]) for mark in marks[name]]) for name in marks}
    darkest = {name: np.median([mark.gain.min() for mark in marks[name]]) for name in marks}
    assert diagonal["fracture"] == pytest.approx(diagonal["scratch"], rel=0.08)
    assert darkest["fracture"] == pytest.approx(darkest["scratch"], rel=0.12)


def test_only_a_fracture_displaces_the_texture_and_only_a_scratch_has_a_bright_burr():
    marks = {name: [DRAW[name](np.random.default_rng(seed), LIGHT) for seed in range(40)] for name in CLASSES}
    assert all(mark.slip.max() > 0.9 for mark in marks["fracture"])
    assert np.mean([mark.slip_by != (0, 0) for mark in marks["fracture"]]) > 0.5  # the others slip less than a pixel
    assert all(mark.slip is None for mark in marks["scratch"])
    assert max(mark.gain.max() for mark in marks["fracture"]) < 1.05  # one bank is a little brighter
    assert np.median([mark.gain.max() for mark in marks["scratch"]]) > 1.06  # often weak: borderline cases are wanted


def test_slip_displaces_and_polish_smooths_the_texture_below():
    """On a ramp of 1 per pixel a slip by 3 pixels to the right lowers every value inside by 3."""
    ones = np.ones((20, 20), np.float32)
    ramp = np.repeat(np.arange(40.0)[None, :, None], 40, axis=0) * np.ones(3)
    paint(ramp, Mark("fracture", ones[..., None], (0, 0, 20, 20), slip=ones, slip_by=(3, 0)), 10, 10)
    assert ramp[15, 13:30, 0] == pytest.approx(np.arange(13, 30) - 3)
    noise = np.random.default_rng(0).normal(0.5, 0.1, (40, 40, 3))
    paint(noise, Mark("normal", ones[..., None], (0, 0, 20, 20), polish=ones), 10, 10)
    assert noise[10:30, 10:30].std() < 0.04 < 0.09 < noise[:10].std()


def test_contamination_is_faint_and_a_perforation_is_not():
    for seed in range(30):
        faint, strong = (DRAW[name](np.random.default_rng(seed), LIGHT).gain for name in ("contamination", "perforation"))
        assert 0.04 < np.abs(faint - 1).max() < 0.35
        assert strong.min() < 0.35


@pytest.mark.parametrize("corner", [(-40, -40), (SIZE - 60, SIZE - 60), (-40, SIZE - 60)])
def test_a_patch_may_reach_over_the_border(corner):
    surface = clean_surface(np.random.default_rng(0))
    before = surface.copy()
    paint(surface, DRAW["fracture"](np.random.default_rng(2), LIGHT), *corner)
    assert surface.shape == before.shape and np.isfinite(surface).all()
    assert not np.array_equal(surface, before)


def test_the_stage_replaces_its_output_and_a_failing_run_keeps_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "OUTPUT", tmp_path / "raw" / "synthetic")
    monkeypatch.setattr(stage, "IMAGES", 5)
    monkeypatch.setattr(stage.os, "cpu_count", lambda: 1)
    assert stage.main() == f"5 images in {tmp_path / 'raw' / 'synthetic'}"
    first = file_bytes(stage.OUTPUT)
    assert len(first) == 5 + 3

    def fail(folder, **_):
        (folder / "half-written").touch()
        raise RuntimeError("killed")

    monkeypatch.setattr(stage, "generate", fail)
    with pytest.raises(RuntimeError):
        stage.main()
    assert file_bytes(stage.OUTPUT) == first
    assert [path.name for path in stage.OUTPUT.parent.iterdir()] == ["synthetic"]


@pytest.mark.parametrize("name", ["fracture", "scratch"])
def test_the_contact_sheets_in_the_docs_are_up_to_date(name):
    """Compared as pixels with room for JPEG: a stale sheet differs by whole objects."""
    committed = Image.open(Path(__file__).parents[2] / "docs" / "images" / f"synthetic_{name}.jpg")
    difference = np.asarray(committed, float) - np.asarray(contact_sheet(name), float)
    assert difference.shape == (320, 960, 3)
    assert np.abs(difference).mean() < 4
