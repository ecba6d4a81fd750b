"""What the refinement costs: baseline against refined, eager and exported, latency of one image and throughput of eight."""

import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from report import report

from zerostart.detector.model import look
from zerostart.detector.pixels import pixel_values
from zerostart.export import batches
from zerostart.inference.assembly import load_checkpoint
from zerostart.inference.export_graph import Graph, write_onnx
from zerostart.inference.exported import FILES, open_export
from zerostart.inference.refined_detector import RefinedDetector

REPEATS, BATCH = 15, 8

torch.set_num_threads(1)
refined = load_checkpoint(None)
images = torch.cat(list(batches("val", refined, BATCH)))


def with_flips(test_flips: str) -> RefinedDetector:
    detector = copy.copy(refined)
    detector.settings = refined.settings.model_copy(update={"test_flips": test_flips})
    return detector


class BaselineGraph(Graph):
    """The frozen detector's own look, one pass and nothing added, ranked in the same way."""

    def __init__(self, detector: RefinedDetector):
        super().__init__(detector)
        self.refined.look = detector.look_as_baseline


def onnx_run(graph: Graph, folder: Path) -> Callable[[torch.Tensor], Any]:
    folder.mkdir()
    write_onnx(graph, folder / FILES["onnx"])
    run = open_export(folder, threads=1).run
    return lambda pixels: run(pixels.numpy())


@torch.inference_mode()
def medians(ways: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median seconds of every way, in turns, so that a busy moment of the machine meets all."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(REPEATS + 2):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


graphs = {
    "baseline": BaselineGraph(with_flips("none")),
    "refined": Graph(with_flips("none")),
    "refined with mirror images": Graph(with_flips("all")),
}
numbers: dict[str, dict[str, float]] = {}
with tempfile.TemporaryDirectory() as folder:
    runs = {f"{name}, eager": graph for name, graph in graphs.items()}
    runs |= {f"{name}, onnx": onnx_run(graph, Path(folder) / name) for name, graph in graphs.items()}
    for count in (1, BATCH):
        for name, value in medians({name: partial(run, images[:count]) for name, run in runs.items()}).items():
            key = "milliseconds for one image" if count == 1 else f"images per second at batch {BATCH}"
            numbers.setdefault(name, {})[key] = 1000 * value if count == 1 else count / value

# The fusion alone: from query features and base logits to refined logits, against the detector's forward on the same images.
with torch.inference_mode():
    values = pixel_values(images)
    seen = look(refined.detector, pixel_values=values)
    folded = refined.folded().fusion
parts = medians(
    {
        "detector": lambda: refined.detector(pixel_values=values),
        "fusion": lambda: folded(seen["hidden"], seen["logits"]),
    }
)
share = parts["fusion"] / parts["detector"]
base, plain, flips = (numbers[f"{name}, onnx"]["milliseconds for one image"] for name in graphs)
report(
    "latency",
    f"the fusion takes {100 * share:.2f} % of the detector's forward; an image takes {base:.1f} ms as the baseline,"
    f" {plain:.1f} ms refined and {flips:.1f} ms with three mirror images (ONNX, one thread)",
    fusion_share=share,
    dataset=refined.settings.dataset,
    threads=1,
    ways=numbers,
)
