"""vocabulary: what turns a sentence into a class, from the whole school: `python -m stages.novel.vocabulary DATASET`."""

from pathlib import Path

from zerostart.datasets.cards import load_card
from zerostart.detector.model import load_detector
from zerostart.errors import dataset_argument, run_stage
from zerostart.novel.fingerprint import fingerprint
from zerostart.novel.material import load_school, load_seen
from zerostart.novel.params import load_novel_params
from zerostart.novel.rows import learn, save_vocabulary
from zerostart.outputs import stage_folder


def main() -> str:
    dataset, params = dataset_argument(), load_novel_params()
    data = Path(f"data/novel/{dataset}")
    school, known = load_school(data, params.regions), load_seen(data, "own_train", params.regions)
    classes = list(load_card(dataset).classes)
    detector = fingerprint(load_detector(f"data/baselines/{dataset}", classes))
    vocabulary = learn(school, known, classes, params, detector)
    with stage_folder(f"models/vocabulary/{dataset}") as folder:
        save_vocabulary(vocabulary, folder)
    return f"models/vocabulary/{dataset}: from {len(school.facts)} marks, found {school.found:.3f} of those that were painted"


if __name__ == "__main__":
    run_stage(main)
