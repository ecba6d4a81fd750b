"""The refined detector as one ONNX graph, from pixels to detections."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.onnx import symbolic_helper
from torchvision.ops import box_convert

from zerostart.inference.detections import top_pairs
from zerostart.inference.refined_detector import RefinedDetector, Seen

OPSET = 18
"""The first one whose ScatterElements takes a maximum."""
OUTPUTS = ("boxes", "scores", "labels")


class Graph(nn.Module):
    """uint8 pixels B×3×S×S to boxes B×n×4 (x1, y1, x2, y2 as fractions of the image), scores B×n and labels B×n (int64).

    n = min(300, Q·K) pairs of a query and a class by descending score, as DEIMv2's post-processor gives them.
    """

    def __init__(self, detector: RefinedDetector):
        super().__init__()
        self.refined = detector.folded()
        self.eval()  # the tracer puts it back into the mode that it was in, with all its parts

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.ranked(self.refined.look(pixels))

    def ranked(self, seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs, by what images give."""
        query, score, label = top_pairs(seen.scores)
        boxes = box_convert(seen.boxes, "cxcywh", "xyxy").clamp(0, 1)
        return boxes.gather(1, query.unsqueeze(2).expand(-1, -1, 4)), score, label


def write_onnx(graph: Graph, path: Path, outputs: Sequence[str] = OUTPUTS) -> None:
    """Write the graph in float32 with a dynamic batch, and what a user must know of it as metadata.

    outputs: the names of what it returns.

    torch's tracer writes it, not the exporter behind torch.export: with torch 2.14 that one takes 14 times as long for this
    detector, and onnxruntime refuses the graph that it writes.
    """
    size = graph.refined.image_size
    pixels = torch.zeros(2, 3, size, size, dtype=torch.uint8)  # two images: with one the tracer would fix the batch
    torch.onnx.register_custom_op_symbolic("aten::scatter_reduce", _scatter_reduce, OPSET)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # about shapes that are constants here
            torch.onnx.export(
                graph,
                (pixels,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=["pixels"],
                output_names=list(outputs),
                dynamic_axes={name: {0: "batch"} for name in ("pixels", *outputs)},
            )
    finally:
        torch.onnx.unregister_custom_op_symbolic("aten::scatter_reduce", OPSET)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"zerostart": json.dumps(metadata(graph.refined), sort_keys=True)})
    onnx.save(model, path)


def _scatter_reduce(g: Any, tensor: Any, dim: Any, index: Any, source: Any, _reduce: Any, _include_self: Any) -> Any:
    """The one that is used, `amax`; the tracer's own has a branch for scalars, whose shapes onnxruntime cannot infer."""
    axis = symbolic_helper._get_const(dim, "i", "dim")
    return g.op("ScatterElements", tensor, index, source, axis_i=axis, reduction_s="max").setType(tensor.type())


def metadata(detector: RefinedDetector) -> dict:
    """What a user of the graph alone must know: `Settings` of the detector, and how pixels and outputs are to be read."""
    size = detector.image_size
    return detector.settings.model_dump(mode="json") | {
        "input": f"pixels: uint8 Bx3x{size}x{size}, RGB, 0 to 255; resized bilinearly with antialiasing (Pillow), without"
        " keeping the aspect ratio",
        "image_size": size,
        "outputs": "boxes: x1, y1, x2, y2 as fractions of the image; scores; labels: index of the class; by descending score",
    }
