"""The inspection page's server against the bare detector: pictures per second, latencies, six views against one, memory.

Needs `make repro` first; retrieval and tagging are measured where they are there. Clients run on the same cores as the server.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import psutil
from report import report

from zerostart.inference.assembly import load_checkpoint

PICTURES, CLIENTS = 64, (1, 4, 16)
ALONE = {"engine": "refined", "tags": "none", "k": "0"}
"""What `RefinedDetector.detect` does, and nothing beside it."""

paths = sorted(Path("data/raw/synthetic/images").glob("*.jpg"))[:PICTURES]
contents = [path.read_bytes() for path in paths]


def bare() -> float:
    """Pictures per second of `detect`, from files, in its own batches: the median of three rounds."""
    detector = load_checkpoint(None)
    detector.detect(paths[:16])
    rates = []
    for _ in range(3):
        started = time.perf_counter()
        detector.detect(paths)
        rates.append(PICTURES / (time.perf_counter() - started))
    return statistics.median(rates)


def inspect(client: httpx.Client, content: bytes, fields: dict[str, str]) -> float:
    """Seconds of one answer."""
    started = time.perf_counter()
    answer = client.post("/v1/inspections", files={"picture": ("a.jpg", content)}, data=fields)
    answer.raise_for_status()
    return time.perf_counter() - started


def load(client: httpx.Client, clients: int, fields: dict[str, str], count: int = PICTURES) -> dict[str, float]:
    """`count` pictures by so many clients at once."""
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        seconds = sorted(pool.map(lambda content: inspect(client, content, fields), contents[:count]))
    rate = count / (time.perf_counter() - started)
    return {
        "pictures_per_s": rate,
        "p50_ms": 1000 * statistics.median(seconds),
        "p95_ms": 1000 * seconds[int(0.95 * (count - 1))],
    }


def start(store: str) -> tuple[subprocess.Popen, httpx.Client, float]:
    """A server, a client, and the seconds until it could answer; ends with a sentence where nothing is there to be served."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "zerostart.serve", "--port", "0", "--store", store]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()
    if not address.startswith("http://"):
        raise SystemExit(f"the server ended with exit code {process.wait()} before it could be reached: {address}")
    client = httpx.Client(base_url=address, timeout=120, trust_env=False)
    while client.get("/readiness").status_code != 200:
        settings = client.get("/v1/settings")  # 503 until the models were looked for
        if settings.status_code == 200 and not any(settings.json()["versions"].values()):
            process.terminate()
            process.wait()
            raise SystemExit(
                f"no model is there to be measured: {'; '.join(one['sentence'] for one in settings.json()['missing'])}"
            )
        time.sleep(0.05)
    return process, client, time.perf_counter() - started


def memory(process: subprocess.Popen) -> dict[str, float]:
    """MB of each kind of process; the decoders' is that of the largest."""
    found = {"http": psutil.Process(process.pid).memory_info().rss / 1e6}
    for child in psutil.Process(process.pid).children():
        kind = "model" if "zerostart.serving.modelling" in child.cmdline() else "decoder"
        found[kind] = max(found.get(kind, 0.0), child.memory_info().rss / 1e6)
    return found


if __name__ == "__main__":
    bare_rate = bare()
    with tempfile.TemporaryDirectory() as folder:
        first, client, exported = start(folder)
        first.terminate()
        first.wait()
        process, client, started = start(folder)
        try:
            load(client, 4, ALONE, 16)
            loads = {str(clients): load(client, clients, ALONE) for clients in CLIENTS}
            everything = load(client, 4, {"engine": "both"}, 32)
            one, six = (load(client, 1, ALONE | {"tiling": tiling}, 32) for tiling in ("1", "6"))
            used = memory(process)
        finally:
            process.terminate()
            process.wait()
    best = max(one_load["pictures_per_s"] for one_load in loads.values())
    report(
        "serving",
        f"{best:.1f} pictures/s, {best / bare_rate:.2f} times the bare detector's {bare_rate:.1f}; ready in {started:.1f} s"
        f" ({exported:.1f} s when the graphs are written first); six views take {six['p50_ms'] / one['p50_ms']:.1f} times as"
        f" long as one; {used['model']:.0f} MB with the models, {used['http']:.0f} MB for HTTP",
        bare_pictures_per_s=bare_rate,
        ratio=best / bare_rate,
        clients=loads,
        everything=everything,
        six_views=six["p50_ms"] / one["p50_ms"],
        start_s=started,
        start_with_export_s=exported,
        memory_mb=used,
    )
