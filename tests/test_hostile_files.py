"""Every reader of JSON and YAML gives one sentence, at once, for whatever lies where its file is expected."""

import json
import os
from pathlib import Path

import pytest

from stages import text_embeddings
from zerostart import comparison
from zerostart.ablation.params import load_ablation_params
from zerostart.datasets.cards import load_card
from zerostart.datasets.splits import read_split
from zerostart.datasets.yolo import read_yolo_names
from zerostart.detector.baseline_config import read_baseline_config
from zerostart.detector.official.config import read_official_config
from zerostart.detector_training.run import load_training_params
from zerostart.errors import InputError
from zerostart.inference.exported import _about
from zerostart.inference.refined_detector import RefinedDetector
from zerostart.language.prompts import load_prompts
from zerostart.method.checkpoint import load_fusion
from zerostart.novel.kinds import load_kinds
from zerostart.novel.params import load_novel_params
from zerostart.novel.rows import SETTINGS, load_vocabulary
from zerostart.params import load_params
from zerostart.retrieval.contexts import load_words
from zerostart.retrieval.embedding.adapter import load_adapter
from zerostart.retrieval.embedding.files import read_embeddings
from zerostart.retrieval.index.case_index import CONFIG, open_index
from zerostart.retrieval.params import load_retrieval_params
from zerostart.staleness import read_lock
from zerostart.sweeps.space import load_sweep
from zerostart.tagging.answer.rules import load_rules
from zerostart.tagging.cards import AcademicSource, load_tag_card
from zerostart.tagging.engine.model import build_tagger, load_engine
from zerostart.tagging.params import ModelOptions, ModelParams, load_tagging_params
from zerostart.tagging.pictures.sources import read_academic
from zerostart.tagging.pictures.store import open_store

JSON_READERS = {
    "data/coco/val.json": lambda: read_split("val"),
    "metrics/evaluate.json": comparison.main,
    "data/prompts_expanded.json": text_embeddings._read_sentences,
    "x/fusion.json": lambda: load_fusion("x", ["a"]),
    "x/refined.json": lambda: RefinedDetector.from_pretrained("x"),
    "baseline/config.json": lambda: read_baseline_config(Path("baseline")),
    "adapter/config.json": lambda: load_adapter("adapter"),
    "x/about.json": lambda: read_embeddings(1, "x"),
    f"x/{CONFIG}": lambda: open_index("x"),
    "x/rules.json": lambda: load_rules("x"),
    "x/index.json": lambda: open_store("x", ["a"]),
    "vocabulary/settings.json": lambda: load_vocabulary(Path("vocabulary")),
    "engine/config.json": lambda: load_engine("engine", ("a",)),
}
YAML_READERS = {
    "params.yaml": load_params,
    "data/datasets/a.yaml": lambda: load_card("a"),
    "data/tags/a.yaml": lambda: load_tag_card("a"),
    "prompts.yaml": lambda: load_prompts("prompts.yaml"),
    "data/contexts/en.yaml": lambda: load_words("en"),
    "sweep.yaml": lambda: load_sweep(Path("sweep.yaml")),
    "detector.yaml": lambda: load_training_params("detector.yaml", "a"),
    "tagging.yaml": lambda: load_tagging_params("a", "tagging.yaml"),
    "ablation.yaml": lambda: load_ablation_params("ablation.yaml"),
    "novel.yaml": lambda: load_novel_params("novel.yaml"),
    "data/captions/kinds.yaml": lambda: load_kinds("val"),
    "retrieval.yaml": lambda: load_retrieval_params("retrieval.yaml"),
    "official.yml": lambda: read_official_config("official.yml"),
    "data.yaml": lambda: read_yolo_names(Path("data.yaml")),
    "dvc.lock": lambda: read_lock(Path("dvc.lock")),
}
WRONG = {
    "empty": "",
    "a list": "[]",
    "nothing": "null",
    "a number": "3",
    "an empty object": "{}",
    "nested deeply": "[" * 100_000,
    "half a file": '{"a": [1, 2',
    "a number of 5,000 digits": f'{{"a": {"9" * 5000}}}',
    "half a surrogate pair": '{"a": "\\ud800"}',
    "Latin-1": '{"a": "ä"}'.encode("latin-1"),
    "lists of lists": json.dumps({key: [[]] for key in ("classes", "tags", "stages", "datasets", "images", "descriptions")}),
}


def refuse(name, read):
    with pytest.raises(InputError) as refused:
        read()
    message = str(refused.value)
    assert Path(name).name in message or Path(name).parent.name in message
    assert len(message) < 2500 and message.isprintable()


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("name", [*JSON_READERS, *YAML_READERS])
def test_another_content_is_one_sentence(tmp_path, monkeypatch, name, case):
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(WRONG[case] if isinstance(WRONG[case], bytes) else WRONG[case].encode())
    refuse(name, (JSON_READERS | YAML_READERS)[name])


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop"])
@pytest.mark.parametrize("name", [*JSON_READERS, *YAML_READERS])
def test_what_is_no_file_is_one_sentence(tmp_path, monkeypatch, name, kind):
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    {"pipe": os.mkfifo, "folder": os.mkdir, "loop": lambda path: os.symlink(Path(path).name, path)}[kind](name)
    refuse(name, (JSON_READERS | YAML_READERS)[name])


WEIGHTS = {
    "vocabulary.npz": lambda: load_vocabulary(Path("x")),
    "fusion.safetensors": lambda: load_fusion("x", ["a", "b"]),
    "model.safetensors": lambda: load_engine("x", ("a",)),
    "home.safetensors": lambda: load_rules("x"),
    "adapter.safetensors": lambda: load_adapter("x"),
    "started.safetensors": lambda: build_tagger(TAGGER, 2),
    "academic.zip": lambda: read_academic(AcademicSource(format="zip", path="academic.zip"), Path("x")),
}
TAGGER = ModelParams(name="convnext_atto", weights="x/started.safetensors", options=ModelOptions())


NO_WEIGHTS = {
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n": "a pointer of Git LFS, not the file itself; `git lfs pull`",
    b"\n<!DOCTYPE html><html>": "a saved web page",
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_not_waited_for(tmp_path, monkeypatch, name):
    """Their libraries open them on their own, and a pipe would keep them for ever."""
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    os.mkfifo(f"x/{name}")
    for other in ("fusion.json", "config.json", "rules.json"):
        Path("x", other).write_text("{}")
    Path("x/settings.json").write_text(json.dumps(dict.fromkeys(SETTINGS)))
    with pytest.raises(InputError, match=f"x/{name}: is a pipe; a file is expected"):
        WEIGHTS[name]()
    os.unlink(f"x/{name}")
    for content, what in NO_WEIGHTS.items():
        Path(f"x/{name}").write_bytes(content)
        with pytest.raises(InputError, match=f"x/{name}: {what}"):
            WEIGHTS[name]()


@pytest.mark.parametrize(
    "content", ["[]", "null", "{}", "[" * 10**5, '{"image_size": "a", "classes": []}', '{"image_size": NaN}']
)
def test_metadata_of_another_export_are_refused(content):
    with pytest.raises(InputError, match=r"model\.onnx: "):
        _about(content, Path("model.onnx"))
