"""The shipped parameters and made-up cases for the tests of the retrieval pipeline."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from zerostart.retrieval.crops.cutting import SCHEMA
from zerostart.retrieval.index.case_index import CaseIndex, build_vectors
from zerostart.retrieval.params import RetrievalParams, load_retrieval_params

ROOT = Path(__file__).parents[2]


def load() -> RetrievalParams:
    return load_retrieval_params(ROOT / "pipelines/retrieval/params.yaml")


def case(number: int, **changes) -> dict:
    row = dict.fromkeys(("left", "top", "width", "height"), 0) | {"right": 448, "bottom": 448, "spread": 0.0}
    row |= {"crop_id": f"{number:05d}-0", "source": f"{number}.jpg", "split": "record", "crop_type": "clean"}
    row |= {"vehicle_zone": "rear_bumper", "area": "posterior", "level": "top", "has_damage": False}
    return row | {"damage_types": [], "damage_counts": [], "severity": "unknown"} | changes


def damaged(number: int, *types: str, **changes) -> dict:
    return case(number, crop_type="damage", has_damage=True, damage_types=list(types), damage_counts=[1] * len(types)) | changes


def cases_table(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA).append_column("context", [[f"Case {i}." for i in range(len(rows))]])


def unit_rows(count: int, dimension: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_index(vectors: np.ndarray, rows: list[dict] | None = None, **changes) -> CaseIndex:
    params = load().index.model_copy(update=changes)
    table = cases_table(rows or [case(i) for i in range(len(vectors))])
    about = {"embedder": "adapter", "pictures": "crops", "mix": {}}
    return CaseIndex(build_vectors(vectors, params), table, unit_rows(2, vectors.shape[1], 9), params, about)
