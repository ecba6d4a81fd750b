"""Fifty kills of all stages and of commands on a few pictures (`make faults` has three hundred): see run.py."""

import subprocess
import sys
from pathlib import Path

from targets import EXCEPTIONS, ROOT, TARGETS

RUN = Path(__file__).parent / "run.py"


def test_whatever_is_killed_the_same_command_ends_with_the_undisturbed_bytes():
    done = subprocess.run([sys.executable, RUN, "--kills", "50"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    tried = int(done.stdout.strip().splitlines()[-1].split()[0])
    assert tried >= 35  # some are drawn too late to meet anything


def test_every_stage_is_a_target():
    files = (ROOT / "src/stages").rglob("*.py")
    there = {".".join(path.relative_to(ROOT / "src/stages").with_suffix("").parts) for path in files if path.stem != "__init__"}
    killed = {target.module for target in TARGETS}
    assert {module.removeprefix("stages.") for module in killed if module.startswith("stages.")} == there
    assert not killed & set(EXCEPTIONS)
