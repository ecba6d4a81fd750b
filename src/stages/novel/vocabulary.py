"""vocabulary: what turns a sentence into a class, from the whole school: `python -m stages.novel.vocabulary DATASET`."""

from pathlib import Path

from zerostart.errors import run_stage
from zerostart.novel.material import load_named, load_school, load_seen
from zerostart.novel.params import dataset_argument, load_novel_params
from zerostart.novel.rows import learn, save_vocabulary
from zerostart.outputs import stage_folder


def main() -> str:
    dataset, params = dataset_argument(), load_novel_params()
    data = Path(f"data/novel/{dataset}")
    school, known = load_school(data, params.regions), load_seen(data, "own_train", params.regions)
    vocabulary = learn(school, known, load_named(data, "classes").names, params)
    with stage_folder(f"models/vocabulary/{dataset}") as folder:
        save_vocabulary(vocabulary, folder)
    return f"models/vocabulary/{dataset}: from {len(school.facts)} marks, found {school.found:.3f} of those that were painted"


if __name__ == "__main__":
    run_stage(main)
