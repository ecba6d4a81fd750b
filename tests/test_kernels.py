"""The pins: what the libraries make of them, and the same bytes from all stages whatever a machine would have chosen."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zerostart.kernels import NUMPY_FEATURES, PINS, SWITCH, apply, pinnable, pinned, processor_flags

ROOT = Path(__file__).parents[1]
AVX2 = {"sse2", "avx2", "fma"}
VARIABLES = {*PINS, "NPY_DISABLE_CPU_FEATURES", "OMP_NUM_THREADS", SWITCH}
needs_avx2 = pytest.mark.skipif(not pinnable(processor_flags()), reason="there is nothing to pin without AVX2")

NEWEST = {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "ALL", "MKL_CBWR": "AUTO", "OPENBLAS_CORETYPE": "SkylakeX"}
OLDEST = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "AUTO", "OPENBLAS_CORETYPE": "Nehalem"}
OLDEST |= {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL"}
MACHINES = {
    "as it is": {},
    "newest, one thread": NEWEST | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "oldest, three threads": OLDEST | {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"},
    "oldest, not pinned": OLDEST | {SWITCH: "native"},
}
"""What the libraries of a machine would choose, as the variables that make them choose it."""
NO_FLOATING_POINT = {"drawn", "dataset", "prompts", "baseline", "retrieval/crops", "retrieval/contexts", "tagging/images"}
"""Stages whose bytes need no pins: drawings are rounded from float64, the others copy, count and cut."""


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess:
    """A process of its own, with no pin inherited from this one."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    inherited["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *arguments], env=inherited | environment, cwd=ROOT, capture_output=True, encoding="utf-8"
    )


def printed(code: str, **environment: str) -> str:
    done = run(["-c", code], **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


LIBRARIES = """
import zerostart, json, torch, scipy.linalg, threadpoolctl
from numpy._core._multiarray_umath import __cpu_features__ as features
blas = [(i["architecture"], i["num_threads"]) for i in threadpoolctl.threadpool_info() if i["internal_api"] == "openblas"]
print(json.dumps([torch.backends.cpu.get_cpu_capability(), features["X86_V4"], blas]))
"""


@needs_avx2
@pytest.mark.parametrize("machine", [NEWEST, OLDEST])
def test_libraries_do_as_they_are_told_whatever_the_environment_said(machine):
    capability, numpy_avx512, blas = json.loads(printed(LIBRARIES, **machine))
    assert (capability, numpy_avx512) == ("AVX2", False)
    assert blas == [["Haswell", 1]] * 2  # NumPy's and SciPy's


@needs_avx2
def test_mkl_takes_the_branch_that_is_the_same_on_intel_and_amd():
    said = printed("import zerostart, torch; torch.ones(8, 8) @ torch.ones(8, 8)", MKL_VERBOSE="1")
    assert "CNR:COMPATIBLE" in said


@pytest.mark.parametrize("code", ["import numpy, zerostart", "import sys; sys.modules['torch'] = sys; import zerostart"])
def test_too_late_or_not_wanted_changes_nothing(code):
    show = "; import os; print([name for name in os.environ if name in ('MKL_CBWR', 'ATEN_CPU_CAPABILITY')])"
    assert printed(code + show) == "[]"
    assert printed("import zerostart" + show, **{SWITCH: "native"}) == "[]"


def test_an_unknown_value_of_the_switch_is_refused_in_a_sentence():
    done = run(["-c", "import zerostart"], **{SWITCH: "nativ"})
    assert (done.returncode, done.stderr) == (1, f"{SWITCH} is 'nativ'; 'native', 'pinned' or nothing is expected\n")


def test_importing_zerostart_loads_no_library():
    assert printed("import zerostart, sys; print([m for m in ('numpy', 'torch', 'psutil') if m in sys.modules])") == "[]"


def test_only_what_a_processor_has_is_pinned_and_left_out():
    nothing, plain, newest = {"HOME": "/"}, {}, {"MKL_CBWR": "AUTO"}
    apply(nothing, {"sse2", "avx"})
    assert nothing == {"HOME": "/"} and not pinned(nothing)  # PyTorch would run AVX2 there, and crash
    apply(plain, AVX2)
    assert plain == PINS | {"NPY_DISABLE_CPU_FEATURES": ""} and pinned(plain)
    apply(newest, AVX2 | {"avx512vl", "avx512_bitalg"})
    assert newest == PINS | {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL"}


def test_every_library_has_its_pin():
    """What each was found to read; one less, and its sums follow the processor again."""
    assert PINS == {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Haswell",
        "OPENBLAS_NUM_THREADS": "1",
        "FAISS_SIMD_LEVEL": "AVX2",
    }


@needs_avx2
def test_numpy_knows_the_features_by_these_names():
    features = "from numpy._core._multiarray_umath import __cpu_features__ as features; print(json.dumps(features))"
    known = json.loads(printed(f"import json; {features}"))
    assert set(NUMPY_FEATURES) <= set(known)
    assert {name for name, has in known.items() if has} & set(NUMPY_FEATURES) == {
        name for name, flag in NUMPY_FEATURES.items() if flag in processor_flags()
    }


@pytest.fixture(scope="module")
def hashes(tmp_path_factory) -> dict[str, dict[str, str]]:
    """Machine -> stage -> hash of its output; two machines at a time."""

    def sample(environment: dict[str, str]) -> dict[str, str]:
        done = run(["tests/samples/kernel_sample.py", str(tmp_path_factory.mktemp("sample"))], **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(MACHINES, pool.map(sample, MACHINES.values()), strict=True))


@needs_avx2
@pytest.mark.parametrize("machine", ["newest, one thread", "oldest, three threads"])
def test_one_set_of_hashes_on_all_machines(hashes, machine):
    assert hashes[machine] == hashes["as it is"]


def test_drawings_and_what_is_cut_from_them_need_no_pins(hashes):
    free, pinned_down = hashes["oldest, not pinned"], hashes["as it is"]
    assert {stage: free[stage] for stage in NO_FLOATING_POINT} == {stage: pinned_down[stage] for stage in NO_FLOATING_POINT}


@needs_avx2
def test_without_pins_the_bytes_would_differ(hashes):
    free, pinned_down = hashes["oldest, not pinned"], hashes["as it is"]
    assert {stage for stage in free if free[stage] != pinned_down[stage]} >= {"features", "warmup", "tagging/base"}
