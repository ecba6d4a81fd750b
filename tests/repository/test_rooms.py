"""Where the parts of the library lie: a folder is a room, and a room imports only rooms further left in the flow."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from plumbing import PLUMBING

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "src/zerostart"
FLOW = [
    "datasets",
    "drawing",
    "language",
    "detector",
    "cache",
    "metrics",
    "detector_training",
    "method",
    "decoder",
    "evaluation",
    "inference",
    "ablation",
    "novel",
    "sweeps",
    "review",
    "trackers",
    "checkup",
    "retrieval",
    "tagging",
    "serving",
]
MODULES = {path.relative_to(LIBRARY).with_suffix("").as_posix().replace("/", "."): path for path in LIBRARY.rglob("*.py")}


def imports(source: str) -> set[str]:
    """The modules of the library that a source imports, at any depth of the code."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "zerostart":
            name = node.module.partition(".")[2]
            found |= {name} if name in MODULES else {f"{name}.{alias.name}".lstrip(".") for alias in node.names}
    return found & set(MODULES)


def room(module: str) -> str | None:
    """Its room; None for a file of the root."""
    return module.partition(".")[0] if "." in module else None


def upward(module: str, source: str) -> set[str]:
    """What a module of a room imports although it must not: commands, and rooms further right."""
    if room(module) is None:
        return set()
    reachable = FLOW[: FLOW.index(room(module)) + 1]
    return {other for other in imports(source) if (room(other) or "") not in reachable and other not in PLUMBING}


def test_every_folder_is_a_room_of_the_flow():
    assert {path.parent.name for path in LIBRARY.glob("*/__init__.py")} == set(FLOW)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_room_imports_only_rooms_further_left(module):
    assert upward(module, MODULES[module].read_text()) == set()


def test_an_arrow_to_the_right_is_seen():
    assert upward("method.fusion", "from zerostart.evaluation.changes import changes") == {"evaluation.changes"}
    assert upward("method.fusion", "def f():\n    from zerostart import predict") == {"predict"}
    assert upward("method.fusion", "from zerostart.metrics import coco\nfrom zerostart.params import Params") == set()


def test_plumbing_knows_no_room():
    for module in PLUMBING:
        assert imports(MODULES[module].read_text()) <= PLUMBING


def test_there_is_no_circle():
    TopologicalSorter({module: imports(path.read_text()) for module, path in MODULES.items()}).prepare()
