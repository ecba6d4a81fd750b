"""What a killed DVC and a full disk leave is recognised and named, and the command that the doctor gives mends it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zerostart import doctor
from zerostart.checkup import outputs
from zerostart.checkup.locks import look_at_locks
from zerostart.checkup.outputs import look_at_outputs
from zerostart.checkup.queue import look_at_queue
from zerostart.errors import InputError

STAGE = """
stages:
  one:
    cmd: mkdir -p data/out metrics && seq 9 > data/out/a && seq 5 > data/out/b && echo '{"m":1}' > metrics/one.json
    outs: [data/out]
    metrics:
      - metrics/one.json:
          cache: false
"""
LOCKS = [Path("dvc.lock")]
GONE = 2**22 + 1
"""No process has this number."""


def dvc(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)


def shell(command: str) -> None:
    """By a shell, as people type it: the remedies quote names and join commands."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(command, shell=True, check=True, capture_output=True, env=os.environ | {"PATH": path})


def remedied(finding: doctor.Finding) -> None:
    """Do what the doctor says (its words between commands are left out)."""
    for part in finding.remedy.replace(", then ", "; ").replace("; then ", "; ").split("; "):
        shell(part.partition(", ")[0].removeprefix("make room").strip() or "true")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shell("git init -q . && git config user.name test && git config user.email test@example.org")
        assert dvc("init", "-q").returncode == 0
        shell("mkdir data && dvc config cache.type reflink,copy && dvc config core.analytics false")
        Path("dvc.yaml").write_text(STAGE)
        assert dvc("repro", "-q").returncode == 0
        shell("git add -A && git commit -q -m one")
    return folder


@pytest.fixture
def repository(original, tmp_path, monkeypatch):
    """A repository of its own in which one stage has run; working directory."""
    shutil.copytree(original, tmp_path / "r", symlinks=True)
    monkeypatch.chdir(tmp_path / "r")
    return tmp_path / "r"


def found_outputs() -> list[doctor.Finding]:
    return list(look_at_outputs(LOCKS, Path(".dvc/cache")))


def test_an_undisturbed_repository_has_nothing(repository):
    assert [*look_at_locks(LOCKS), *look_at_queue(), *found_outputs()] == []
    assert [finding.remedy for finding in doctor.stages()] == [None]


@pytest.mark.parametrize("content", ["", '{"wri', '{"write": {"/x": {"pid": "none"}}}', "[]"])
def test_a_cut_rwlock_is_named_and_removed(repository, content):
    Path(".dvc/tmp/rwlock").write_text(content)
    assert dvc("status").returncode != 0
    (finding,) = look_at_locks(LOCKS)
    assert finding.found == ".dvc/tmp/rwlock: cut in the middle when DVC was killed"
    assert finding.remedy == "rm .dvc/tmp/rwlock"
    remedied(finding)
    assert dvc("status").returncode == 0
    assert list(look_at_locks(LOCKS)) == []


def test_a_lock_of_a_number_that_another_program_has_now_is_named(repository, monkeypatch):
    def held(pid):
        path = str(repository / "data/out")
        Path(".dvc/tmp/rwlock").write_text(json.dumps({"write": {path: {"pid": pid, "cmd": "dvc repro"}}}))

    held(GONE)
    assert list(look_at_locks(LOCKS)) == []  # DVC removes it by itself
    other = subprocess.Popen(["sleep", "60"])
    try:
        held(other.pid)
        (finding,) = look_at_locks(LOCKS)
        assert finding.found == f".dvc/tmp/rwlock: names process {other.pid}, which is another program now"
        held_by_dvc = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "dvc"])
        try:
            held(held_by_dvc.pid)
            assert list(look_at_locks(LOCKS)) == []  # it is at work
        finally:
            held_by_dvc.kill()
    finally:
        other.kill()


@pytest.mark.parametrize("content", ["", "schema: '2.0'\nstages:\n  one:\n    cmd: 'mkd"])
def test_a_cut_dvc_lock_is_named_and_comes_back(repository, content):
    whole = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(content)
    (finding,) = look_at_locks(LOCKS)
    assert (finding.found, finding.remedy) == ("dvc.lock: cut in the middle", "git checkout -- dvc.lock, then dvc repro")
    assert found_outputs() == []
    remedied(finding)
    assert Path("dvc.lock").read_text() == whole


def test_a_lost_line_of_gitignore_is_named_and_written_again(repository):
    Path("data/.gitignore").write_text("")
    (finding,) = found_outputs()
    assert finding.found == "data/out: DVC's output, but its line in .gitignore is lost"
    assert finding.remedy == "echo /out >> data/.gitignore"
    assert "data/out" in subprocess.run(["git", "status", "--short"], capture_output=True, text=True).stdout
    remedied(finding)
    assert found_outputs() == []
    assert subprocess.run(["git", "status", "--short"], capture_output=True, text=True).stdout == ""


def test_metrics_that_dvc_removed_come_back_and_others_stay(repository):
    Path("metrics/two.json").write_text("{}")
    shell("git add -A && git commit -q -m two")
    Path("metrics/two.json").write_text('{"new": 1}')
    Path("metrics/one.json").unlink()
    (finding,) = found_outputs()
    assert finding.found == "metrics/one.json: DVC removed it before a stage that did not end"
    remedied(finding)
    assert Path("metrics/one.json").read_text() == '{"m":1}\n'
    assert Path("metrics/two.json").read_text() == '{"new": 1}'


