"""Cards, parameters and rules of the tagger: what is no such file, or points elsewhere, is refused in a sentence."""

import json
from pathlib import Path

import pytest
import yaml

from zerostart.errors import InputError
from zerostart.tagging.answer.rules import load_rules
from zerostart.tagging.cards import load_tag_card
from zerostart.tagging.params import load_tagging_params

ROOT = Path(__file__).parents[2]
CARD = (ROOT / "data/tags/toolbox.yaml").read_text()
PARAMS = yaml.safe_load((ROOT / "pipelines/tagging/params.yaml").read_text())["datasets"]["toolbox"]


@pytest.mark.parametrize("path", ["../../../etc", "/etc", "a/../../b"])
def test_a_card_cannot_leave_the_folder_of_its_data(tmp_path, path):
    card = yaml.safe_load(CARD)
    card["academic"]["path"] = card["real"][0]["path"] = path
    (tmp_path / "toolbox.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(InputError, match=r"'academic.path' is .*: a path that stays inside .*'real.0.path' is "):
        load_tag_card("toolbox", tmp_path)


def test_a_key_given_twice_in_a_card_is_refused(tmp_path):
    (tmp_path / "toolbox.yaml").write_text(f"{CARD}\nname: toolbox\n")
    with pytest.raises(InputError, match="'name' stands twice"):
        load_tag_card("toolbox", tmp_path)


TOO_LARGE = {
    ("bootstrap_samples",): 10**9,
    ("threads",): 10**6,
    ("data", "longest"): 10**6,
    ("base", "input_size"): 32 * 10**6,
    ("base", "lr"): 1e30,
    ("adaptation", "zoom_out"): 1e6,
    ("adaptation", "batch_size"): 2 * 10**9,
    ("base", "weight_decay"): 1e39,
}


@pytest.mark.parametrize("key", TOO_LARGE)
def test_every_number_has_an_upper_bound(tmp_path, key):
    block = json.loads(json.dumps(PARAMS))
    *groups, last = key
    inner = block
    for group in groups:
        inner = inner[group]
    inner[last] = TOO_LARGE[key]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"datasets": {"toolbox": block}}))
    with pytest.raises(InputError, match=rf"parameter 'datasets.toolbox.{'.'.join(key)}' is "):
        load_tagging_params("toolbox", tmp_path / "params.yaml")


HOSTILE_RULES = ["[]", "{", "null", '{"tags": NaN}', '{"tags": []}', "[" * 9999]


@pytest.mark.parametrize("content", HOSTILE_RULES)
def test_rules_that_are_none_are_refused(tmp_path, content):
    (tmp_path / "rules.json").write_text(content)
    with pytest.raises(InputError, match=r"rules\.json: "):
        load_rules(tmp_path)
