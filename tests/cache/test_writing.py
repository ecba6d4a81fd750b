"""The feature cache holds exactly what the frozen detector says, and filling it changes nothing in the detector."""

import numpy as np
import pytest
import torch
from tiny_detector import CLASSES, QUERIES, SIZE, same_state, tiny_detector, write_images

from zerostart.cache.views import ARRAYS, load_view
from zerostart.cache.writing import write_view
from zerostart.detector.mirror import FLIPS
from zerostart.detector.model import load_detector, save_detector
from zerostart.detector.pixels import image_batches, pixel_values
from zerostart.errors import InputError

COUNT, BATCH = 5, 2


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """As the stage gets it: from a baseline folder."""
    folder = tmp_path_factory.mktemp("baseline")
    save_detector(tiny_detector(), folder)
    return load_detector(folder, CLASSES)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return write_images(folder, COUNT), folder


@torch.inference_mode()
def forward(detector, split, axes=()):
    """The detector's own outputs for the batches that the cache is made of, on one thread as there."""
    torch.set_num_threads(1)
    coco, folder = split
    batches = image_batches(coco, folder, SIZE, BATCH)
    outputs = [detector(pixel_values=pixel_values(batch.flip(axes))) for batch in batches]
    return {
        "hidden": torch.cat([output.last_hidden_state for output in outputs]),
        "logits": torch.cat([output.logits for output in outputs]),
        "boxes": torch.cat([output.pred_boxes for output in outputs]).clamp(0, 1),
    }


@pytest.mark.parametrize(("flip", "axes"), zip(FLIPS, [(), (3,), (2,), (2, 3)], strict=True))
def test_the_cache_is_the_detectors_answer_bit_for_bit(detector, split, tmp_path, flip, axes):
    write_view(tmp_path / "val", detector, *split, flip, batch_size=BATCH)
    view = load_view(tmp_path, "val")
    for name, tensor in forward(detector, split, axes).items():
        array = getattr(view, name)
        assert array.dtype == np.float32
        assert np.array_equal(array, tensor.numpy()), name
    assert view.image_id.dtype == np.int64
    assert view.image_id.tolist() == [image["id"] for image in split[0]["images"]]
    assert view.hidden.shape == (COUNT, QUERIES, 64)
    assert view.logits.shape == (COUNT, QUERIES, len(CLASSES))
    assert isinstance(view.hidden, np.memmap)


def test_flipped_views_differ_from_the_plain_one(detector, split, tmp_path):
    for index, flip in enumerate(FLIPS):
        write_view(tmp_path / str(index), detector, *split, flip)
    assert len({load_view(tmp_path, str(index)).logits.tobytes() for index in range(4)}) == 4


def test_logits_include_the_quality_score(detector, split, tmp_path):
    write_view(tmp_path / "val", detector, *split)
    view = load_view(tmp_path, "val")
    with torch.no_grad():
        head = detector.model.decoder.class_embed[-1](torch.from_numpy(view.hidden.copy())).numpy()
    quality = view.logits - head
    assert np.abs(quality).min() > 1e-3
    # LQE adds one number per query to all of its class logits.
    np.testing.assert_allclose(quality, np.broadcast_to(quality[..., :1], quality.shape), atol=1e-5)
    assert np.ptp(quality[..., 0]) > 1e-4


def test_frozen_means_frozen(detector, split, tmp_path):
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    assert any(name.endswith("num_batches_tracked") for name in before)  # real BatchNorm, which would count in training
    write_view(tmp_path / "val", detector, *split, batch_size=BATCH)
    assert same_state(detector.state_dict(), before)
    assert not any(parameter.requires_grad for parameter in detector.parameters())
    assert not any(module.training for module in detector.modules())


def test_two_runs_write_the_same_bytes(detector, split, tmp_path):
    for run in ("a", "b"):
        write_view(tmp_path / run, detector, *split, (True, False), batch_size=BATCH)
    assert sorted(path.stem for path in (tmp_path / "a").iterdir()) == sorted(ARRAYS)
    for name in ARRAYS:
        assert (tmp_path / "a" / f"{name}.npy").read_bytes() == (tmp_path / "b" / f"{name}.npy").read_bytes()


def test_boxes_are_clamped_to_the_image(split, tmp_path):
    def far_away(_module, _inputs, output):
        output.pred_boxes = output.pred_boxes * 4 - 1.5
        return output

    model = tiny_detector()
    model.register_forward_hook(far_away)
    write_view(tmp_path / "val", model, *split, batch_size=BATCH)
    boxes = load_view(tmp_path, "val").boxes
    assert (boxes.min(), boxes.max()) == (0, 1)
    assert np.array_equal(boxes, forward(model, split)["boxes"].numpy())


def test_an_unreadable_image_is_named(detector, tmp_path):
    coco = write_images(tmp_path / "images", 3)
    (tmp_path / "images" / coco["images"][2]["file_name"]).write_bytes(b"no image")
    with pytest.raises(InputError, match=rf"{coco['images'][2]['file_name']}: not a readable image"):
        write_view(tmp_path / "val", detector, coco, tmp_path / "images", batch_size=BATCH)
