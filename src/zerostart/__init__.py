"""Zero-Start: refine the class logits of a frozen DEIMv2 detector with language, and test whether it helps.

from zerostart import RefinedDetector, Tagger
"""

import os
import sys
from importlib import import_module
from typing import Any

from zerostart.kernels import pin_kernels

if getattr(sys, "argv", [])[:1] == ["-m"]:  # a command or stage, and its own imports are to come
    from zerostart.interruptions import end_at_once

    end_at_once()
pin_kernels()
if "DVC_STAGE" in os.environ:
    from zerostart.interruptions import end_with_dvc

    end_with_dvc()

PUBLIC = {"RefinedDetector": "zerostart.inference.refined_detector", "Tagger": "zerostart.tagging.answer.tagger"}
"""What is used from Python, and where it is defined; loaded when it is asked for, as it brings PyTorch."""


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'zerostart' has no attribute '{name}'")
    return getattr(import_module(PUBLIC[name]), name)
