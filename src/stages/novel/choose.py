"""choose: parameters from the kinds of mark under `val` alone: `python -m stages.novel.choose DATASET`.

Writes metrics/novel_choice.json. People copy what it says into pipelines/novel/params.yaml: nothing reads it but a test, which
holds both together.
"""

from pathlib import Path

from tqdm import tqdm

from zerostart.errors import dataset_argument, run_stage
from zerostart.novel.average_precision import NovelJudge, picture_weights
from zerostart.novel.choice import WORTH, ascend, few_shot_score, zero_shot_score
from zerostart.novel.judging import Target
from zerostart.novel.material import load_named, load_school, load_seen
from zerostart.novel.params import load_novel_params
from zerostart.novel.queries import load_looks
from zerostart.novel.trial import prepare
from zerostart.outputs import write_json

SEEDS = 2


def main() -> str:
    dataset, params = dataset_argument(), load_novel_params()
    data = Path(f"data/novel/{dataset}")
    school, kinds, classes = load_school(data, params.regions), load_named(data, "val"), len(load_named(data, "classes").names)
    known, val, pool = (load_seen(data, name, params.regions) for name in ("own_train", "val", "val_pool"))
    lessons = [prepare(school, known, classes, params, seed) for seed in tqdm(range(SEEDS), unit="seed", disable=None)]
    judge = NovelJudge(val.looks.boxes, val.looks.coco, list(range(len(kinds.names))), picture_weights(len(val.looks.boxes), 0))
    painted = load_looks(data / "looks/school", params.regions)
    targets = [Target(val, painted, lesson, params).judged_by(judge) for lesson in lessons]
    candidates = {name: options for name, options in params.candidates.items() if name != WORTH}
    values, tried = ascend(candidates, zero_shot_score(targets, lessons, kinds, classes, params))
    chosen = params.model_copy(update=values)
    worth, with_shots = ascend(
        {WORTH: params.candidates[WORTH]}, few_shot_score(targets, lessons, kinds, pool, classes, chosen)
    )
    best = max(one.score for one in tried)
    write_json(
        "metrics/novel_choice.json",
        {
            "kinds": kinds.names,
            "chosen": values | worth,
            "ap50": best,
            "first": tried[0].score,
            "tried": [one._asdict() for one in tried],
            "ap50_with_shots": [one._asdict() for one in with_shots],
        },
    )
    said = ", ".join(f"{name} {value}" for name, value in (values | worth).items())
    return f"metrics/novel_choice.json: {said}; AP50 of {len(kinds.names)} validation kinds {tried[0].score:.3f} -> {best:.3f}"


if __name__ == "__main__":
    run_stage(main)
