import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from stages import prompts as stage
from zerostart.errors import InputError
from zerostart.language.prompts import expand_prompts, load_prompts

REPOSITORY = Path(__file__).parents[2]
SHIPPED = {
    "synthetic": ["normal", "perforation", "fracture", "scratch", "dent", "contamination"],
    "neu-det": ["crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"],
}
SMALL = {
    "templates": ["a photo of {}", "{}, close up"],
    "names": {"rolled-in_scale": "rolled-in scale"},
    "descriptions": {"dent": ["a hollow", "a shaded bowl"], "rolled-in_scale": ["oxide flakes"]},
}
CLASSES = ["rolled-in_scale", "dent"]  # not the order of the file: the card's order counts


@pytest.fixture
def write(tmp_path):
    """Write SMALL with some keys replaced (None: left out) to a prompt file."""

    def write(**changes):
        path = tmp_path / "small.yaml"
        content = {key: value for key, value in (SMALL | changes).items() if value is not None}
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def refusal(path, classes=CLASSES, prompt_set="plain"):
    """The message with which a prompt file is refused; it must name the file."""
    with pytest.raises(InputError) as caught:
        expand_prompts(load_prompts(path), classes, prompt_set, path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("prompt_set", "expected"),
    [
        ("plain", {"rolled-in_scale": ["rolled-in scale"], "dent": ["dent"]}),
        ("descriptive", {"rolled-in_scale": ["oxide flakes"], "dent": ["a hollow", "a shaded bowl"]}),
        (
            "ensemble",
            {
                "rolled-in_scale": ["a photo of oxide flakes", "oxide flakes, close up"],
                "dent": [
                    "a photo of a hollow",
                    "a photo of a shaded bowl",
                    "a hollow, close up",
                    "a shaded bowl, close up",
                ],
            },
        ),
    ],
)
def test_prompt_sets_expand_in_the_order_of_the_classes(write, prompt_set, expected):
    path = write()
    sentences = expand_prompts(load_prompts(path), CLASSES, prompt_set, path)
    assert sentences == expected
    assert list(sentences) == CLASSES


@pytest.mark.parametrize("dataset", SHIPPED)
@pytest.mark.parametrize("prompt_set", ["plain", "descriptive", "ensemble"])
def test_shipped_prompts_are_valid(dataset, prompt_set):
    path = REPOSITORY / "data" / "prompts" / f"{dataset}.yaml"
    sentences = expand_prompts(load_prompts(path), SHIPPED[dataset], prompt_set, path)
    assert list(sentences) == SHIPPED[dataset]
    assert not any("_" in text for texts in sentences.values() for text in texts)


def test_missing_file(tmp_path):
    message = refusal(tmp_path / "none.yaml")
    assert message == f"{tmp_path / 'none.yaml'}: no such file; the class descriptions are expected there"


@pytest.mark.parametrize("content", [b"templates: [unclosed", b"templates: \xff", b"? [a]\n: b"])
def test_malformed_yaml_is_one_sentence(tmp_path, content):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    message = refusal(path)
    assert message.startswith((f"{path}: not valid YAML: ", f"{path}: not UTF-8 text: "))
    assert "\n" not in message


def test_file_that_is_no_mapping(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- dent\n")
    assert refusal(path).startswith(f"{path}: a mapping of names to values")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"extra": 1}, "unknown key 'extra'"),
        ({"descriptions": None}, "key 'descriptions' is missing"),
        ({"descriptions": {"dent": "a hollow"}}, "key 'descriptions.dent' is 'a hollow': "),
        ({"templates": ["{}", 3]}, "key 'templates.1' is 3: "),
    ],
)
def test_unknown_missing_and_mistyped_keys_are_named(write, changes, problem):
    path = write(**changes)
    assert refusal(path).startswith(f"{path}: {problem}")


