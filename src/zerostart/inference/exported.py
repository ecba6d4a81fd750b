"""Run what `zerostart.export` wrote through its own runtime: onnxruntime, OpenVINO, or torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import openvino
import torch

from zerostart.errors import InputError
from zerostart.inference.export_graph import OUTPUTS, Graph, metadata
from zerostart.inference.refined_detector import RefinedDetector
from zerostart.records import parse_json

FILES = {"onnx": "model.onnx", "openvino": "model.xml", "safetensors": "refined.json"}
"""The file by which the folder of each format is known."""
Run = Callable[[np.ndarray], list[np.ndarray]]


class Exported(NamedTuple):
    """An exported detector."""

    metadata: dict[str, Any]
    """See :func:`zerostart.inference.export_graph.metadata`."""
    run: Run
    """uint8 pixels (B×3×S×S) to boxes (B×n×4), scores (B×n) and labels (B×n)."""


def open_export(folder: str | Path, threads: int = 0) -> Exported:
    """Open a folder of any format. threads: of the runtime, 0 for its own choice.

    Raises InputError when it is not an export of zerostart or cannot be read.
    """
    folder = Path(folder)
    kind = next((kind for kind, name in FILES.items() if (folder / name).is_file()), None)
    if kind is None:
        raise InputError(
            f"{folder}: no {', '.join(FILES.values())} there; a folder of `python -m zerostart.export` is expected"
        )
    if kind == "safetensors":
        return _open_eager(folder)
    path = folder / FILES[kind]
    try:
        exported = (_open_onnx if kind == "onnx" else _open_openvino)(path, threads)
    except InputError:
        raise
    except (RuntimeError, ValueError, KeyError) as error:  # both runtimes raise RuntimeErrors for a damaged file
        raise InputError(f"{path}: not a readable export of zerostart ({type(error).__name__})") from None
    return exported


def _about(text: str, path: Path) -> dict[str, Any]:
    """The metadata of :func:`zerostart.inference.export_graph.metadata`, as far as we rely on them."""
    about = parse_json(text, path)
    kinds = {"image_size": int, "classes": list}
    if not isinstance(about, dict) or not all(isinstance(about.get(key), kind) for key, kind in kinds.items()):
        raise InputError(f"{path}: not an export of zerostart: its metadata have no image_size and classes")
    return about


def _check_side(sides: list[Any], about: dict[str, Any], path: Path) -> None:
    if any(side != about["image_size"] for side in sides):
        raise InputError(f"{path}: its input is {sides} pixels, but its metadata say {about['image_size']}")


def _open_onnx(path: Path, threads: int) -> Exported:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    available = onnxruntime.get_available_providers()
    providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its exceptions have no common class
        raise ValueError(str(error)) from None
    about = _about(session.get_modelmeta().custom_metadata_map["zerostart"], path)
    pixels, *others = session.get_inputs()
    outputs = {output.name for output in session.get_outputs()}
    if others or (pixels.name, pixels.type) != ("pixels", "tensor(uint8)") or not outputs.issuperset(OUTPUTS):
        raise InputError(f"{path}: not an export of zerostart: from `pixels` of uint8 to {', '.join(OUTPUTS)} is expected")
    _check_side(pixels.shape[2:], about, path)
    return Exported(about, lambda pixels: session.run(list(OUTPUTS), {"pixels": pixels}))


def _open_openvino(path: Path, threads: int) -> Exported:
    core = openvino.Core()
    model = core.read_model(path)
    about = _about(model.get_rt_info("zerostart").astype(str), path)
    shape = model.input("pixels").get_partial_shape()
    _check_side([size.get_length() if size.is_static else None for size in list(shape)[2:]], about, path)
    # On CPUs with bfloat16 or float16 units the default would compute in less than the file's precision.
    options = {"INFERENCE_PRECISION_HINT": "f32"} | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
    request = core.compile_model(model, "CPU", options).create_infer_request()

    def run(pixels: np.ndarray) -> list[np.ndarray]:
        results = request.infer({"pixels": pixels})
        return [np.array(results[name]) for name in OUTPUTS]

    return Exported(about, run)


def _open_eager(folder: Path) -> Exported:
    detector = RefinedDetector.from_pretrained(folder)
    graph = Graph(detector)

    @torch.inference_mode()
    def run(pixels: np.ndarray) -> list[np.ndarray]:
        return [tensor.numpy() for tensor in graph(torch.from_numpy(pixels))]

    return Exported(metadata(detector), run)
