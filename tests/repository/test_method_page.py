"""docs/method.md names the code's own functions and modules."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/method.md").read_text(encoding="utf-8")
STAGES = {path.stem for path in (ROOT / "src/stages").glob("*.py")}


def defined() -> set[str]:
    """Names of all functions, classes and methods (Class.method) of the library."""
    names = set()
    for path in (ROOT / "src/zerostart").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            if isinstance(node, ast.ClassDef):
                names |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return names


def test_the_figure_is_drawn_from_names_of_the_code():
    figure = PAGE.partition("```mermaid")[2].partition("```")[0]
    words = {word for label in re.findall(r'"([^"]+)"', figure) for word in re.findall(r"[A-Za-z_.]+", label)}
    names = {word for word in words if "_" in word or "." in word or word in ("Fusion", "look", "match", "merge")}
    assert len(names) > 12
    assert names - defined() - STAGES <= {"L_base"}


def test_the_equations_name_where_they_are_computed():
    for name in (
        "Fusion.similarity",
        "Fusion.forward",
        "Fusion._linear_cosines_and_delta",
        "matchability_aware_loss",
        "composite",
    ):
        assert name in PAGE
        assert name in defined()
