"""Search time, memory and recall of the case index on random unit vectors: `python bench/retrieval_search.py [N ...]`.

Random vectors in 1,024 dimensions are the worst case for a graph (all are nearly equally far apart): recall on real
embeddings is what `make retrieval` measures. Times are of single queries on one thread.
"""

import resource
import sys
import time

import faiss
import numpy as np
import pyarrow as pa

from zerostart.retrieval.case_index import CaseIndex, build_vectors
from zerostart.retrieval.params import IndexParams

DIMENSION, QUERIES, K = 1024, 100, 10
SHARES = (None, 0.5, 0.1, 0.01)
"""Of the cases that a filter allows."""
PARAMS = IndexParams(kind="hnsw", m=32, ef_construction=200, ef_search=64, exact_below=10000)


def unit_rows(count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def milliseconds(search, queries: np.ndarray) -> np.ndarray:
    """Of one call per query, the first ones left out."""
    times = []
    for query in queries:
        started = time.perf_counter()
        search(query[None])
        times.append(1e3 * (time.perf_counter() - started))
    return np.array(times[5:])


def main(counts: list[int]) -> None:
    faiss.omp_set_num_threads(1)
    queries = unit_rows(QUERIES, 1)
    print("vectors  build s  peak MB  allowed  p50 ms  p95 ms  exact p50 ms  exact/p50  recall@10")
    for count in counts:
        vectors, started = unit_rows(count, 0), time.perf_counter()
        index = CaseIndex(build_vectors(vectors, PARAMS), pa.table({"id": np.arange(count)}), queries[:2], PARAMS, {})
        built = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        for share in SHARES:
            allowed = None if share is None else np.random.default_rng(2).random(count) < share
            times = milliseconds(lambda query, a=allowed, i=index: i.search(query, K, a), queries)
            exact = milliseconds(lambda query, a=allowed, i=index: i.exact(query, K, a), queries)
            found, truth = index.search(queries, K, allowed)[0], index.exact(queries, K, allowed)
            recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(found.tolist(), truth.tolist(), strict=True)])
            p50, p95 = np.percentile(times, (50, 95))
            name = "all" if share is None else f"{share:.0%}"
            print(
                f"{count:7d} {built:8.1f} {peak:8.0f} {name:>8} {p50:7.2f} {p95:7.2f} {np.median(exact):13.2f}"
                f" {np.median(exact) / p50:10.1f} {recall:10.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [2500, 10_000, 100_000])
