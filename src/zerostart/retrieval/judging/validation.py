"""Held-out query photos against the cases on record: the numbers of metrics/retrieval.json."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import hypergeom

from zerostart.retrieval.index.case_index import CaseIndex
from zerostart.retrieval.index.filters import VALID, allowed_cases
from zerostart.retrieval.judging.quality import Estimate, average_precision, estimate, found_at, precision_at
from zerostart.retrieval.params import ValidationParams
from zerostart.retrieval.vocabulary import DAMAGE_TYPES

Report = dict[str, Estimate]


@dataclass(frozen=True)
class Cases:
    """The columns that validation needs, as arrays over N cases."""

    crop_id: list[str]
    context: list[str]
    source: np.ndarray
    split: np.ndarray
    zone: np.ndarray
    damaged: np.ndarray
    types: np.ndarray
    """N×T bool over DAMAGE_TYPES."""
    size: np.ndarray
    """N×2: width and height of the crop in its source."""


def read_cases(table: pa.Table) -> Cases:
    """From the table of the index."""
    columns = table.to_pydict()
    types = np.array([[name in found for name in DAMAGE_TYPES] for found in columns["damage_types"]], dtype=bool)
    left, top, right, bottom = (np.array(columns[name], float) for name in ("left", "top", "right", "bottom"))
    return Cases(
        columns["crop_id"],
        columns["context"],
        *(np.array(columns[name]) for name in ("source", "split", "vehicle_zone", "has_damage")),
        types,
        np.stack([right - left, bottom - top], axis=1),
    )


def judge(
    cases: Cases,
    record: np.ndarray,
    queries: np.ndarray,
    images: np.ndarray,
    texts: np.ndarray,
    vectors: np.ndarray,
    params: ValidationParams,
    seed: int,
) -> Report:
    """What `queries` (rows) find among `record` (rows), which lie in `vectors`; pictures ask with their picture alone.

    coverage_damaged, coverage_clean: share of the first k results that are damaged (clean) like the query. precision: share
    of a damaged query's first k results that show one of its damage types; mAP: mean over types of the average precision,
    AP_<type>, over the full ranking. text_recall: how often the context of a damaged held-out crop finds, among the first k of
    all held-out pictures, which training has not seen, one of its zone and set of types (its own is one).
    """
    similarity = images[queries] @ vectors[record].T
    asked = _text_report(texts[queries] @ images[queries].T, cases, queries, params, seed)
    return _picture_report(similarity, cases, record, queries, params, seed) | asked


def size_only(cases: Cases, record: np.ndarray, queries: np.ndarray, params: ValidationParams, seed: int) -> Report:
    """A control: neighbours by the crop's size in its source alone, equal sizes in random order.

    Damage crops are cut around damage, clean tiles are not: what this finds, a good number need not owe to the picture.
    """
    size = np.log(cases.size)
    apart = np.linalg.norm(size[queries][:, None] - size[record], axis=2)
    ties = np.random.default_rng(seed).random(apart.shape)
    return _picture_report(-apart - 1e-9 * ties, cases, record, queries, params, seed)


def by_chance(cases: Cases, record: np.ndarray, queries: np.ndarray, k: int) -> dict[str, float]:
    """What results in random order would reach of the coverages, precision and text_recall of :func:`judge`."""
    damaged, share = cases.damaged[queries], float(cases.damaged[record].mean())
    found = {"coverage_clean": 1 - share} if not damaged.all() else {}
    if not damaged.any():
        return found
    shared = (cases.types[queries[damaged]][:, None] & cases.types[record]).any(axis=2)
    same_types = (cases.types[queries[damaged]][:, None] == cases.types[queries]).all(axis=2)
    fitting = (same_types & (cases.zone[queries[damaged]][:, None] == cases.zone[queries])).sum(axis=1)
    none = hypergeom.pmf(0, len(queries), fitting, min(k, len(queries)))
    return found | {"coverage_damaged": share, "precision": float(shared.mean()), "text_recall": float(1 - none.mean())}


CHOSEN_BY = ("coverage_damaged", "coverage_clean", "mAP")


def chosen_on(reports: dict[str, Report]) -> str:
    """The strategy with the highest mean of CHOSEN_BY (of those that there are); of equal ones the first."""

    def worth(report: Report) -> float:
        return float(np.mean([report[name].value for name in CHOSEN_BY if name in report]))

    return max(reports, key=lambda strategy: worth(reports[strategy]))


def graph_recall(index: CaseIndex, queries: np.ndarray, k: int = 10) -> float:
    """Share of the k truly nearest cases that the index finds, unfiltered."""
    k = min(k, len(index.cases))
    found, truth = index.search(queries, k)[0], index.exact(queries, k)
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(found.tolist(), truth.tolist(), strict=True)]))


def respected_filters(index: CaseIndex, cases: Cases, queries: np.ndarray, k: int) -> float:
    """Share of all filters and values under which every result has the value and as many as possible, up to k, come back."""
    respected, table = [], index.cases.to_pylist()
    for name, values in VALID.items():
        for value in values:
            allowed = allowed_cases(index.cases, {name: value})
            rows = index.search(queries, k, allowed)[0]
            fitting = [value in case["damage_types"] if name == "damage_type" else case[name] == value for case in table]
            returned = rows >= 0
            right = all(fitting[row] for row in rows[returned])
            respected.append(bool(right and (returned.sum(axis=1) == min(k, sum(fitting))).all()))
    return float(np.mean(respected))


def _picture_report(
    similarity: np.ndarray, cases: Cases, record: np.ndarray, queries: np.ndarray, params: ValidationParams, seed: int
) -> Report:
    ranked = record[np.argsort(-similarity, axis=1, kind="stable")]
    photos, damaged = cases.source[queries], cases.damaged[queries]
    alike = precision_at(cases.damaged[ranked] == damaged[:, None], params.k)
    shared = (cases.types[ranked] & cases.types[queries][:, None]).any(axis=2)

    def mean(values: np.ndarray, asked: np.ndarray | slice) -> Estimate:
        return estimate(values[..., asked], photos[asked], params.bootstrap_samples, seed)

    report = {}
    if damaged.any():
        report["coverage_damaged"] = mean(alike, damaged)
        report["precision"] = mean(precision_at(shared, params.k), damaged)
    if not damaged.all():
        report["coverage_clean"] = mean(alike, ~damaged)
    known = [index for index in range(len(DAMAGE_TYPES)) if cases.types[record][:, index].any()]
    by_type = {
        DAMAGE_TYPES[index]: np.where(
            cases.types[queries][:, index], average_precision(cases.types[ranked][..., index]), np.nan
        )
        for index in known
        if cases.types[queries][:, index].any()
    }
    if by_type:
        report["mAP"] = mean(np.stack(list(by_type.values())), slice(None))
    return report | {f"AP_{name}": mean(values, ~np.isnan(values)) for name, values in by_type.items()}


def _text_report(similarity: np.ndarray, cases: Cases, queries: np.ndarray, params: ValidationParams, seed: int) -> Report:
    ranked = queries[np.argsort(-similarity, axis=1, kind="stable")]
    same_zone = cases.zone[ranked] == cases.zone[queries][:, None]
    same_types = (cases.types[ranked] == cases.types[queries][:, None]).all(axis=2)
    asked = cases.damaged[queries]
    if not asked.any():
        return {}
    found = found_at(same_zone & same_types, params.k)[asked]
    return {"text_recall": estimate(found, cases.source[queries][asked], params.bootstrap_samples, seed)}
