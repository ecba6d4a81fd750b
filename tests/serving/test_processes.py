"""Crashes, stops, files that change meanwhile, parts that are missing, a full disk: each costs what it must and no more."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from live_server import SOURCES, LiveServer, encoded, live_server
from served_sample import noise, write_served, write_tagger

from zerostart.serve import DRAIN
from zerostart.serving.store import Store

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs -o size=2m none "$0" && exec "$@"')


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A checkout and a server that tests may break."""
    root = write_served(tmp_path_factory.mktemp("own"))
    with live_server(root, "--queue", "1") as running:
        yield root, running


def test_the_http_process_holds_no_model():
    """Nor the libraries for one: it starts in a second and stays small."""
    said = "import sys, zerostart.serve; print({'torch', 'onnxruntime', 'transformers', 'faiss', 'timm'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", said], env=os.environ | {"PYTHONPATH": str(SOURCES)}, capture_output=True)
    assert found.stdout.strip() == b"set()", found.stderr


def test_a_full_queue_tells_to_come_again(own):
    """Of eight at once with room for one, some are told when; none is lost and none fails otherwise."""
    _, server = own
    content = encoded(noise((400, 300)))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.inspect(content, tiling="6"), range(8)))
    assert {answer.status_code for answer in answers} == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert int(refused.headers["retry-after"]) > 0 and "waiting" in refused.json()["error"]


def test_a_crash_of_the_model_process_costs_its_request_alone(own):
    _, server = own
    before = server.model_process().pid
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.inspect, encoded(noise((900, 700))), tiling="grid")
        while "waiting_requests 1" not in server.client.get("/metrics").text and not running.done():
            time.sleep(0.01)
        time.sleep(0.3)  # it is decoded then
        server.model_process().kill()
        answer = running.result()
    assert answer.status_code == 503 and "started again" in answer.json()["error"] and answer.headers["retry-after"]
    assert server.client.get("/healthz").status_code == 200
    server.wait_ready()
    assert server.model_process().pid != before
    assert server.inspect(encoded(noise())).status_code == 200


def test_another_tagger_takes_its_place_while_answers_are_given(own):
    """Every answer has the old or the new tagger's scores and version, never one's scores under the other's name."""
    root, server = own
    server.wait_ready()
    content = encoded(noise(seed=8))
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            answers.append(server.inspect(content, k=0, tags="hd", engine="baseline").json())

    asking = threading.Thread(target=ask)
    asking.start()
    while not answers:
        time.sleep(0.05)
    write_tagger(root, seed=1)
    until = time.monotonic() + 90
    while answers[-1]["versions"] == answers[0]["versions"] and time.monotonic() < until:
        time.sleep(0.2)
    stop.set()
    asking.join()
    seen = {(answer["versions"]["tagger"], tuple(answer["tags"]["scores"].values())) for answer in answers}
    assert len(seen) == 2 and len({version for version, _ in seen}) == 2
    assert "reloads_total 1\n" in server.client.get("/metrics").text


def test_a_part_that_goes_while_serving_stays_in_memory(own):
    """A pipeline removes its outputs before it makes them anew."""
    root, server = own
    before = server.inspect(encoded(noise())).json()["versions"]
    shutil.move(root / "models/tagging", root / "moved")
    time.sleep(4)
    assert server.inspect(encoded(noise())).json()["versions"] == before
    shutil.move(root / "moved", root / "models/tagging")


def test_missing_parts_and_a_full_disk_leave_the_rest(tmp_path):
    """Without index and tagger: detections, and a sentence for each. Without room: a sentence, and old verdicts stay."""
    root, place = write_served(tmp_path / "root", index=False, tagger=False), tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run([*NAMESPACE, place, "true"], capture_output=True).returncode == 0
    before = (*NAMESPACE, str(place)) if mounted else ()
    server = LiveServer(root, "--store", str(place / "store"), "--runtime", "torch", before=before)
    try:
        first = check_missing(server.wait_ready())
        if not mounted:
            pytest.skip("no file system of its own can be mounted here (user namespaces are off): the full disk was not tried")
        check_full_disk(server, first)
        assert "Traceback" not in "".join(server.said)
    finally:
        server.kill()


