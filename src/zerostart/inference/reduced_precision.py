"""Exported ONNX graphs in FP16 and INT8: smaller, and faster where the hardware has units for them."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from torch import Tensor

QUANTISED = ("/conv_encoder/", "/model/encoder/")
"""Parts of the detector (by the names of their nodes) that become INT8. The decoder stays in
float32: its boxes are sums of small corrections."""


def to_float16(path: Path) -> None:
    """Replace the graph by one that computes the detector in FP16.

    Fusion, merging and ranking stay in float32: the squared norm of a projected query leaves the range of FP16, and equal
    scores would lose their order.
    """
    model = onnx.load(path)
    kept = [node.name for node in model.graph.node if not node.name.startswith(("/detector/", "Identity"))]
    model = convert_float_to_float16(model, keep_io_types=True, node_block_list=kept)
    # The converter writes the cast of a tensor once for every node that reads it, always under one name.
    first = {node.name: index for index, node in reversed(list(enumerate(model.graph.node)))}
    distinct = [node for index, node in enumerate(model.graph.node) if first[node.name] == index]
    del model.graph.node[:]
    model.graph.node.extend(distinct)
    OnnxModel(model).topological_sort()
    onnx.save(model, path)


def to_int8(path: Path, images: Iterator[Tensor]) -> None:
    """Replace the graph by one whose backbone and encoder compute in INT8 (QDQ, weights per channel).

    images: uint8 batches from which the activations' ranges are taken.
    """
    logging.getLogger().setLevel(logging.ERROR)  # it advises pre-processing that was done
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        names = [node.name for node in onnx.load(prepared).graph.node if any(part in node.name for part in QUANTISED)]
        quantize_static(
            prepared,
            path,
            _Images(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul"],
            nodes_to_quantize=names,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )


class _Images(CalibrationDataReader):
    def __init__(self, batches: Iterator[Tensor]):
        self.batches = batches

    def get_next(self) -> dict | None:
        batch = next(self.batches, None)
        return None if batch is None else {"pixels": batch.numpy()}
