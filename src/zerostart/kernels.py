"""The same arithmetic on every x86-64 processor with AVX2: chosen once, before NumPy and PyTorch are loaded.

Libraries pick their kernels by what they find: the newest instructions, the maker of the processor, the number of cores. Each
pick sums in another order and rounds otherwise. What they read is their environment, and they read it when they are loaded, so
`import zerostart` sets it first; child processes inherit it. `ZEROSTART_KERNELS=native` leaves everything to the libraries.
"""

import os
import platform
import sys
from collections.abc import Collection, Mapping, MutableMapping
from pathlib import Path

SWITCH = "ZEROSTART_KERNELS"
"""`native` switches the pins off; nothing or `pinned` leaves them on."""

PINS = {
    # PyTorch's own loops (sums, softmax, activations): compiled three times, and taken on its word, even where it cannot run.
    "ATEN_CPU_CAPABILITY": "avx2",
    # oneDNN, which does PyTorch's convolutions: at most these instructions.
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # MKL, which does PyTorch's matrix products, exp and log. AVX2 here is honoured on Intel only; elsewhere MKL silently takes
    # AUTO, other kernels than Intel's. COMPATIBLE is the one branch that is the same on both, at SSE2's speed.
    "MKL_CBWR": "COMPATIBLE",
    # OpenBLAS, one copy each inside NumPy, SciPy and FAISS: kernels by name of the processor, and sums cut by threads.
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    # FAISS: distances, and with them the graph of an index.
    "FAISS_SIMD_LEVEL": "AVX2",
}
"""What the libraries read, and what they are told."""

NUMPY_FEATURES = {"X86_V4": "avx512vl", "AVX512_ICL": "avx512_bitalg", "AVX512_SPR": "avx512_fp16"}
"""NumPy's names of what comes above AVX2, and the processor's own name of one instruction set in each. NumPy complains when
it is told to leave out what the processor has not got."""

LIBRARIES = ("numpy", "torch", "faiss")
"""Once one of these is loaded, it has chosen."""


def pin_kernels() -> None:
    """Set the environment of this process and its children, unless that is unwanted, impossible or too late.

    Too late is when NumPy, PyTorch or FAISS is loaded: then nothing is changed, for half-pinned is no promise either.
    """
    wanted = os.environ.get(SWITCH) or "pinned"
    if wanted not in ("pinned", "native"):
        raise SystemExit(f"{SWITCH} is '{wanted}'; 'native', 'pinned' or nothing is expected")
    if wanted == "pinned" and not any(name in sys.modules for name in LIBRARIES):
        apply(os.environ, processor_flags())


def apply(environment: MutableMapping[str, str], flags: Collection[str]) -> None:
    """Add the pins to an environment if the processor has what they ask for; its own values of these variables give way."""
    if pinnable(flags):
        environment.update(PINS, NPY_DISABLE_CPU_FEATURES=" ".join(n for n, flag in NUMPY_FEATURES.items() if flag in flags))


def pinnable(flags: Collection[str]) -> bool:
    """Whether a processor has AVX2 and fused multiplication, which the pinned kernels use; all with AVX2 have both."""
    return {"avx2", "fma"} <= set(flags)


def pinned(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the pins are set in an environment."""
    return all(environment.get(name) == value for name, value in PINS.items())


def processor_flags() -> frozenset[str]:
    """Instruction sets of an x86-64 processor as Linux names them; none where that cannot be known, and on others."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return frozenset()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").partition(":")[2].split())
