"""Drawings have the same bytes under all of NumPy's and OpenBLAS' kernels that this machine can run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zerostart.kernels import NUMPY_FEATURES, processor_flags

ROOT = Path(__file__).parents[1]
PYTHONPATH = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
AVX512 = " ".join(name for name, flag in NUMPY_FEATURES.items() if flag in processor_flags())
KERNELS = {
    "AVX-512": {"NPY_DISABLE_CPU_FEATURES": "", "OPENBLAS_CORETYPE": "SkylakeX"},
    "AVX2": {"NPY_DISABLE_CPU_FEATURES": AVX512, "OPENBLAS_CORETYPE": "Haswell"},
    "baseline": {"NPY_DISABLE_CPU_FEATURES": f"X86_V3 {AVX512}", "OPENBLAS_CORETYPE": "Nehalem"},
}
# The images named by number are those of which a pixel changed with the kernels when they were drawn in float32.
DRAW = """
import hashlib
import numpy as np
from zerostart.retrieval.drawn.photos import render_photo
from zerostart.drawing.synthetic import image_rng, render_image
from zerostart.tagging.drawn.scenes import academic_picture, scene
from zerostart.tagging.drawn.shapes import SHAPES

found = [render_image(image_rng(0, index)) for index in (0, 1, 2, 3, 241, 335, 385, 447, 598, 612)]
found += [render_photo(1 + index % 10, True, image_rng(0, index)) for index in (0, 4, 5, 6, 48)]
found += [(academic_picture(name, image_rng(1, index)), []) for index, name in enumerate(SHAPES)]
found += [scene(image_rng(1, index)) for index in range(6)]
for pixels, objects in found:
    # Corners of an outline are compared as they are written: to a tenth of a pixel.
    print(hashlib.sha256(pixels.tobytes()).hexdigest(), [(name, np.round(shape, 1).tolist()) for name, shape in objects])
"""


def drawn(kernels: dict[str, str]) -> str:
    environment = os.environ | kernels | {"ZEROSTART_KERNELS": "native", "PYTHONPATH": PYTHONPATH}
    done = subprocess.run([sys.executable, "-c", DRAW], env=environment, stdout=subprocess.PIPE, encoding="utf-8")
    assert done.returncode == 0
    return done.stdout


@pytest.mark.skipif("avx2" not in processor_flags(), reason="NumPy has one set of kernels for this processor")
def test_a_drawing_is_the_same_under_all_kernels():
    machines = [name for name in KERNELS if name != "AVX-512" or AVX512]
    found = {name: drawn(KERNELS[name]) for name in machines}
    assert len(set(found.values())) == 1
