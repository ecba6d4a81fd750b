"""Bad input is one sentence and exit code 1; a defect keeps its traceback."""

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool

import psutil
import pytest

from zerostart.errors import InputError, run_stage, shown
from zerostart.interruptions import STOPPED


def test_a_stage_prints_its_line(capsys):
    run_stage(lambda: "models/warmup: epoch 3 chosen")
    assert capsys.readouterr() == ("models/warmup: epoch 3 chosen\n", "")


def test_a_command_that_prints_by_itself_adds_no_line(capsys, monkeypatch):
    now = iter([100.0, 112.4])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    run_stage(lambda: print("{}"))
    assert capsys.readouterr() == ("{}\n", "")


def test_what_takes_a_while_says_how_long_it_took(capsys, monkeypatch):
    now = iter([100.0, 112.4])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    run_stage(lambda: "models/warmup: epoch 3 chosen")
    assert capsys.readouterr().out == "models/warmup: epoch 3 chosen [12 s]\n"


def test_bad_input_ends_in_one_sentence():
    def stage():
        raise InputError("params.yaml: unknown parameter 'alhpa'")

    with pytest.raises(SystemExit) as ended:
        run_stage(stage)
    # sys.exit prints a string to stderr and exits with 1
    assert ended.value.code == "error: params.yaml: unknown parameter 'alhpa'"


@pytest.mark.parametrize("defect", [ValueError, KeyError, RuntimeError])
def test_a_defect_is_not_disguised(defect):
    def stage():
        raise defect("ours")

    with pytest.raises(defect, match="ours") as raised:
        run_stage(stage)
    assert "please report it" in raised.value.__notes__[0]  # the traceback ends with it


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/a.npy"), "error: out/a.npy: No space left on device"),
        (OSError("no number"), "error: no number"),
        (RuntimeError("write error in x: 905 != 1664 (File too large)"), "error: File too large"),
        (ValueError("Error while serializing: I/O error: No space (os error 28)"), "error: No space left on device"),
        (RuntimeError("[enforce fail] . unexpected pos 128 vs 0"), "error: only a part could be written, as on a full disk"),
        (BrokenProcessPool("terminated abruptly"), "error: a process that it started was ended from outside"),
        (MemoryError("Unable to allocate 7 TiB"), "error: not enough memory (Unable to allocate 7 TiB)"),
    ],
)
def test_surroundings_that_do_not_hold_are_one_sentence(error, sentence):
    def stage():
        raise error

    with pytest.raises(SystemExit) as ended:
        run_stage(stage)
    assert ended.value.code.startswith(sentence)


def test_a_reader_that_is_gone_is_one_sentence():
    """As `python -m zerostart.tag … | head -1`: no traceback, also not from the interpreter's last flush."""
    code = "from zerostart.errors import run_stage; run_stage(lambda: 'x' * 1_000_000)"
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as closed:
        done = subprocess.run([sys.executable, "-c", code], stdout=closed, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: what reads the output was closed before the end\n")


STAGE = """
import pathlib, time
from zerostart.errors import run_stage
from zerostart.outputs import stage_folder

def main():
    with stage_folder("out") as folder:
        (folder / "half").write_text("half")
        print("writing", flush=True)
        time.sleep(60)

run_stage(main)
"""


def hear_ctrl_c() -> None:
    """A shell has what it starts in the background ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(folder, command, **options) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=folder, **pipes, **options, preexec_fn=hear_ctrl_c)
    assert process.stdout.readline() == "writing\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stage_that_is_told_to_end_leaves_nothing(tmp_path, number):
    process = start(tmp_path, [sys.executable, "-c", STAGE])
    process.send_signal(number)
    _, said = process.communicate()
    assert (process.returncode, said.count("\n")) == (130, 1)
    assert not any(tmp_path.iterdir())


SWALLOWED = """
import os, sys, time, weakref
from pathlib import Path
from zerostart.errors import run_stage
from zerostart.outputs import stage_folder

def told():
    os.kill(os.getpid(), int(sys.argv[1]))
    for _ in range(100):  # Python looks for signals between two of its instructions
        pass

class Thing:
    def __del__(self):
        told()

def destructor():
    Thing()

def callback():
    thing = set()
    watched = weakref.ref(thing, lambda gone: told())
    del thing

def all_caught():
    try:
        told()
    except BaseException:
        pass

def translated():
    try:
        told()
    except BaseException as error:
        raise RuntimeError("an import failed") from error

def work():
    swallow()
    for _ in range(600):
        time.sleep(0.1)

def main():
    with stage_folder("out") as folder:
        (folder / "half").write_text("half")
        work()

    return "out: done"

swallow = globals()[sys.argv[2]]
if sys.argv[3] == "imports":
    work()
run_stage(main)
"""


@pytest.mark.parametrize("phase", ["imports", "runs"])
@pytest.mark.parametrize("place", ["destructor", "callback", "all_caught", "translated"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_being_told_to_end_cannot_be_swallowed(tmp_path, number, place, phase):
    """Python ignores exceptions in callbacks and destructors, which imports are full of; libraries catch all or translate."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/__init__.py").write_text("import zerostart")
    (tmp_path / "toy/stage.py").write_text(SWALLOWED)
    command = [sys.executable, "-m", "toy.stage", str(int(number)), place, phase]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, preexec_fn=hear_ctrl_c)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"{STOPPED}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_being_told_to_end_holds_where_the_end_comes_first(capsys):
    """DVC would go on with the next stage."""

    def stage():
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            return "out: done"

    with pytest.raises(SystemExit) as ended:
        run_stage(stage)
    assert (ended.value.code, capsys.readouterr().err) == (130, f"{STOPPED}\n")


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6, 0.8])
def test_a_stage_that_is_told_to_end_while_it_imports_says_one_line(tmp_path, share):
    """PyTorch and what it brings take seconds to import; the kernels' pins come first and stand for `import zerostart`."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/__init__.py").write_text("import zerostart; print('writing', flush=True)")
    (tmp_path / "toy/stage.py").write_text("import stages.ablation.grid; print('imported', flush=True)")
    process = start(tmp_path, [sys.executable, "-m", "toy.stage"])
    time.sleep(2 * share)
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate()
    assert "imported" in out or (process.returncode, said) == (130, f"{STOPPED}\n")


def test_cleaning_up_is_not_disturbed_by_what_insists(tmp_path):
    code = """
