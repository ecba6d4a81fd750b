"""The workflows cannot run here: what can be checked of them is that they run what is tested, and may do little."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_there_are_two():
    assert [path.stem for path in WORKFLOWS] == ["experiment-report", "tests"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_steps_are_make_targets_or_official_actions_pinned_by_commit(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert set(job.get("permissions", {}).items()) <= {("contents", "read"), ("pull-requests", "write")}
        for step in job["steps"]:
            if "run" in step:
                assert re.match(r"make ([a-z-]+)", step["run"])[1] in TARGETS
                assert "${{" not in step["run"]  # what others write never becomes a command
            else:
                assert re.fullmatch(r"actions/(checkout|setup-python|upload-artifact)@[0-9a-f]{40}", step["uses"])
                assert step["uses"].startswith("actions/checkout") == ("persist-credentials" in step.get("with", {}))
