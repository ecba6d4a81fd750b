"""validate: query photos ask, the photos on record answer; by mixing strategy, with intervals over the query photos."""

from pathlib import Path

import numpy as np
import torch

from zerostart.errors import InputError, run_stage
from zerostart.outputs import output_file, write_jpeg, write_json, write_records
from zerostart.retrieval.crops.files import open_crops
from zerostart.retrieval.crops.photos import QUERY, RECORD
from zerostart.retrieval.embedding.embedders import load_embedder
from zerostart.retrieval.embedding.files import read_embeddings
from zerostart.retrieval.embedding.mixing import STRATEGIES, mix
from zerostart.retrieval.index.case_index import open_index
from zerostart.retrieval.judging.sheets import Tile, draw_sheet
from zerostart.retrieval.judging.validation import Cases, graph_recall, judge, read_cases, respected_filters, size_only
from zerostart.retrieval.params import RetrievalParams, load_retrieval_params

PLOTS = Path("plots/retrieval")
SHOWN, RESULTS = 8, 5
SENTENCES = (
    "long deep scratch on the rear bumper",
    "dent in the driver's door",
    "peeling paint on the hood",
    "missing part, front left fender",
    "clean rear left quarter panel without damage",
)


def main() -> str:
    torch.set_num_threads(1)  # the same sums on any number of cores; pictures are embedded side by side
    params = load_retrieval_params()
    index = open_index("data/retrieval/index")
    found = read_embeddings(len(index.cases))
    images, texts = found.images, found.texts
    cases = read_cases(index.cases)
    record, queries = (np.flatnonzero(cases.split == split) for split in (RECORD, QUERY))
    if len(record) == 0 or len(queries) == 0:
        raise InputError(f"{len(record)} crops on record and {len(queries)} of queries; both are expected to validate")
    reports = {}
    for strategy in STRATEGIES:
        vectors = mix(images, texts, params.mix.model_copy(update={"strategy": strategy}))
        reports[strategy] = judge(cases, record, queries, images, texts, vectors, params.validation, params.seed)
    reports["size_only"] = size_only(cases, record, queries, params.validation, params.seed)
    chosen = reports[params.mix.strategy]
    values = {name: estimate.value for name, estimate in chosen.items()}
    extra = {
        "hnsw_recall_at_10": graph_recall(index, images[queries]),
        "filters_respected": respected_filters(index, cases, images[queries], params.validation.k),
    }
    interval = {name: {"low": low, "high": high} for name, (_, low, high) in chosen.items()}
    write_json("metrics/retrieval.json", {**values, **extra, "interval": interval})
    _write_strategies(reports)
    _write_sheets(params, cases, record, queries, images, mix(images, texts, params.mix))
    said = ", ".join(f"{name} {value:.3f}" for name, value in {**values, **extra}.items() if not name.startswith("AP_"))
    return f"validate ({params.dataset}, {params.mix.strategy}): {said}"


def _write_strategies(reports: dict[str, dict]) -> None:
    rows = [
        {"strategy": strategy, "metric": name, "value": value, "low": low, "high": high}
        for strategy, report in reports.items()
        for name, (value, low, high) in report.items()
    ]
    write_records(PLOTS / "strategies.csv", rows)


def _write_sheets(
    params: RetrievalParams, cases: Cases, record: np.ndarray, queries: np.ndarray, images: np.ndarray, vectors: np.ndarray
) -> None:
    """A few queries, as many damaged as clean, chosen by the seed and not by their results; then a few sentences."""
    rng = np.random.default_rng(params.seed)
    halves = [rng.permutation(queries[cases.damaged[queries] == damaged])[: SHOWN // 2] for damaged in (True, False)]
    embedder = load_embedder(params.embedder)
    asked = [(_tile(cases, row, "query: "), images[row]) for row in np.concatenate(halves)]
    told = [(Tile(None, text), vector) for text, vector in zip(SENTENCES, embedder.embed_texts(SENTENCES), strict=True)]
    for name, title, rows in (
        ("queries", "Query photos (blue) and the nearest cases", asked),
        ("sentences", "Sentences", told),
    ):
        tiles = [
            [
                tile,
                *(
                    _tile(cases, record[i], f"{1 - vectors[record[i]] @ vector:.3f}  ")
                    for i in _nearest(vectors[record], vector)
                ),
            ]
            for tile, vector in rows
        ]
        with output_file(PLOTS / f"{name}.jpg") as path:
            write_jpeg(path, draw_sheet(tiles, title), 85)


def _nearest(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    return np.argsort(-(vectors @ query), kind="stable")[:RESULTS]


def _tile(cases: Cases, row: int, prefix: str) -> Tile:
    ((_, opened),) = open_crops([{"crop_id": cases.crop_id[row]}])
    return Tile(opened(), prefix + cases.context[row])


if __name__ == "__main__":
    run_stage(main)
