"""Write the graphs that :mod:`zerostart.serving.graphs` runs."""

from pathlib import Path

from torch import Tensor

from zerostart.inference.detections import DetectorName
from zerostart.inference.export_graph import Graph, write_onnx
from zerostart.inference.refined_detector import RefinedDetector, Seen
from zerostart.serving.options import ENGINES


class _AllQueries(Graph):
    """uint8 pixels B×3×S×S to all that one of the two detectors sees; see `Seen`."""

    def __init__(self, detector: RefinedDetector, which: DetectorName):
        super().__init__(detector)
        self.which = which

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.refined.look(pixels) if self.which == "refined" else self.refined.look_as_baseline(pixels))


def write_graphs(detector: RefinedDetector, folder: Path) -> None:
    """One graph for each engine into a folder."""
    for which in ENGINES["both"]:
        write_onnx(_AllQueries(detector, which), folder / f"{which}.onnx", Seen._fields)