import time
from pathlib import Path
from zerostart.errors import run_stage

def main():
    try:
        print("writing", flush=True)
        time.sleep(60)
    finally:
        for number in range(10):  # longer than it takes to insist, with exceptions of its own
            try:
                raise OSError
            except OSError:
                time.sleep(0.05)
        Path("cleaned").touch()

run_stage(main)
"""
    process = start(tmp_path, [sys.executable, "-c", code])
    process.terminate()
    _, said = process.communicate()
    assert (process.returncode, said) == (130, f"{STOPPED}\n")
    assert (tmp_path / "cleaned").exists()


def test_a_full_disk_behind_another_exception_is_what_is_told():
    def stage():
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "toy.journal")
        finally:
            raise RuntimeError("did not possess lock")

    with pytest.raises(SystemExit) as ended:
        run_stage(stage)
    assert ended.value.code == "error: toy.journal: No space left on device"


POOL = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from zerostart.errors import run_stage
from zerostart.interruptions import end_with_parent

def main():
    kind = get_context(sys.argv[1])
    with ProcessPoolExecutor(2, kind, end_with_parent if sys.argv[1] == "spawn" else None) as pool:
        list(pool.map(time.sleep, [0.1] * 4))
        print("writing", flush=True)
        time.sleep(60)

if __name__ == "__main__":
    run_stage(main)
"""


@pytest.mark.parametrize("kind", ["spawn", "fork"])
def test_the_processes_of_a_pool_end_with_the_one_that_started_them(tmp_path, kind):
    """Without it they would wait for work for ever: each holds the pipe open that it reads from."""
    (tmp_path / "pool.py").write_text(POOL)
    process = start(tmp_path, [sys.executable, "pool.py", kind])
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    for worker in alive:
        worker.kill()
    assert not alive


@pytest.mark.parametrize("whole", [False, True], ids=["the stage", "the terminal"])
@pytest.mark.parametrize("kind", ["spawn", "fork"])
def test_a_pool_that_is_told_to_end_does_not_finish_its_work_first(tmp_path, kind, whole):
    """Leaving a pool waits for all that was given to it, and a worker takes an exception for the result of its work."""
    (tmp_path / "pool.py").write_text(POOL.replace("time.sleep(60)", "list(pool.map(time.sleep, [30] * 8))"))
    process = start(tmp_path, [sys.executable, "pool.py", kind], start_new_session=True)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT) if whole else process.terminate()
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, f"{STOPPED}\n")


def test_a_stage_ends_with_the_dvc_that_started_it(tmp_path):
    """DVC starts a shell that starts the stage: killed alone, it leaves both."""
    (tmp_path / "stage.py").write_text(STAGE)
    shell, environment = ["sh", "-c", f"{sys.executable} stage.py; true"], os.environ | {"DVC_STAGE": "x"}
    dvc = start(tmp_path, [sys.executable, "-c", f"import subprocess; subprocess.run({shell!r}, env={environment!r})"])
    stages = psutil.Process(dvc.pid).children(recursive=True)
    dvc.kill()
    dvc.wait()
    _, alive = psutil.wait_procs(stages, timeout=20)
    assert not alive
    assert [path.name for path in tmp_path.iterdir()] == ["stage.py"]


SHOWN = {
    "short": ("abc", "'abc'"),
    "a number of 5,000 digits": (10**5000, "<int too large to be shown>"),
    "what clears the terminal": ("\x1b[2J", r"'\x1b[2J'"),
    "half a surrogate pair": ("\ud800", r"'\ud800'"),
    "what turns the direction of writing": ("\u202egnp", r"'\u202egnp'"),
    "letters": ("Schürfwunde 傷", "'Schürfwunde 傷'"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_a_user_s_value_is_shown_without_harm(case):
    value, expected = SHOWN[case]
    assert shown(value) == expected


def test_a_long_value_is_cut_in_the_middle():
    assert len(shown("a" * 100_000 + "z")) < 80
    assert shown("a" * 100_000 + "z").endswith("az'")


def test_a_sentence_cannot_act_on_the_terminal_and_is_no_longer_than_a_page():
    def stage():
        raise InputError("card\x1b[2J\x07.yaml: " + "x" * 100_000)

    with pytest.raises(SystemExit) as ended:
        run_stage(stage)
    assert ended.value.code.startswith(r"error: card\x1b[2J\x07.yaml: xx") and len(ended.value.code) < 4100


@pytest.mark.parametrize("language", ["C", "C.UTF-8", "POSIX"])
def test_a_name_that_is_no_text_is_printed_in_every_language(language):
    code = r"from zerostart.errors import run_stage; run_stage(lambda: '\xe4 \udcff \u50b7')"
    environment = {**os.environ, "LC_ALL": language, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