def test_an_output_that_the_cache_had_no_room_for_is_named_and_kept(repository):
    """DVC ends with 0 then; only the object is missing."""
    for path in Path(".dvc/cache/files/md5").rglob("*"):
        if path.suffix == ".dir":
            path.unlink()
    (finding,) = doctor.stages()
    assert finding.found == "data/out: not in the cache, as after a full disk"
    assert finding.remedy == "make room, then dvc commit -f one"
    remedied(finding)
    assert [finding.remedy for finding in doctor.stages()] == [None]


def test_what_a_new_clone_lacks_is_to_be_run(repository):
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("data/out")
    assert [(finding.found, finding.remedy) for finding in doctor.stages()] == [("to be run: one", "make repro")]


def test_a_changed_stage_is_to_be_run_and_not_committed(repository):
    Path("data/out/a").write_text("other")
    assert [finding.found for finding in doctor.stages()] == ["to be run: one"]


def test_half_moved_and_broken_objects_are_named_and_mended(repository):
    first, second = sorted(path for path in Path(".dvc/cache/files/md5").rglob("*") if path.is_file() and not path.suffix)
    (first.parent / ".VLtyScwxR4aEugkHmyHhRA.tmp").write_text("hal")
    second.chmod(0o644)
    content = second.read_text()
    assert [finding.found for finding in found_outputs()] == ["1 half-moved objects (.VLtyScwxR4aEugkHmyHhRA.tmp) take room"]
    second.write_text(content[:3])
    half, broken = found_outputs()
    assert broken.found == f"{second}: not what the name says"
    for finding in (half, broken):
        remedied(finding)
    shell("dvc commit -f")
    assert found_outputs() == []
    assert second.read_text() == content


def test_little_room_is_told(repository, monkeypatch):
    monkeypatch.setattr(outputs, "LEAST_ROOM", 2**60)
    (finding,) = found_outputs()
    assert "MB are left on its disk" in finding.found and finding.remedy.startswith("make room")


def test_an_experiment_of_a_dead_worker_is_named(tmp_path):
    """As DVC writes it; `dvc queue status` says Running for ever, and `dvc queue kill` ends that."""
    folder = tmp_path / "run/e1cf6579"
    folder.mkdir(parents=True)
    (folder / "e1cf6579.run").write_text(json.dumps({"name": "flawy-impi", "status": 2}))
    (folder / "e1cf6579.pid").write_text(str(GONE))
    waiting = tmp_path / "celery/broker/in"
    waiting.mkdir(parents=True)
    (waiting / "1_2.celery.msg").write_text("{}")
    (tmp_path / "celery/dvc-exp-worker-1.pid").write_text(str(GONE))
    dead, idle = look_at_queue(tmp_path)
    assert dead.found == "flawy-impi: running for the queue, but the process is gone"
    assert dead.remedy == "dvc queue kill flawy-impi; then queue it again"
    assert (idle.found, idle.remedy) == ("1 experiments wait, and no worker is there", "dvc queue start -j 1")
    (folder / "e1cf6579.pid").write_text(str(os.getpid()))
    (tmp_path / "celery/dvc-exp-worker-1.pid").write_text(str(os.getpid()))
    assert list(look_at_queue(tmp_path)) == []
    (folder / "e1cf6579.pid").write_text(str(GONE))
    (folder / "e1cf6579.run").write_text(json.dumps({"name": "flawy-impi", "status": 3}))  # it ended
    assert list(look_at_queue(tmp_path)) == []


@pytest.mark.parametrize("pid", [2**31, 2**63, 10**400])
def test_a_number_that_no_process_can_have_is_that_of_none(tmp_path, monkeypatch, pid):
    monkeypatch.chdir(tmp_path)
    Path(".dvc/tmp").mkdir(parents=True)
    Path(".dvc/tmp/rwlock").write_text(f'{{"write": {{"/x": {{"pid": {pid}, "cmd": "dvc repro"}}}}}}')
    assert list(look_at_locks([])) == []
    folder = tmp_path / "run/e1cf6579"
    folder.mkdir(parents=True)
    (folder / "e1cf6579.run").write_text(json.dumps({"name": "a b; rm", "status": 2}))
    (folder / "e1cf6579.pid").write_text(str(pid))
    (dead,) = look_at_queue(tmp_path)
    assert dead.remedy == "dvc queue kill 'a b; rm'; then queue it again"


@pytest.mark.parametrize("content", ["", "[" * 100_000, '{"status": [1]}', '{"status": 2, "name": 7}', "null"])
def test_a_broken_record_of_an_experiment_is_a_finding(tmp_path, content):
    folder = tmp_path / "run/e1cf6579"
    folder.mkdir(parents=True)
    (folder / "e1cf6579.run").write_text(content)
    found = [finding.found for finding in look_at_queue(tmp_path)]
    assert len(found) == (0 if content == '{"status": [1]}' else 1)


def test_a_number_without_end_in_the_rwlock_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(".dvc/tmp").mkdir(parents=True)
    Path(".dvc/tmp/rwlock").write_text('{"write": {"/x": {"pid": 1e999}}}')
    assert len(list(look_at_locks([]))) == 1


def test_without_git_it_is_one_sentence(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="git: no such program here; it is expected on the PATH"):
        list(look_at_outputs([Path("dvc.lock")], Path(".dvc/cache")))
