"""validate: held-out photos ask, those on record answer; val chooses the mixing strategy, test judges.

Intervals are over the photos of test.
"""

from pathlib import Path

import numpy as np
import torch

from zerostart.errors import InputError, run_stage
from zerostart.outputs import output_file, write_jpeg, write_json, write_records
from zerostart.retrieval.crops.files import open_crops
from zerostart.retrieval.crops.photos import RECORD, TEST, VAL
from zerostart.retrieval.embedding.backbone import load_backbone
from zerostart.retrieval.embedding.embedders import load_embedder
from zerostart.retrieval.embedding.files import read_embeddings
from zerostart.retrieval.embedding.mixing import STRATEGIES, mix
from zerostart.retrieval.index.case_index import open_index
from zerostart.retrieval.judging.near_duplicates import ALIKE, with_twin
from zerostart.retrieval.judging.sheets import Tile, draw_sheet
from zerostart.retrieval.judging.validation import (
    Cases,
    by_chance,
    chosen_on,
    graph_recall,
    judge,
    read_cases,
    respected_filters,
    size_only,
)
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
    record, val, queries = (np.flatnonzero(cases.split == split) for split in (RECORD, VAL, TEST))
    if not (len(record) and len(val) and len(queries)):
        raise InputError(
            f"{len(record)} crops on record, {len(val)} of val and {len(queries)} of test; all three are expected to validate"
        )
    reports, on_val = {}, {}
    for strategy in STRATEGIES:
        vectors = mix(images, texts, params.mix.model_copy(update={"strategy": strategy}))
        on_val[strategy] = judge(cases, record, val, images, texts, vectors, params.validation, params.seed)
        reports[strategy] = judge(cases, record, queries, images, texts, vectors, params.validation, params.seed)
    reports["size_only"] = size_only(cases, record, queries, params.validation, params.seed)
    values = {name: estimate.value for name, estimate in reports[params.mix.strategy].items()}
    extra = {
        "hnsw_recall_at_10": graph_recall(index, images[queries]),
        "filters_respected": respected_filters(index, cases, images[queries], params.validation.k),
    }
    twins = _twins(params, cases, record, queries)
    alone = queries[~np.isin(cases.source[queries], list(twins))]
    mixed = mix(images, texts, params.mix)
    without = judge(cases, record, alone, images, texts, mixed, params.validation, params.seed) if len(alone) else {}
    best = chosen_on(on_val)
    write_json(
        "metrics/retrieval.json",
        {
            **values,
            **extra,
            "interval": {name: {"low": low, "high": high} for name, (_, low, high) in reports[params.mix.strategy].items()},
            "by_chance": by_chance(cases, record, queries, params.validation.k),
            "crops": {"record": len(record), "val": len(val), "test": len(queries)},
            "val": {strategy: {name: found.value for name, found in report.items()} for strategy, report in on_val.items()},
            "chosen_on_val": best,
            "near_duplicates": {
                "photos": len(set(cases.source[queries])),
                "with_a_twin": len(twins),
                "cosine": ALIKE,
                "without_them": {name: found.value for name, found in without.items()},
            },
        },
    )
    _write_strategies(reports)
    _write_sheets(params, cases, record, queries, images, mixed)
    said = ", ".join(f"{name} {value:.3f}" for name, value in {**values, **extra}.items() if not name.startswith("AP_"))
    other = "" if best == params.mix.strategy else f"; val would choose mix.strategy {best}"
    return (
        f"validate ({params.dataset}, {params.mix.strategy}): {said}; {len(twins)} photos of test have a near-duplicate on"
        f" record{other}"
    )


def _twins(params: RetrievalParams, cases: Cases, record: np.ndarray, queries: np.ndarray) -> set[str]:
    """The photos of test that have a near-duplicate on record."""
    on_record, asking = (sorted(set(cases.source[rows])) for rows in (record, queries))
    folder = Path("data/raw") / params.dataset
    found = with_twin(
        [folder / name for name in on_record], [folder / name for name in asking], load_backbone(params.adapter.backbone)
    )
    return {name for name, twin in zip(asking, found, strict=True) if twin}


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
