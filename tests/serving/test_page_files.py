"""The files of the inspection page, without a browser: words in both languages, and nothing that its policy forbids."""

import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "src/zerostart/serving/page"
STATIC = PAGE / "static"
MODULES = sorted(STATIC.glob("modules/*.js"))
SOURCES = {path.name: path.read_text() for path in [*MODULES, PAGE / "index.html", PAGE / "sw.js"]}


def words(language: str) -> dict[str, str]:
    return json.loads((STATIC / f"words/{language}.json").read_text())


def test_both_languages_say_the_same_things():
    """The same keys, the same {places} in each sentence, and no sentence that was left in the other language."""
    english, spanish = words("en"), words("es")
    assert english.keys() == spanish.keys()
    for key, sentence in english.items():
        assert sorted(re.findall(r"\{\w+\}", sentence)) == sorted(re.findall(r"\{\w+\}", spanish[key])), key
        assert spanish[key].strip()
        if len(sentence) > 20:
            assert sentence != spanish[key], key


def test_every_word_that_is_asked_for_is_there():
    """Literal keys of `word(…)` and of the HTML's data-word; counted ones have both plurals."""
    known = words("en").keys()
    for name, source in SOURCES.items():
        asked = re.findall(r'word\(\s*"(\w+)"', source) + re.findall(r'data-word(?:-label)?="(\w+)"', source)
        assert {key for key in asked if key not in known and not {f"{key}_one", f"{key}_other"} <= known} == set(), name


def test_the_shell_is_every_file_of_the_page():
    """What the service worker keeps for a page without a network."""
    listed = re.search(r"const SHELL = \[(.*?)\];", SOURCES["sw.js"], re.DOTALL)[1]
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert sorted(re.findall(r'"(.*?)"', listed)) == sorted(["/", *(f"/{path.relative_to(PAGE).as_posix()}" for path in files)])


@pytest.mark.parametrize("name", SOURCES)
def test_text_never_becomes_html_and_nothing_comes_from_elsewhere(name):
    """The policy forbids inline scripts and styles and other origins; HTML from strings is what would need it most."""
    source = SOURCES[name]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", source)
    addresses = set(re.findall(r"https?://[^\s\"'`)]+", source)) - {"http://www.w3.org/2000/svg"}
    assert addresses == set()
    if name == "index.html":
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", source)


def test_the_manifest_names_icons_that_exist_in_their_sizes():
    from PIL import Image

    manifest = json.loads((STATIC / "manifest.webmanifest").read_text())
    assert {"name", "start_url", "display", "icons"} <= manifest.keys()
    for icon in manifest["icons"]:
        path = PAGE / icon["src"].removeprefix("/")
        assert path.is_file()
        if icon["type"] == "image/png":
            with Image.open(path) as opened:
                assert "{}x{}".format(*opened.size) == icon["sizes"]
