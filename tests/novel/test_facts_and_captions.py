"""What marks are and how they are said."""

import numpy as np
import pytest

from zerostart.errors import InputError
from zerostart.language.prompts import load_prompts
from zerostart.novel.captions import PHRASINGS, caption, captions, load_words, tokens
from zerostart.novel.facts import FORMS, check_facts, completed, differences, draw_facts, fact_columns, fact_vector
from zerostart.novel.kinds import load_classes, load_kinds

STAR = {"form": "line", "arrangement": "star", "edge": "jagged", "tone": "dark"}


def test_drawn_facts_are_complete_and_allowed():
    rng = np.random.default_rng(0)
    for _ in range(200):
        facts = draw_facts(rng)
        assert set(facts) == {"form", *FORMS[facts["form"]]}
        assert check_facts(facts, "test") == facts


def test_completing_a_pattern_keeps_it():
    rng = np.random.default_rng(0)
    facts = completed(STAR, rng, tints=["blue"])
    assert STAR.items() <= facts.items() and facts["tint"] == "blue"
    assert differences(STAR, facts) == 0


def test_twins_may_differ_in_what_is_no_core_fact():
    mark = completed(STAR, np.random.default_rng(1))
    assert differences({**STAR, "width": "thin"}, mark | {"width": "thick"}) == 0
    assert differences(STAR, mark | {"tone": "bright", "edge": "soft"}) == 2


def test_fact_vectors_leave_open_what_is_not_named():
    vector = dict(zip(fact_columns(), fact_vector({"form": "ring", "tone": "dark"}), strict=True))
    assert vector["tone", "dark"] == 1 and vector["tone", "bright"] == -1 and vector["tint", "blue"] == 0


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"form": "hole"}, "the form is 'hole'"),
        ({"form": "ring", "texture": "plain"}, "a ring has no attribute 'texture'"),
        ({"form": "line", "tone": "green"}, "tone is 'green'; one of dark, bright"),
    ],
)
def test_unknown_facts_are_refused(facts, said):
    with pytest.raises(InputError, match=said):
        check_facts(facts, "file")


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_fact_is_said_in_every_phrasing(language):
    words, rng = load_words(language), np.random.default_rng(0)
    for _ in range(60):
        facts = draw_facts(rng)
        for phrasing in PHRASINGS:
            said = caption(facts, words, phrasing, rng)
            assert "{" not in said and "  " not in said
            for name in set(facts) - {"form", "arrangement"}:
                options = (
                    *words.adjectives.get(name, {}).get(facts[name], ()),
                    *words.phrases.get(name, {}).get(facts[name], ()),
                )
                assert any(option in said for option in options), (name, facts[name], said)


def test_what_is_omitted_is_not_said():
    words, rng = load_words("en"), np.random.default_rng(0)
    said = [caption({**STAR, "tint": "blue"}, words, "A", rng, omit=0.9) for _ in range(100)]
    assert sum("blu" in text for text in said) < 30
    assert "blu" in captions({**STAR, "tint": "blue"}, words, 1, rng, omit=0.9)[0]  # the first one says everything


def test_tokens_ignore_case_marks_and_plurals():
    assert tokens("Two thin LINES, glass-like.") == ["two", "thin", "line", "glass", "like"]


def test_one_kind_is_no_test(tmp_path):
    (tmp_path / "facts.yaml").write_text("kinds: {spot: {form: spot}}\n")
    (tmp_path / "kinds.yaml").write_text("test: {spot: {plain: a dot}}\n")
    with pytest.raises(InputError, match="test names 1 kinds; at least 2 are expected"):
        load_kinds("test", tmp_path)


def test_no_template_writes_what_people_wrote():
    words, rng = load_words("en"), np.random.default_rng(0)
    described = load_prompts("data/prompts/synthetic.yaml").descriptions
    everything = [*load_kinds("val"), *load_kinds("test"), *load_classes("synthetic", list(described), described)]
    for kind in everything:
        made = {text for _ in range(50) for text in captions(kind.facts, words, 3, rng)}
        assert not made & {text for said in kind.sentences.values() for text in said}
