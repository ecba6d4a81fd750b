"""Search time, memory and recall of the case index on random unit vectors: `python bench/retrieval_search.py [N ...]`.

Random vectors in 1,024 dimensions are the worst case for a graph (all are nearly equally far apart): recall on real
embeddings is what `make retrieval` measures. Times are of single queries on one thread; the time of a filter includes finding
the cases that pass it. `--flat`: without a graph, for sizes where building one takes too long.
"""

import sys
import time
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from report import report

from zerostart.retrieval.index.case_index import CaseIndex, build_vectors
from zerostart.retrieval.index.filters import Filters, allowed_cases
from zerostart.retrieval.params import IndexParams
from zerostart.retrieval.vocabulary import DAMAGE_TYPES, ZONES

DIMENSION, QUERIES, K = 1024, 50, 10
FILTERS: dict[str, Filters | None] = {
    "no filter": None,
    "damaged (half)": {"has_damage": True},
    "one zone (a tenth)": {"vehicle_zone": 5},
    "one zone and type (a hundredth)": {"vehicle_zone": 5, "damage_type": "dent"},
}


def unit_rows(count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def random_cases(count: int) -> pa.Table:
    rng = np.random.default_rng(3)
    types = np.array(DAMAGE_TYPES)[rng.integers(len(DAMAGE_TYPES), size=count)]
    return pa.table(
        {
            "vehicle_zone": np.array(list(ZONES.values()))[rng.integers(len(ZONES), size=count)],
            "has_damage": rng.random(count) < 0.5,
            "damage_types": pa.array(types[:, None].tolist(), pa.list_(pa.string())),
        }
    )


def median_ms(search, queries: np.ndarray) -> float:
    """Of one call per query, the first ones left out."""
    times = []
    for query in queries:
        started = time.perf_counter()
        search(query[None])
        times.append(1e3 * (time.perf_counter() - started))
    return round(float(np.median(times[5:])), 2)


def measure(index: CaseIndex, filters: Filters | None, queries: np.ndarray) -> dict[str, float]:
    def allowed() -> np.ndarray | None:
        return allowed_cases(index.cases, filters) if filters else None

    found, truth = index.search(queries, K, allowed())[0], index.exact(queries, K, allowed())
    recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(found.tolist(), truth.tolist(), strict=True)])
    p50 = median_ms(lambda query: index.search(query, K, allowed()), queries)
    exact = median_ms(lambda query: index.exact(query, K, allowed()), queries)
    return {"p50_ms": p50, "exact_p50_ms": exact, "exact_over_p50": round(exact / p50, 2), "recall_at_10": round(recall, 3)}


def main(count: int, kind: str) -> None:
    params = IndexParams(kind=kind, m=32, ef_construction=200, ef_search=64, exact_below=10000)
    queries, started = unit_rows(QUERIES, 1), time.perf_counter()
    vectors = build_vectors(unit_rows(count, 0), params)
    built = time.perf_counter() - started
    megabytes = len(faiss.serialize_index(vectors)) / 1e6 if count <= 100_000 else count * DIMENSION * 4 / 1e6
    index = CaseIndex(vectors, random_cases(count), queries[:2], params, {})
    rows: dict[str, Any] = {name: measure(index, filters, queries) for name, filters in FILTERS.items()}
    plain = rows["no filter"]
    report(
        f"retrieval_search_{kind}_{count}",
        f"{count:,} vectors ({kind}, {megabytes:,.0f} MB): p50 {plain['p50_ms']} ms, {plain['exact_over_p50']} times as fast as"
        f" exact search, recall@10 {plain['recall_at_10']}; filtered "
        + ", ".join(f"{row['p50_ms']} ms" for name, row in rows.items() if name != "no filter"),
        vectors=count,
        kind=kind,
        megabytes=round(megabytes, 1),
        build_seconds=round(built, 1),
        filters=rows,
    )


if __name__ == "__main__":
    faiss.omp_set_num_threads(1)
    sizes = [int(argument) for argument in sys.argv[1:] if argument != "--flat"]
    for size in sizes or [2500, 10_000]:
        main(size, "flat" if "--flat" in sys.argv else "hnsw")
