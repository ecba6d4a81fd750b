"""The refined detector and its baseline as ONNX graphs that give every query with what explains it."""

import time
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from zerostart.errors import InputError
from zerostart.inference.detections import Detections, DetectorName
from zerostart.inference.refined_detector import RefinedDetector, Seen, Settings, detections_of
from zerostart.outputs import stage_folder
from zerostart.serving.options import ENGINES

MOST_AT_ONCE = 16
WRITING = 120.0
"""Seconds to wait for another server that writes the same graphs."""


class Detector(Protocol):
    """What looks at pictures here: a :class:`RefinedDetector`, or its graphs."""

    settings: Settings

    @property
    def image_size(self) -> int: ...

    def find(self, pixels: Tensor, threshold: float, which: DetectorName) -> list[Detections]: ...


def _write(detector: RefinedDetector, folder: Path) -> None:
    from zerostart.serving.graph_writing import write_graphs  # seconds of imports, which are needed once

    with stage_folder(folder) as temporary:
        write_graphs(detector, temporary)


class OnnxDetector:
    """Finds what the :class:`RefinedDetector` does that it was made of."""

    def __init__(self, detector: RefinedDetector, cache: Path, name: str, threads: int = 0):
        """Open its graphs, or write them first: into cache/name, where `name` tells one detector from all others.

        threads: of onnxruntime, 0 for its own choice.
        """
        self.settings, self.image_size = detector.settings, detector.image_size
        folder = cache / name
        until = time.monotonic() + WRITING
        while not folder.is_dir():
            try:
                _write(detector, folder)
            except InputError:  # another server of the same store is writing them
                if time.monotonic() > until:
                    raise
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        providers = ["CPUExecutionProvider"]
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the other processes need the cores as well
        self._sessions = {
            which: onnxruntime.InferenceSession(str(folder / f"{which}.onnx"), options, providers=providers)
            for which in ENGINES["both"]
        }

    def find(self, pixels: Tensor, threshold: float, which: DetectorName) -> list[Detections]:
        """As :meth:`RefinedDetector.find`."""
        given = {"pixels": np.ascontiguousarray(pixels.numpy())}
        seen = Seen(*map(torch.from_numpy, self._sessions[which].run(list(Seen._fields), given)))
        return detections_of(seen, threshold)
