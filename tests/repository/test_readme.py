"""README and docs: what they quote is what the files say, they are short, and what they name exists."""

import ast
import json
import re
from pathlib import Path

import pytest

from zerostart.quotes import VALUE, filled, pages, unquoted_numbers

ROOT = Path(__file__).parents[2]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in pages(ROOT)}
README, SPANISH = PAGES["README.md"], PAGES["README.es.md"]
TABLES = sorted((ROOT / "plots/ablation").glob("*/table.md"))
TAGGED = sorted((ROOT / "metrics/tagging").glob("*/evaluate.json"))
BENCHMARKS = sorted((ROOT / "bench/results").glob("*.json"))


@pytest.mark.parametrize("page", PAGES)
def test_quotes_are_the_present_numbers_and_the_words_around_them_hold(page):
    """`python -m zerostart.quotes` writes the present ones, and names the sentences that are to be rewritten."""
    assert filled(PAGES[page], page, ROOT) == (PAGES[page], [])


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/params.md"])
def test_no_result_stands_outside_of_the_marks(page):
    """Written by hand it would go stale. Code is left out: its numbers are no results."""
    text = re.sub(r"^```.*?^```$|`[^`\n]+`", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    assert list(unquoted_numbers(text)) == []


def test_the_readme_is_short():
    assert README.count("\n") <= 180
    assert SPANISH.count("\n") <= 70
    assert len(VALUE.findall(SPANISH)) > 10


def test_there_is_something_to_quote():
    assert {path.parent.name for path in TABLES} >= {"synthetic", "neu-det"}
    assert {path.parent.name for path in TAGGED} >= {"toolbox", "cifar-photos"}
    assert len(BENCHMARKS) >= 6


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_the_ablation_is_quoted(path):
    for part in ("sentence", "table"):
        assert f"<!-- from: {path.relative_to(ROOT).as_posix()} {part} -->" in PAGES["docs/results.md"]


@pytest.mark.parametrize("path", TAGGED, ids=lambda path: path.parent.name)
def test_tagging_is_quoted(path):
    assert json.loads(path.read_text())["verdict"] in PAGES["docs/tagging.md"]
    assert (ROOT / "plots/tagging" / path.parent.name / "table.md").read_text(encoding="utf-8") in PAGES["docs/tagging.md"]


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_the_benchmarks_are_quoted(path):
    assert json.loads(path.read_text())["sentence"] in "".join(PAGES.values())


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """To a file of the repository, and to a heading of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        path, _, heading = target.partition("#")
        if "://" in target:
            continue
        file = ROOT / page if not path else (ROOT / page).parent / path
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\s-]", "", text.lower()).replace(" ", "-") for text in headings}, target


def test_every_page_is_in_the_index():
    for page in PAGES:
        if page.startswith("docs/") and page != "docs/README.md":
            assert f"]({page.removeprefix('docs/')})" in PAGES["docs/README.md"]


def test_the_tree_shows_the_rooms_in_the_order_of_the_flow():
    section = README.partition("## Where things are\n")[2].partition("\n## ")[0]
    tree = [line for line in section.splitlines() if line.startswith("    ")]
    rooms = [room for line in tree for room in re.findall(r"(\w+)/", line[:34])]
    (flow,) = re.findall(r"^FLOW = (\[.*?\])", (ROOT / "tests/repository/test_rooms.py").read_text(), re.MULTILINE | re.DOTALL)
    assert rooms == ast.literal_eval(flow)
    (order,) = re.findall(r"read in this order: (.+)", section)
    for name in re.sub(r" \(\w+\)", "", order).split(", "):
        assert (ROOT / "src/zerostart/method" / f"{name}.py").is_file()


def test_python_in_the_pages_can_be_compiled_and_its_commands_exist():
    for text in PAGES.values():
        for line in re.findall(r"^    (?:from|import) .+$", text, re.MULTILINE):
            ast.parse(line.strip())
        for module in re.findall(r"python -m zerostart\.(\w+)", text):
            assert (ROOT / "src/zerostart" / f"{module}.py").is_file(), module
        for target in re.findall(r"^    make ([\w-]+)", text, re.MULTILINE):
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
