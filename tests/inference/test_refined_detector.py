"""The refined detector gives what its parts give, and its folder brings it back."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from refined_sample import random_fusion, refined_sample, settings, write_pipeline
from tiny_detector import CLASSES, QUERIES, SIZE, random_pixels, tiny_detector

from zerostart.detector.mirror import FLIPS, TEST_VIEWS, unflip
from zerostart.detector.model import look
from zerostart.errors import InputError
from zerostart.inference.folded_fusion import FoldedFusion
from zerostart.inference.refined_detector import RefinedDetector
from zerostart.method.merged_views import merge


def pixels(count=2):
    return (255 * random_pixels(count)).to(torch.uint8)


@torch.inference_mode()
def from_views(detector, images):
    """As the stage `evaluate` computes it, on float64 arrays: boxes and scores."""
    flips = [FLIPS[number] for number in TEST_VIEWS[detector.settings.test_flips]]
    boxes, logits = [], []
    for flip in flips:
        mirrored = (images / 255).flip([axis for axis, wanted in zip((-1, -2), flip, strict=True) if wanted])
        seen = look(detector.detector, pixel_values=mirrored)
        boxes.append(unflip(seen["boxes"], flip).numpy())
        logits.append(detector.fusion(seen["hidden"], seen["logits"]).numpy())
    merged = merge(boxes, logits, detector.settings.merge_iou) if len(flips) > 1 else (boxes[0], logits[0])
    return merged[0], torch.from_numpy(merged[1]).sigmoid().numpy()


@pytest.mark.parametrize("test_flips", ["none", "horizontal", "all"])
def test_is_what_evaluate_judges(test_flips):
    detector = refined_sample(test_flips=test_flips)
    boxes, scores = (tensor.numpy() for tensor in detector(pixels()))
    expected_boxes, expected = from_views(detector, pixels())
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    np.testing.assert_allclose(boxes, expected_boxes, atol=1e-5)


def test_the_explanation_sums_to_the_score():
    detector = refined_sample(test_flips="none")
    for found in detector.find(pixels(), threshold=0):
        assert len(found.scores) == QUERIES
        logits = found.base + found.delta + found.text
        np.testing.assert_allclose(1 / (1 + np.exp(-logits.max(axis=1))), found.scores, rtol=1e-5)
        assert (logits.argmax(axis=1) == found.labels).all()
        assert np.abs(found.text).max() > 0.01


def test_the_explanation_of_merged_images_is_that_of_the_best_query():
    detector = refined_sample(test_flips="both", merge_iou=0.01)  # nearly everything becomes one
    seen, base = detector.look(pixels(1)), refined_sample(test_flips="none").look(pixels(1)).base
    turned = refined_sample(test_flips="none").look(pixels(1).flip([-1, -2])).base
    every = torch.cat([base, turned], dim=1)[0]
    assert all((every - row).abs().amax(dim=1).min() < 1e-4 for row in seen.base[0])


def test_the_baseline_is_the_frozen_detector():
    detector, images = refined_sample(tuned=True), pixels()
    with torch.inference_mode():
        expected = tiny_detector(seed=1)(pixel_values=images / 255).logits.sigmoid()
    torch.testing.assert_close(detector.look_as_baseline(images).scores, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tuned", [False, True])
def test_saved_and_read_back(tmp_path, tuned):
    detector = refined_sample(tuned=tuned)
    detector.save_pretrained(tmp_path / "saved")
    again = RefinedDetector.from_pretrained(tmp_path / "saved")
    assert again.settings == detector.settings
    assert (again.baseline is again.detector) is not tuned
    for which in ("baseline", "refined"):
        for one, other in zip(detector.find(pixels(), 0, which), again.find(pixels(), 0, which), strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("tuned", [False, True])
def test_from_the_pipeline(tmp_path, tuned):
    params = write_pipeline(tmp_path, tuned)
    detector = RefinedDetector.from_pipeline(tmp_path / "models/decoder_tuning", params, tmp_path)
    assert detector.settings.classes == tuple(CLASSES)
    assert detector.settings.threshold.refined == 0.2
    expected = tiny_detector(2 if tuned else 0).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in detector.detector.state_dict().items())


def test_detects_in_images_of_any_size():
    detector = refined_sample(test_flips="none")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8))
    (found,) = detector.detect([image], threshold=0)
    square = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    (fractions,) = detector.find(torch.from_numpy(square[None].copy()), 0)
    np.testing.assert_allclose(found.boxes, fractions.boxes * [90, 40, 90, 40], rtol=1e-5)
    assert detector.detect([image], threshold=1.0)[0].boxes.shape == (0, 4)


@pytest.mark.parametrize("projector", ["linear", "mlp"])
@pytest.mark.parametrize("mode", ["residual", "replace"])
@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("per_class", [False, True])
def test_the_folded_fusion_is_the_fusion(projector, mode, centre, per_class):
    fusion = random_fusion(projector=projector, mode=mode, center_similarity=centre, alpha_per_class=per_class)
    generator = torch.Generator().manual_seed(1)
    hidden, base = torch.randn(20, 64, generator=generator), torch.randn(20, 3, generator=generator)
    folded = FoldedFusion(fusion)
    torch.testing.assert_close(folded(hidden, base), fusion(hidden, base), atol=1e-4, rtol=1e-4)
    assert not [name for name, tensor in folded.named_buffers() if 8 in tensor.shape]  # text_dim is gone


def corrupt(change):
    def apply(folder):
        path = folder / "refined.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "refined.json").unlink(), "refined.json: no such file; `python -m zerostart.export"),
        (lambda folder: (folder / "refined.json").write_text("{"), "refined.json: not valid JSON"),
        (lambda folder: (folder / "refined.json").write_text("[" * 10**5), "refined.json: not valid JSON: nested too deeply"),
        (corrupt(lambda content: content["threshold"].update(refined=float("nan"))), "NaN is no number of JSON"),
        (corrupt(lambda content: content["threshold"].update(refined=1.5)), "'threshold.refined' is 1.5"),
        (corrupt(lambda content: content.update(merge_iou=-1)), "'merge_iou' is -1"),
        (corrupt(lambda content: content.update(merge_iou=True)), "'merge_iou' is True"),
        (corrupt(lambda content: content.update(colour=1)), "refined.json: unknown key 'colour'"),
        (corrupt(lambda content: content["classes"].reverse()), "trained for the classes"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: no such file"),
        (lambda folder: (folder / "fusion.safetensors").write_bytes(b"x"), "not a readable fusion checkpoint"),
    ],
)
def test_damaged_folders(tmp_path, damage, message):
    refined_sample().save_pretrained(tmp_path / "saved")
    damage(tmp_path / "saved")
    with pytest.raises(InputError, match=message):
        RefinedDetector.from_pretrained(tmp_path / "saved")


def test_parts_that_do_not_belong_together(tmp_path):
    with pytest.raises(InputError, match="trained on 32 features per query, but the detector has 64"):
        RefinedDetector(tiny_detector(), random_fusion(visual_dim=32), settings())
    with pytest.raises(InputError, match="the fusion was trained for"):
        RefinedDetector(tiny_detector(), random_fusion(), settings(classes=["a", "b", "c"]))
    params = write_pipeline(tmp_path)
    checkpoint = tmp_path / "models/decoder_tuning"
    with pytest.raises(InputError, match="made from the data set 'parts'; 'other' is expected"):
        RefinedDetector.from_pipeline(checkpoint, params.model_copy(update={"dataset": "other"}), tmp_path)
    (tmp_path / "metrics/evaluate.json").unlink()
    with pytest.raises(InputError, match=r"evaluate.json: no such file; the stage `evaluate` writes it"):
        RefinedDetector.from_pipeline(checkpoint, params, tmp_path)
    (tmp_path / "data/prompts_expanded.json").write_text("[]")
    with pytest.raises(InputError, match=r"prompts_expanded.json: describes"):
        RefinedDetector.from_pipeline(checkpoint, params, tmp_path)


def test_an_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file: is a file; a new folder is expected"):
        refined_sample().save_pretrained(tmp_path / "file/saved")