def check_missing(server):
    answer = server.inspect(encoded(noise())).json()
    assert answer["detections"]["refined"] and answer["cases"] is None and answer["tags"] is None
    assert [entry["part"] for entry in answer["missing"]] == ["index", "tagger"]
    assert "`make retrieval`" in answer["missing"][0]["sentence"] and "`make tagging`" in answer["missing"][1]["sentence"]
    refused = server.client.get("/v1/cases", params={"text": "a dent"})
    assert refused.status_code == 422 and "make retrieval" in refused.json()["error"]
    return answer


def check_full_disk(server, first):
    verdict = {"decisions": [{"detection": "refined:0", "decision": "accept"}], "sentence": "whole"}
    assert server.client.post(f"/v1/inspections/{first['id']}/verdict", json=verdict).status_code == 201
    for seed in range(40):
        answer = server.inspect(encoded(noise((300, 200), seed=seed)), k=0, tags="none")
        if answer.status_code != 200:
            break
    assert answer.status_code == 507 and "no room" in answer.json()["error"]
    added = {"class": "dent", "box": [1, 1, 9, 9], "sentence": "y" * 2000}
    long = verdict | {"sentence": "x" * 2000, "added": [added] * 400}
    assert server.client.post(f"/v1/inspections/{first['id']}/verdict", json=long).status_code == 507
    assert server.client.get(f"/v1/inspections/{first['id']}/verdict").json()["sentence"] == "whole"


def test_another_address_needs_a_token(tmp_path):
    with pytest.raises(AssertionError, match="--token is expected"):
        LiveServer(tmp_path, "--host", "0.0.0.0")


def test_a_token_nothing_to_serve_and_a_kill(tmp_path):
    """Who knows the token is answered, what is missing is said, an acknowledged verdict outlives a SIGKILL: no process does."""
    store = Store(tmp_path / "inspections")
    answer = {"id": "a" * 64, "picture": {"file_name": None, "width": 9, "height": 9}, "detections": {}, "classes": []}
    store.add_inspection(answer, {"uncertainty": 0.0, "novelty": None, "score": 0.0})
    token = "a-long-and-secret-token"
    with live_server(tmp_path, "--host", "0.0.0.0", "--token", token, ready=False) as server:
        children = server.main().children(recursive=True)
        for given, status in ((None, 401), ("Bearer wrong", 401), (f"Basic {token}", 401), (f"Bearer {token}", 200)):
            headers = {"Authorization": given} if given else {}
            assert server.client.get("/v1/next", headers=headers).status_code == status
        assert server.client.get("/healthz").status_code == 200
        until = time.monotonic() + 60
        while "make repro" not in (missing := server.client.get("/readiness")).text and time.monotonic() < until:
            time.sleep(0.2)
        assert missing.status_code == 503 and "`make repro` builds it" in missing.json()["error"]
        path, headers = f"/v1/inspections/{'a' * 64}/verdict", {"Authorization": f"Bearer {token}"}
        assert server.client.post(path, json={"sentence": "kept"}, headers=headers).status_code == 201
        children += server.main().children(recursive=True)
        assert len({child.pid for child in children}) >= 3
        server.process.kill()
        until = time.monotonic() + 10
        while any(alive(child) for child in children) and time.monotonic() < until:
            time.sleep(0.1)
        assert not any(alive(child) for child in children)
    assert store.verdict("a" * 64)["sentence"] == "kept"


def alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_stop_lets_requests_end(own):
    """SIGTERM: what was begun is answered, and the process ends with 0 within its limit. The last test of this server."""
    _, server = own
    server.wait_ready()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.inspect, encoded(noise((900, 700))), tiling="grid")
        while "waiting_requests 1" not in server.client.get("/metrics").text and not running.done():
            time.sleep(0.01)
        started = time.monotonic()
        server.main().send_signal(signal.SIGTERM)
        assert running.result().status_code == 200
    assert server.process.wait(DRAIN + 10) == 0
    assert time.monotonic() - started < DRAIN + 5
