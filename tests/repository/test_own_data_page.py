"""The files that docs/own-data.md lets a reader write are valid: data, card, prompts and the detector's parameters."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from zerostart.datasets.cards import load_card
from zerostart.datasets.checks import build_splits
from zerostart.detector_training.training import TrainingParams
from zerostart.language.prompts import expand_prompts, load_prompts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/own-data.md").read_text(encoding="utf-8")
WRITTEN = dict(re.findall(r"^cat >>? (\S+) <<'EOF'\n(.*?)^EOF$", PAGE, re.MULTILINE | re.DOTALL))


def test_card_data_and_prompts_pass_the_checks_of_the_stages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in WRITTEN.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    drawn = subprocess.run([sys.executable, "draw_parts.py"], capture_output=True, text=True, check=True).stdout
    assert drawn in PAGE.replace("\n    ", "\n")
    card = load_card("parts")
    cocos = build_splits(card, "data/raw/parts")
    assert {split: len(coco["images"]) for split, coco in cocos.items()} == {"train": 20, "val": 8, "test": 8}
    assert '"category_id": 7' in Path("data/raw/parts/train.json").read_text()
    assert {item["category_id"] for item in cocos["test"]["annotations"]} == {0, 1, 2}
    path = Path(f"data/prompts/{card.prompts}.yaml")
    for prompt_set in ("plain", "descriptive", "ensemble"):
        assert list(expand_prompts(load_prompts(path), card.classes, prompt_set, path)) == list(card.classes)


def test_the_block_for_the_detector_is_valid():
    block = yaml.safe_load("datasets:\n" + WRITTEN["pipelines/detector/params.yaml"])["datasets"]["parts"]
    params = TrainingParams.model_validate(block)
    assert (ROOT / params.init / "model.safetensors").is_file()
