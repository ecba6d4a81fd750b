"""The cases on record: vectors in a FAISS index, their metadata and their configuration, written and opened together.

HNSW: Malkov and Yashunin 2018, arXiv 1603.09320. Similarity is the inner product of unit vectors, the cosine.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from zerostart.errors import InputError
from zerostart.outputs import stage_folder, write_array, write_json
from zerostart.records import read_json
from zerostart.retrieval.params import IndexParams
from zerostart.retrieval.tables import read_table, write_table

VECTORS, CASES, PROBE, CONFIG = "vectors.faiss", "cases.parquet", "probe.npy", "config.json"
ABOUT = ("embedder", "pictures", "mix")


def build_vectors(vectors: np.ndarray, params: IndexParams) -> faiss.Index:
    """A FAISS index over unit rows (N×D float32); built by one thread, its bytes depend on the vectors alone."""
    dimension = vectors.shape[1]
    if params.kind == "flat":
        index = faiss.IndexFlatIP(dimension)
    else:
        index = faiss.IndexHNSWFlat(dimension, params.m, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = params.ef_construction
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index.add(np.ascontiguousarray(vectors, np.float32))
    finally:
        faiss.omp_set_num_threads(threads)
    return index


@dataclass(frozen=True)
class CaseIndex:
    """N cases that can be searched."""

    vectors: faiss.Index
    cases: pa.Table
    """N rows: the table of crops with their contexts."""
    probe: np.ndarray
    """2×D: what the embedder makes of a fixed picture and a fixed sentence, to know it again."""
    params: IndexParams
    about: dict[str, Any]
    """embedder, pictures (folder of the crops) and mix, as in the parameters."""

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the nearest cases and their cosine distances (both n×k) for unit queries n×D, nearest first.

        `allowed` (N bool) is applied inside the search. Row -1 with distance inf fills up only where fewer than k cases are
        allowed: few allowed ones, and queries for which the graph gives too few, are searched exactly. Raises InputError
        for k < 1 and for queries of another dimension.
        """
        if k < 1:
            raise InputError(f"k is {k}; at least 1 is expected")
        if queries.shape[1] != self.vectors.d:
            raise InputError(f"the query has {queries.shape[1]} dimensions, the index {self.vectors.d}: it is of another model")
        count = len(self.cases) if allowed is None else int(allowed.sum())
        selector = _selector(allowed)
        if count == 0:
            return np.full((len(queries), k), -1), np.full((len(queries), k), np.inf, np.float32)
        if k > len(self.cases):
            rows, distances = self.search(queries, len(self.cases), allowed)
            wider = ((0, 0), (0, k - len(self.cases)))
            return np.pad(rows, wider, constant_values=-1), np.pad(distances, wider, constant_values=np.inf)
        if self.params.kind == "flat" or (allowed is not None and count <= self.params.exact_below):
            rows, similarity = self._nearest(queries, k, selector)
            return rows, _distances(similarity, rows)
        # The graph is walked through all cases: the fewer are allowed, the more of it must be seen to meet enough of them.
        effort = round(max(self.params.ef_search, k) * len(self.cases) / count)
        options = faiss.SearchParametersHNSW(efSearch=effort, sel=selector)
        similarity, rows = self.vectors.search(queries, k, params=options)
        short = (rows[:, : min(k, count)] < 0).any(axis=1)
        if short.any():
            rows[short], similarity[short] = self._nearest(queries[short], k, selector)
        return rows, _distances(similarity, rows)

    def exact(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> np.ndarray:
        """Rows of the k truly nearest allowed cases, n×k."""
        return self._nearest(queries, k, _selector(allowed))[0]

    def _nearest(self, queries: np.ndarray, k: int, selector: faiss.IDSelector | None) -> tuple[np.ndarray, np.ndarray]:
        store = self.vectors if self.params.kind == "flat" else faiss.downcast_index(self.vectors.storage)
        similarity, rows = store.search(queries, k, params=faiss.SearchParameters(sel=selector))
        return rows, similarity

    def save(self, folder: str | Path) -> None:
        """Write everything into a folder, atomically, with checksums that tie the files together."""
        with stage_folder(folder) as temporary:
            faiss.write_index(self.vectors, str(temporary / VECTORS))
            write_table(temporary / CASES, self.cases)
            write_array(temporary / PROBE, self.probe)
            sums = {name: _sha256(temporary / name) for name in (VECTORS, CASES, PROBE)}
            write_json(temporary / CONFIG, {"sha256": sums, "index": self.params.model_dump(), **self.about})


def open_index(folder: str | Path) -> CaseIndex:
    """Open what `save` wrote; raises InputError when a file is missing or they do not belong together."""
    folder = Path(folder)
    config = read_json(folder / CONFIG, "the stage `index` writes it")
    try:
        sums = config.pop("sha256")
        for name in (VECTORS, CASES, PROBE):
            if _sha256(folder / name) != sums[name]:
                raise InputError(f"{folder / name}: not the file that {CONFIG} was written with; run the stage `index` again")
        params = IndexParams(**config.pop("index"))
        about = {key: config[key] for key in ABOUT}
        vectors = faiss.read_index(str(folder / VECTORS))
        probe = np.load(folder / PROBE, allow_pickle=False)
    except InputError:  # which is a ValueError
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{error.filename}: no such file; the stage `index` writes it") from None
    except (ValueError, ValidationError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder / CONFIG}: not a configuration as the stage `index` writes it ({type(error).__name__})"
        ) from None
    cases = read_table(folder / CASES, "index")
    if vectors.ntotal != len(cases) or isinstance(vectors, faiss.IndexHNSW) != (params.kind == "hnsw"):
        kind = type(vectors).__name__
        raise InputError(
            f"{folder}: {vectors.ntotal} vectors ({kind}) beside {len(cases)} cases and kind {params.kind};"
            " run the stage `index` again"
        )
    return CaseIndex(vectors, cases, probe, params, about)


def _selector(allowed: np.ndarray | None) -> faiss.IDSelector | None:
    # One byte of a bitmap serves eight cases: a lookup costs the same however many are allowed.
    return None if allowed is None else faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _distances(similarity: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.where(rows < 0, np.inf, 1 - similarity).astype(np.float32)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
