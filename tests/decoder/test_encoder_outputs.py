"""A detector that reads stored encoder outputs says what the whole detector says of the images."""

import numpy as np
import pytest
import torch
from tiny_detector import CLASSES, SIZE, same_state, tiny_detector, write_images

from zerostart.decoder.encoder_outputs import without_encoder, write_encoder_outputs
from zerostart.detector.mirror import FLIPS
from zerostart.detector.model import load_detector, look, save_detector
from zerostart.detector.pixels import image_batches, pixel_values

COUNT = 5


@pytest.fixture
def baseline(tmp_path):
    save_detector(tiny_detector(), tmp_path / "baseline")
    return tmp_path / "baseline"


@pytest.mark.parametrize(("flip", "axes"), zip(FLIPS, [(), (3,), (2,), (2, 3)], strict=True))
def test_the_decoder_alone_on_stored_outputs_is_the_detector(baseline, tmp_path, flip, axes):
    whole = load_detector(baseline, CLASSES)
    coco = write_images(tmp_path / "images", COUNT)
    stored = write_encoder_outputs(tmp_path / "train.npy", whole, coco, tmp_path / "images", flip, batch_size=2)
    assert stored.shape == (COUNT, (SIZE // 16) ** 2 + (SIZE // 32) ** 2, 64)
    assert isinstance(stored, np.memmap)
    (images,) = image_batches(coco, tmp_path / "images", SIZE, COUNT)
    decoder = without_encoder(load_detector(baseline, CLASSES))
    with torch.inference_mode():
        expected = look(whole, pixel_values=pixel_values(images.flip(axes)))
        found = look(decoder, pixel_values=None, inputs_embeds=torch.from_numpy(np.array(stored)))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-5)


def test_computing_them_changes_nothing_in_the_detector(baseline, tmp_path):
    model = load_detector(baseline, CLASSES)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    write_encoder_outputs(tmp_path / "train.npy", model, write_images(tmp_path / "images", 2), tmp_path / "images")
    assert same_state(model.state_dict(), before)


def test_what_is_left_of_the_detector_has_neither_backbone_nor_encoder(baseline):
    left = without_encoder(load_detector(baseline, CLASSES)).state_dict()
    assert left
    assert not [name for name in left if name.startswith(("model.conv_encoder", "model.encoder"))]
