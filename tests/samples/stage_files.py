"""Run a stage's file in this process."""

import contextlib
import importlib.util
import sys
from pathlib import Path

STAGES = Path(__file__).parents[2] / "src/stages"


def run_stage_file(name: str, folder: Path, *arguments: str) -> str:
    """The line of a stage (`warmup`, `tagging/base`), run in a folder as if by the command with these arguments."""
    spec = importlib.util.spec_from_file_location(f"stage_{name.replace('/', '_')}", STAGES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    before, sys.argv = sys.argv, [name, *arguments]
    try:
        with contextlib.chdir(folder):
            return module.main()
    finally:
        sys.argv = before