def test_class_given_twice_in_the_file(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("descriptions:\n  dent: [a hollow]\n  dent: [a bowl]\n")
    assert refusal(path) == f"{path}: not valid YAML: the key 'dent' stands twice in one mapping, again in line 3"


def test_empty_description_names_class_and_position(write):
    path = write(descriptions={"dent": ["a hollow", " "], "rolled-in_scale": ["oxide flakes"]})
    assert refusal(path) == f"{path}: description 2 of class 'dent' is empty"


def test_class_without_description(write):
    path = write(descriptions={"dent": [], "rolled-in_scale": ["oxide flakes"]})
    assert refusal(path) == f"{path}: class 'dent' has no description; at least one is expected"


def test_empty_plain_name(write):
    path = write(names={"dent": ""})
    assert refusal(path) == f"{path}: the plain name of class 'dent' is empty"


@pytest.mark.parametrize("template", ["a photo", "{} beside {}"])
def test_template_without_exactly_one_placeholder(write, template):
    path = write(templates=["{}", template])
    assert refusal(path).startswith(f"{path}: template 2 is '{template}'; exactly one {{}} is expected")


def test_ensemble_without_templates(write):
    path = write(templates=None)
    expand_prompts(load_prompts(path), CLASSES, "descriptive", path)  # only the ensemble needs them
    message = refusal(path, prompt_set="ensemble")
    assert message == f"{path}: prompt_set 'ensemble' needs at least one entry under 'templates'"


def test_prompts_for_other_classes_name_both_sides(write):
    path = write(names={"rust": "rust"})
    assert refusal(path, classes=["dent", "scratch"]) == (
        f"{path}: the prompts are not for the dataset's classes: missing scratch; unexpected rolled-in_scale, rust"
    )


def test_one_class_is_refused(write):
    path = write(descriptions={"dent": ["a hollow"]}, names=None)
    assert refusal(path, classes=["dent"]).startswith(f"{path}: the dataset has 1 class (dent); at least 2 are expected")


def test_equal_sentences_of_two_classes(write):
    path = write(descriptions={"dent": ["a hollow"], "rolled-in_scale": ["A  hollow"]})
    assert refusal(path, prompt_set="descriptive").startswith(
        f"{path}: the sentence 'a hollow' occurs twice, for class 'rolled-in_scale' and for class 'dent'"
    )


def test_stage_keeps_the_order_of_the_card(tmp_path, monkeypatch):
    card = SimpleNamespace(classes=SHIPPED["synthetic"], prompts="synthetic")
    monkeypatch.setattr(stage, "load_card", lambda name: card)
    (tmp_path / "data" / "prompts").mkdir(parents=True)
    for name in ("params.yaml", "data/prompts/synthetic.yaml"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    line = stage.main()
    assert line == "prompts: 12 sentences for 6 classes (descriptive)"
    written = json.loads((tmp_path / "data" / "prompts_expanded.json").read_text())
    assert [entry["class"] for entry in written] == SHIPPED["synthetic"]
    assert written[2]["sentences"][0] == "fractured material, jagged edges, separation"


HOSTILE = {
    "zero width only": ("\u200b\u200b", "description 1 of class 'dent' has the invisible character '\\u200b'"),
    "joiners only": ("\u200d\u200c", "description 1 of class 'dent' has no letter and no digit in it"),
    "zero width inside": ("a \u2060dent", "has the invisible character"),
    "turning the direction": ("a \u202edent", "has the invisible character"),
    "a control character": ("a dent\x07", "has the invisible character '\\x07'"),
    "punctuation only": ("...", "has no letter and no digit"),
    "100,000 characters": ("dent " * 20_000, "has 100,000 characters"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_sentence_is_refused(tmp_path, case):
    text, said = HOSTILE[case]
    path = tmp_path / "prompts.yaml"
    path.write_text(json.dumps({"descriptions": {"dent": [text], "scratch": ["a scratch"]}}))
    with pytest.raises(InputError) as refused:
        load_prompts(path)
    message = str(refused.value)
    assert said in message and message.isprintable() and len(message) < 400


def test_half_a_surrogate_pair_is_refused(tmp_path):
    path = tmp_path / "prompts.yaml"
    path.write_text('descriptions: {dent: ["a \\ud800 dent"]}')
    with pytest.raises(InputError, match="surrogate"):
        load_prompts(path)


def test_letters_of_persian_may_have_their_joiners_but_they_make_no_difference(tmp_path):
    path = tmp_path / "prompts.yaml"
    path.write_text(json.dumps({"descriptions": {"dent": ["می\u200cخواهم"], "scratch": ["میخواهم"]}}))
    prompts = load_prompts(path)
    with pytest.raises(InputError, match="occurs twice"):
        expand_prompts(prompts, ["dent", "scratch"], "descriptive", path)
