"""Contexts: both languages are complete, and the sentences are the ones written here by hand."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from retrieval_samples import ROOT, case, damaged

from zerostart.errors import InputError
from zerostart.retrieval.contexts import APART, context, load_words, pattern_of
from zerostart.retrieval.crops.cutting import LEVELS
from zerostart.retrieval.vocabulary import DAMAGE_TYPES, SEVERITIES, UNKNOWN, ZONES, area_of

WORDS = {language: load_words(language, ROOT / "data/contexts") for language in ("en", "es")}


def test_a_damaged_crop():
    row = damaged(0, "dent", "deep_scratch") | {"damage_counts": [2, 1], "spread": 0.1, "severity": "severe", "level": "bottom"}
    assert context(row, WORDS["en"]) == (
        "Rear bumper, rear of the vehicle. Two dents and one deep scratch on the lower rear bumper and diffuser. "
        "Severe damage. Clustered damage, a single impact."
    )
    assert context(row, WORDS["es"]) == (
        "Parachoques trasero, parte trasera del vehículo. 2 abolladuras y 1 arañazo profundo en la parte baja del parachoques "
        "trasero y el difusor. Daño grave. Daños agrupados, un solo impacto."
    )


def test_a_clean_crop_of_an_unknown_zone():
    row = case(0, vehicle_zone=UNKNOWN, area=UNKNOWN, level="centre")
    assert context(row, WORDS["en"]) == "Vehicle body, side unknown. Clean middle of the body, no visible damage."


def test_the_pattern_depends_on_count_and_relative_distance():
    assert pattern_of(1, 0.0) == "isolated"
    assert pattern_of(2, APART - 0.01) == "clustered"
    assert pattern_of(2, APART) == "distributed"


@given(
    st.sampled_from([*ZONES.values(), UNKNOWN]),
    st.sampled_from(LEVELS),
    st.lists(st.sampled_from(DAMAGE_TYPES), unique=True),
    st.integers(1, 9),
    st.sampled_from([*SEVERITIES, UNKNOWN]),
    st.sampled_from(list(WORDS)),
)
def test_every_crop_has_a_context(zone, level, types, count, severity, language):
    row = damaged(0, *types, has_damage=bool(types), vehicle_zone=zone, area=area_of(zone), level=level, severity=severity)
    text = context(row | {"damage_counts": [count] * len(types)}, WORDS[language])
    assert text.endswith(".") and "{" not in text and "  " not in text


def test_every_part_of_a_zone_has_words_of_its_own():
    for words in WORDS.values():
        parts = [part for levels in words.parts.values() for part in levels.values()]
        assert len(set(parts)) == len(parts) == 33


def test_an_incomplete_table_and_an_unknown_language(tmp_path):
    with pytest.raises(InputError, match=r"fr\.yaml: no such file; the words of the language 'fr' are expected there"):
        load_words("fr", tmp_path)
    raw = yaml.safe_load((ROOT / "data/contexts/en.yaml").read_text())
    del raw["parts"]["rear_bumper"]["top"]
    (tmp_path / "en.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(InputError, match=r"'parts.rear_bumper' has \['bottom', 'centre'\]"):
        load_words("en", tmp_path)
