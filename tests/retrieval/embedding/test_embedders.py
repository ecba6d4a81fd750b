"""The interface of pictures and sentences, on a tiny random open_clip model from a file and on made-up towers."""

import json

import numpy as np
import open_clip
import pytest
import torch
from open_clip import factory
from PIL import Image
from retrieval_samples import ROOT

from zerostart.errors import InputError
from zerostart.language.text_encoders import TextEncoder
from zerostart.retrieval.embedding.adapter import Adapter, save_adapter
from zerostart.retrieval.embedding.embedders import Embedder, embed_all_patches, load_embedder, patches_at_once
from zerostart.retrieval.embedding.probes import check_probe, probe

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Name of a small random open_clip model in a local file."""
    folder = tmp_path_factory.mktemp("open_clip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factory, "_MODEL_CONFIG_PATHS", list(factory._MODEL_CONFIG_PATHS))
        patch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
        (folder / "tiny.json").write_text(json.dumps(TINY))
        open_clip.add_model_config(folder / "tiny.json")
        for seed, name in enumerate(("tiny", "other")):
            torch.manual_seed(seed)
            torch.save(open_clip.create_model("tiny").state_dict(), folder / f"{name}.pt")
        yield f"tiny/{folder}/tiny.pt"


def picture(size=(32, 32), seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8))


def named(*pictures):
    return [(f"crop{i}", lambda p=p: p) for i, p in enumerate(pictures)]


def test_an_open_clip_embedder_is_open_clip(tiny):
    embedder = load_embedder(tiny)
    model = open_clip.create_model("tiny", pretrained=tiny.partition("/")[2]).eval()
    transform = open_clip.image_transform(32, is_train=False)
    with torch.inference_mode():
        expected = model.encode_image(transform(picture())[None], normalize=True).numpy()
        texts = model.encode_text(open_clip.get_tokenizer("tiny")(["a dent"]), normalize=True).numpy()
    np.testing.assert_allclose(embedder.embed_images(named(picture())), expected, atol=1e-5)
    np.testing.assert_allclose(embedder.embed_texts(["a dent"]), texts, atol=1e-6)
    assert embedder.input_size == 32


def test_a_large_crop_is_60_percent_whole_and_40_percent_patches(tiny):
    embedder, large = load_embedder(tiny), picture((64, 32))
    whole, left, right = (
        embedder.embed_images(named(part))[0]
        for part in (large.resize((32, 32), Image.Resampling.BICUBIC), large.crop((0, 0, 32, 32)), large.crop((32, 0, 64, 32)))
    )
    expected = 0.6 * whole + 0.2 * left + 0.2 * right
    np.testing.assert_allclose(embedder.embed_images(named(large))[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_views_of_many_crops_go_through_the_model_together_and_come_back_in_order():
    batches = []

    def model(images):
        batches.append(len(images))
        return images.float().mean((2, 3))

    pictures = [Image.new("RGB", (448, 448) if i % 3 == 0 else (224, 224), (i, 0, 255 - i)) for i in range(60)]
    found = list(embed_all_patches(model, 224, named(*pictures)))
    assert [name for name, _ in found] == [f"crop{i}" for i in range(60)]
    for i, (_, features) in enumerate(found):
        assert len(features) == (5 if i % 3 == 0 else 1)
        np.testing.assert_allclose(features, [[i, 0, 255 - i]] * len(features))
    patches = 20 * 5 + 40
    assert patches_at_once(224) == 16
    assert sorted(batches, reverse=True) == [16] * (patches // 16) + [patches % 16]


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_zero_or_not_finite_embedding_names_the_crop(value):
    def broken(images):
        features = torch.ones(len(images), 4)
        features[images[:, 0, 0, 0] == 7] = value
        return features

    embedder = Embedder("broken", 32, broken, TextEncoder("broken", lambda sentences: torch.ones(len(sentences), 4)))
    pictures = [Image.new("RGB", (32, 32), (shade, 0, 0)) for shade in (1, 2, 7, 3)]
    with pytest.raises(InputError, match="crop crop2: 'broken' gives it an embedding that is zero or not finite"):
        embedder.embed_images(named(*pictures))


@pytest.mark.parametrize(("words", "fits"), [(75, True), (76, False)])
def test_a_text_longer_than_the_context_is_said_not_cut(tiny, words, fits):
    """CLIP's tokenizer adds a start and an end token to one token per word: 77 tokens hold 75 words."""
    embedder, text = load_embedder(tiny), " ".join(["dent"] * words)
    if fits:
        assert embedder.embed_texts([text]).shape == (1, 32)
    else:
        with pytest.raises(InputError, match=r"the text 'dent dent .*…' \(76 words\) is longer than the context of 'tiny/"):
            embedder.embed_texts(["a dent", text])


def test_the_adapter_embeds_pictures_and_texts_into_one_space(tmp_path):
    torch.manual_seed(0)
    save_adapter(Adapter(1024, 384), str(ROOT / "data/baselines/synthetic"), 64, tmp_path)
    embedder = load_embedder("adapter", tmp_path)
    images = embedder.embed_images(named(picture((64, 64)), picture((90, 40), seed=1)))
    texts = embedder.embed_texts(["a dent", "a crack"])
    assert images.shape == texts.shape == (2, 384) and images.dtype == texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([images, texts]), axis=1), 1, atol=1e-5)
    with pytest.raises(InputError, match=r"\(300 words\) is longer than the context of 'adapter'"):
        embedder.embed_texts([" ".join(["dent"] * 300)])


def test_a_missing_backbone(tmp_path):
    save_adapter(Adapter(12, 384), "no/such/folder", 64, tmp_path)
    with pytest.raises(InputError, match=r"adapter\.backbone 'no/such/folder': neither a baseline folder nor"):
        load_embedder("adapter", tmp_path)


def test_another_model_is_known_by_its_probe(tiny):
    expected = probe(load_embedder(tiny))
    check_probe(load_embedder(tiny), expected, "index")
    with pytest.raises(InputError, match=r"^index: an index of another model than the 'tiny/.*other.pt' at hand"):
        check_probe(load_embedder(tiny.replace("tiny.pt", "other.pt")), expected, "index")
    with pytest.raises(InputError, match="an index of another model"):
        check_probe(load_embedder(tiny), expected[:, :16], "index")
