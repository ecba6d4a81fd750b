"""vocabulary: what turns a sentence into a class: `python -m stages.novel.vocabulary DATASET`.

From the whole school, and from those of the data set's own objects beside which people have written something.
"""

from pathlib import Path

from zerostart.datasets.cards import load_card
from zerostart.detector.model import load_detector
from zerostart.errors import dataset_argument, run_stage
from zerostart.language.text_encoders import load_text_encoder
from zerostart.novel.captions import load_words
from zerostart.novel.described import class_facts, join, read_described, remarks
from zerostart.novel.fingerprint import fingerprint
from zerostart.novel.material import load_school, load_seen
from zerostart.novel.params import load_novel_params
from zerostart.novel.queries import load_looks
from zerostart.novel.rows import learn, save_vocabulary
from zerostart.outputs import stage_folder


def main() -> str:
    dataset, params = dataset_argument(), load_novel_params()
    data = Path(f"data/novel/{dataset}")
    school, known = load_school(data, params.regions), load_seen(data, "own_train", params.regions)
    card, words = load_card(dataset), load_words(params.languages[0])
    images = [image["file_name"] for image in known.looks.coco["images"]]
    found = read_described(card, Path("data/raw") / dataset, images, class_facts(dataset))
    joined = join(school, known.looks, found.objects, words, load_text_encoder(params.text_encoder), params.school.seed)
    for line in remarks(found, joined, words):
        print(line)
    school, classes = joined.school, list(card.classes)
    detector = fingerprint(load_detector(f"data/baselines/{dataset}", classes))
    vocabulary = learn(school, known, load_looks(data / "looks/school", params.regions), classes, params, detector)
    with stage_folder(f"models/vocabulary/{dataset}") as folder:
        save_vocabulary(vocabulary, folder)
    own = f" and {joined.seen} described objects of its own" if joined.seen else ""
    marks = f"{len(school.facts)} marks{own}"
    return f"models/vocabulary/{dataset}: from {marks}, found {school.found:.3f} of those that were painted"


if __name__ == "__main__":
    run_stage(main)
