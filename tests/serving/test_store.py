"""The store: what was acknowledged is there whatever happens, and nothing that is there changes."""

import json
import os
import sqlite3
import subprocess
import sys
import time

import pytest
from live_server import SOURCES

from zerostart.errors import InputError
from zerostart.serving.frames import memory_file
from zerostart.serving.refusals import of_disk
from zerostart.serving.store import FILE, PICTURES, Store, sha256_of
from zerostart.serving.worth import worth

WRITER = """
import json, sys
from pathlib import Path
from zerostart.serving.frames import memory_file
from zerostart.serving.store import Store, sha256_of
import os
store = Store(Path(sys.argv[1]))
for number in range(10_000):
    file = memory_file("picture")
    os.write(file, b"picture %d" % number + bytes(50_000))
    key = sha256_of(file)
    store.add_picture(key, file)
    os.close(file)
    answer = {"id": key, "picture": {"file_name": str(number)}}
    n = store.add_inspection(answer, {"uncertainty": 0.0, "novelty": None, "score": 0.0})
    v = store.add_verdict(key, n, {"decisions": [], "added": [], "sentence": "x" * 3000 + str(number)})
    print(v, flush=True)
"""


def answer(picture_id="a" * 64, score=0.5, **changes):
    detection = {"id": "refined:0", "class": "dent", "score": score, "box": [1, 2, 30, 40]}
    known = {"id": picture_id, "picture": {"file_name": "a.png", "width": 80, "height": 48}, "classes": ["dent", "crack"]}
    return known | {"detections": {"refined": [detection]}, "thresholds": {"refined": 0.3}, "tags": None} | changes


@pytest.mark.parametrize("moment", range(20))
def test_a_kill_leaves_whole_verdicts_only(tmp_path, moment):
    """SIGKILL at 20 moments of writing: every acknowledged verdict is there, each that is there is whole, as is its picture."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        acknowledged = [process.stdout.readline()]
        time.sleep(0.013 * moment)
        process.kill()
        acknowledged += process.stdout.readlines()
    count = len([line for line in acknowledged if line.endswith(b"\n")])
    store = Store(tmp_path)
    verdicts = store.newest_verdicts()
    assert len(verdicts) >= count > 0
    for picture_id, number, verdict in verdicts:
        assert len(verdict["sentence"]) > 3000
        assert store.inspection_number(number)["id"] == picture_id
        with store.picture(picture_id).open("rb") as file:
            assert sha256_of(file.fileno()) == picture_id
    names = [path.name for path in (tmp_path / PICTURES).rglob("*") if path.is_file()]
    assert all(len(name) == 64 for name in names)
    assert sqlite3.connect(tmp_path / FILE).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_newest_verdict_counts_and_all_are_kept(tmp_path):
    store = Store(tmp_path)
    n = store.add_inspection(answer(), {"uncertainty": 1.0, "novelty": None, "score": 1.0})
    for sentence in ("first", "second"):
        store.add_verdict("a" * 64, n, {"sentence": sentence})
    assert store.verdict("a" * 64) == {"verdict": 2, "inspection": "a" * 64, "number": n, "sentence": "second"}
    assert store.newest_verdicts() == [("a" * 64, n, {"sentence": "second"})]
    assert store.counts() == {"inspections": 1, "verdicts": 2}
    for statement in ("DELETE FROM verdicts", "UPDATE verdicts SET verdict = '{}'"):
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            sqlite3.connect(tmp_path / FILE, isolation_level=None).execute(statement)


def test_what_is_next_is_ranked_and_not_yet_judged(tmp_path):
    store = Store(tmp_path)
    for letter, score in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
        store.add_inspection(answer(letter * 64), {"uncertainty": score, "novelty": 1.0, "score": score})
    store.add_inspection(answer("a" * 64), {"uncertainty": 2.5, "novelty": 1.0, "score": 2.5})  # the newest counts
    store.add_verdict("b" * 64, 2, {})
    assert [one["id"][0] for one in store.next(20)] == ["a", "c"]
    assert [one["score"] for one in store.next(1)] == [2.5]


def test_uncertainty_is_the_expected_number_of_wrong_decisions():
    """By hand: of 0.9 and 0.6 above the threshold 0.5, 0.1 and 0.4 are expected wrong; of 0.2 below it, 0.2."""
    found = [{"score": score} for score in (0.9, 0.6, 0.2)]
    tags = {"novelty": 1.25}
    made = answer(detections={"refined": found}, thresholds={"refined": 0.5}, tags=tags)
    assert worth(made, {}) == {"uncertainty": 0.7, "novelty": 1.25, "score": 0.95}
    # At temperature 2 the odds 9, 1.5 and 1/4 become their roots: 3/4, 0.5505, 1/3.
    assert worth(made, {"refined": 2.0})["uncertainty"] == pytest.approx(0.25 + (1 - 1.5**0.5 / (1 + 1.5**0.5)) + 1 / 3)


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(InputError, match=r"verdicts\.sqlite: no such file"):
        Store(tmp_path, create=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="no store can be opened"):
        Store(tmp_path / "file")


def test_a_full_disk_is_a_sentence():
    assert of_disk(OSError(28, "No space left on device")).status_code == 507
    assert of_disk(OSError(13, "Permission denied")) is None


def test_equal_pictures_are_kept_once(tmp_path):
    store = Store(tmp_path)
    file = memory_file("picture")
    os.write(file, b"pixels")
    for _ in range(2):
        store.add_picture(sha256_of(file), file)
    os.close(file)
    assert [path.read_bytes() for path in (tmp_path / PICTURES).rglob("*") if path.is_file()] == [b"pixels"]
    assert json.dumps(store.counts()) == '{"inspections": 0, "verdicts": 0}'
