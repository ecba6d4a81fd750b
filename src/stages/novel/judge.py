"""judge: every arm from several seeds, on what it was never shown: `python -m stages.novel.judge DATASET`.

AP50 on the test pictures and on resamples of them goes to data/novel/DATASET/judged/*.npz: S×K×(1+B), for divisions S×P×(1+B).
"""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from tqdm import tqdm

from zerostart.errors import dataset_argument, run_stage
from zerostart.novel.average_precision import NovelJudge, picture_weights
from zerostart.novel.judging import Target, caption_curve, confusion, exclusion, few_shots, supervised, without_text, zero_shot
from zerostart.novel.material import Named, School, Seen, load_named, load_school, load_seen
from zerostart.novel.params import load_novel_params, of_dataset
from zerostart.novel.queries import load_looks
from zerostart.novel.trial import Lesson, knowing, prepare, twins, zero_shot_rows
from zerostart.novel.vocabulary import row_scores
from zerostart.outputs import stage_folder

COMPARED = ("real, captions", "attributes", "shuffled")
Tables = dict[str, dict[str, list[np.ndarray]]]
"""Table: arm: one K×(1+B) per seed."""


def main() -> str:
    dataset, params = dataset_argument(), load_novel_params()
    mine, data = of_dataset(params, dataset), Path(f"data/novel/{dataset}")
    school, painted = load_school(data, params.regions), load_looks(data / "looks/school", params.regions)
    known, own_test = (load_seen(data, f"own_{split}", params.regions) for split in ("train", "test"))
    classes = load_named(data, "classes")
    kinds = load_named(data, "test") if mine.kinds else None
    tests, pool = (load_seen(data, name, params.regions) for name in ("test", "pool")) if kinds else (None, None)
    pairs = list(combinations(range(len(classes.names)), 2))
    pair_judges = [new_judge(own_test, list(pair), params.samples) for pair in pairs]
    kind_judge = new_judge(tests, list(range(len(kinds.names))), params.samples) if kinds else None
    shown = [len(kinds.names) + index for index in range(len(classes.names))] if kinds else []
    known_judge = new_judge(tests, shown, params.samples) if kinds else None
    tables: Tables = {}

    def keep(table: str, results: dict[str, np.ndarray]) -> None:
        for arm, values in results.items():
            tables.setdefault(table, {}).setdefault(arm, []).append(values)

    for seed in tqdm(range(params.seeds), unit="seed", disable=None):
        lesson = prepare(school, known, len(classes.names), params, seed)
        if kinds:
            target = Target(tests, painted, lesson, params).judged_by(kind_judge)
            for table, results in of_kinds(target, lesson, kinds, classes, known, pool, school, seed, known_judge):
                keep(table, results)
        target = Target(own_test, painted, lesson, params)
        for pair, judge in zip(pairs, pair_judges, strict=True):
            keep("divisions", of_pair(pair, target.judged_by(judge), lesson, classes, known, school, seed))
    with stage_folder(data / "judged") as folder:
        for table, arms in tables.items():
            stacked = {arm: by_seed(values, params.seeds) for arm, values in arms.items()}
            with (folder / f"{table}.npz").open("wb") as file:
                np.savez(file, **{arm: values.astype(np.float32) for arm, values in stacked.items()})
        (folder / "found.txt").write_text(f"{school.found:.4f}\n", encoding="utf-8")
    return f"data/novel/{dataset}/judged: {len(tables)} tables from {params.seeds} seeds"


def of_kinds(
    target: Target,
    lesson: Lesson,
    kinds: Named,
    classes: Named,
    known: Seen,
    pool: Seen,
    school: School,
    seed: int,
    known_judge: NovelJudge,
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """All tables of the kinds that nobody was shown: arm: K×(1+B)."""
    count, alike = len(kinds.names), twins(school, lesson, kinds)
    yield "kinds", zero_shot(target, lesson, kinds, alike, school, seed)
    yield "kinds", without_text(target, lesson, kinds, known, classes, list(range(len(classes.names))))
    yield "kinds", {"supervised": supervised(target, lesson, pool, list(range(count)))}
    near = zero_shot(target, lesson, kinds, twins(school, lesson, kinds, 1), school, seed)
    yield "near twins removed", {arm: near[arm] for arm in COMPARED}
    rows = zero_shot_rows(lesson, kinds, alike, school, target.params, seed)
    for shots, results in few_shots(target, lesson, kinds, rows, pool, seed).items():
        yield f"shots {shots}", results
    for captions, results in caption_curve(target, lesson, kinds, school, seed).items():
        yield f"captions {captions}", results
    described = {arm: rows[arm] for arm in (*COMPARED, "real, together", "bag, captions", "random words")}
    ignoring = Target(target.seen, target.school, lesson, target.params).judged_by(known_judge)
    yield "exclusion", exclusion(ignoring, described)
    inside = target.seen.category < count
    covering = lesson.scale(target.seen.features[inside])
    for arm in COMPARED:
        scores = row_scores(rows[arm], covering, target.reference)
        yield "right of all kinds", {arm: np.full((1, 1), confusion(scores, target.seen.category[inside], count))}


def of_pair(
    pair: tuple[int, ...], target: Target, lesson: Lesson, classes: Named, known: Seen, school: School, seed: int
) -> dict[str, np.ndarray]:
    """Two classes held out of everything that is learned here: arm: mean AP50 of the two, 1×(1+B)."""
    held = Named(*([column[index] for index in pair] for column in classes))
    others = [index for index in range(len(classes.names)) if index not in pair]
    lesson = knowing(lesson, others, target.params)
    results = zero_shot(target, lesson, held, twins(school, lesson, held), school, seed)
    results |= without_text(target, lesson, held, known, classes, others)
    results["supervised"] = supervised(target, lesson, known, list(pair))
    return {arm: np.nanmean(values, axis=0, keepdims=True) for arm, values in results.items()}


def new_judge(seen: Seen, categories: list[int], samples: int) -> NovelJudge:
    """Of some categories of labelled pictures."""
    weights = picture_weights(len(seen.looks.boxes), samples)
    return NovelJudge(seen.looks.boxes, seen.looks.coco, categories, weights)


def by_seed(values: list[np.ndarray], seeds: int) -> np.ndarray:
    """S×K×(1+B) of one array per seed, or of one per seed and division in turn."""
    stacked = np.stack(values)
    return stacked.reshape(seeds, -1, stacked.shape[-1])


if __name__ == "__main__":
    run_stage(main)
