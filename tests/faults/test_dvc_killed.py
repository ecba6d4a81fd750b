"""`kill -9` of DVC alone, then the same `dvc repro`: the stage that it left ends, and the result is the undisturbed one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGE = """
import time
from pathlib import Path
with open("starts", "a") as file:
    file.write("x")
time.sleep(0.5)  # as Python itself takes on a busy machine
import zerostart
Path("importing").touch()
time.sleep(1)  # as PyTorch takes
from zerostart.errors import run_stage
from zerostart.outputs import stage_folder, write_json

def main():
    with open("begun", "a") as file:
        file.write("x")
    with stage_folder("data/out") as folder:
        for number in range(40):
            (folder / f"{number:02d}").write_text("x" * 100_000)
            time.sleep(0.1)
    write_json("metrics/out.json", {"files": 40})
    return "data/out: 40 files"

run_stage(main)
"""
PIPELINE = """
stages:
  slow:
    cmd: python stage.py
    deps: [stage.py]
    outs: [data/out]
    metrics:
      - metrics/out.json:
          cache: false
"""


def dvc(*arguments: str) -> subprocess.Popen:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": path}
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    Path("data").mkdir()
    assert dvc("init", "-q").wait() == 0
    subprocess.run([sys.executable, "-m", "dvc", "config", "cache.type", "reflink,copy"], check=True)
    Path("stage.py").write_text(STAGE)
    Path("dvc.yaml").write_text(PIPELINE)
    return tmp_path


MOMENTS = {
    "the stage starts": lambda: Path("starts").exists(),
    "the stage is importing": lambda: Path("importing").exists(),
    "the stage has begun": lambda: Path("data/.tmp-new-out/00").exists(),
    "the stage is half done": lambda: Path("data/.tmp-new-out/20").exists(),
    "the output is there": lambda: Path("metrics/out.json").exists(),
    "objects are being moved": lambda: any(Path(".dvc/cache/files/md5").rglob("*.tmp")) or Path("dvc.lock").exists(),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_dvc_killed_alone(repository, moment):
    first = dvc("repro")
    wait_for(MOMENTS[moment])
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = dvc("repro")
    said = second.communicate()[0]
    if "'./dvc.lock' validation failed" in said:  # DVC writes it in place: cut in the middle, it is what the doctor names
        Path("dvc.lock").unlink()  # which `git checkout -- dvc.lock` would bring back where there is a committed one
        second = dvc("repro")
        said = second.communicate()[0]
    assert second.returncode == 0, said
    if "start" in moment or "importing" in moment:
        assert (Path("starts").read_text(), Path("begun").read_text()) == ("xx", "x")  # the one that was left had ended by then
    found = {path.name: path.read_bytes() for path in Path("data/out").iterdir()}
    assert found == {f"{number:02d}": b"x" * 100_000 for number in range(40)}
    assert Path("metrics/out.json").read_text() == '{\n "files": 40\n}\n'
    assert [path.name for path in Path("data").iterdir() if path.name.startswith(".tmp")] == []
    assert subprocess.run([sys.executable, "-m", "dvc", "status", "-q"]).returncode == 0
