"""The adapter: its losses against open_clip's, what training learns, and files that do not fit."""

import numpy as np
import open_clip
import pytest
import torch
from retrieval_samples import ROOT, case, damaged, load, unit_rows
from torch.nn import functional

from zerostart.errors import InputError
from zerostart.retrieval.contexts import load_words
from zerostart.retrieval.embedding.adapter import Adapter, contrastive_loss, load_adapter, save_adapter
from zerostart.retrieval.embedding.adapter_training import train_adapter, training_crops, true_sentences


def test_with_one_positive_per_row_the_losses_are_open_clips():
    images, texts = (torch.from_numpy(unit_rows(6, 8, seed)) for seed in (0, 1))
    scale, bias, truth = torch.tensor(10.0), torch.tensor(-5.0), torch.eye(6, dtype=torch.bool)
    clip = open_clip.loss.ClipLoss()(images, texts, scale)
    torch.testing.assert_close(contrastive_loss(scale * images @ texts.T, truth, "clip"), clip)
    siglip = open_clip.loss.SigLipLoss()(images, texts, scale, bias)
    torch.testing.assert_close(contrastive_loss(scale * images @ texts.T + bias, truth, "siglip"), siglip)


def test_several_positives_share_the_target_of_the_clip_loss():
    # Row 0 has two positives: -(ln p00 + ln p01) / 2 with p = 1/2 each; every other cross entropy is ln 2 as well.
    truth = torch.tensor([[True, True], [False, True]])
    loss = contrastive_loss(torch.zeros(2, 2), truth, "clip")
    assert loss.item() == pytest.approx(np.log(2))


def toy_crops(crops=40, patches=3, features=12):
    """Even crops are dented, odd ones clean; the first feature of one patch of each crop says so."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(1 if i % 3 else patches, features)).astype(np.float32) for i in range(crops)]
    for i, array in enumerate(arrays):
        array[0, 0] += 6 * (i % 2)
    said = [["a dent", "damage"] if i % 2 == 0 else ["clean"] for i in range(crops)]
    embedded = dict(zip(["a dent", "damage", "clean"], unit_rows(3, 12, 5), strict=True))
    return training_crops(arrays, said, embedded)


def test_crops_of_fewer_views_are_padded_with_weight_zero():
    crops = toy_crops()
    assert crops.features.shape == (40, 3, 12)
    assert crops.weights[0].tolist() == pytest.approx([0.6, 0.2, 0.2]) and crops.weights[1].tolist() == [1, 0, 0]
    assert crops.truth[0].tolist() == [True, True, False] and crops.truth[1].tolist() == [False, False, True]


@pytest.mark.parametrize(("loss", "hidden"), [("clip", 0), ("siglip", 0), ("clip", 16)])
def test_training_puts_crops_beside_what_is_true_of_them(loss, hidden):
    crops = toy_crops()
    params = load().adapter.model_copy(update={"loss": loss, "hidden": hidden, "epochs": 60, "batch_size": 20, "lr": 0.01})
    adapter, history = train_adapter(crops, params, seed=0)
    assert len(history) == 60 and history[-1]["loss"] < 0.8 * history[0]["loss"]
    similarity = adapter.embed_crops(crops.features, crops.weights) @ adapter.embed_texts(crops.sentences).T
    assert (similarity.argmax(1) == 2).eq(~crops.truth[:, 0]).float().mean() > 0.9
    again, _ = train_adapter(crops, params, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(adapter.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_padded_crop_has_the_embedding_of_its_views():
    adapter, crops = Adapter(12, 12), toy_crops()
    adapter.eval()
    rows = adapter.embed_patches(crops.features[0])
    expected = functional.normalize(0.6 * rows[0] + 0.2 * rows[1] + 0.2 * rows[2], dim=0)
    torch.testing.assert_close(adapter.embed_crops(crops.features, crops.weights)[0], expected)


def test_sentences_that_are_true_begin_with_the_whole_context():
    words = load_words("en", ROOT / "data/contexts")
    told = true_sentences(damaged(0, "dent", "crack"), words)
    assert told[0].startswith("Rear bumper, rear of the vehicle. One dent and one crack on the upper edge")
    assert {"dent", "crack, rear bumper", "one dent and one crack"} <= set(told)
    assert true_sentences(case(0), words)[-1] == "no visible damage"


def test_files(tmp_path):
    torch.manual_seed(0)
    save_adapter(Adapter(12, 8, hidden=4), "data/baselines/x", 64, tmp_path)
    first = (tmp_path / "adapter.safetensors").read_bytes()
    adapter, backbone, size = load_adapter(tmp_path)
    assert (backbone, size) == ("data/baselines/x", 64)
    save_adapter(adapter, backbone, size, tmp_path)
    assert (tmp_path / "adapter.safetensors").read_bytes() == first
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace('"dimension": 8', '"dimension": 9'))
    with pytest.raises(InputError, match=r"adapter.safetensors: tensor 'image.*' is .* where the model has"):
        load_adapter(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="not an adapter as the stage `adapter` writes it"):
        load_adapter(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match=r"config.json: no such file; the stage `adapter` writes it"):
        load_adapter(tmp_path)
