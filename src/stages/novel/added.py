"""added: how well the card's new classes are found by their sentences: `python -m stages.novel.added DATASET`.

Labels of a new class are boxes of its name in the data set's own test split, which every other stage passes over, and those of
the kinds of mark that the stage `school` has drawn. Known classes have no part in it.
"""

from pathlib import Path

from zerostart.datasets.cards import Card, load_card
from zerostart.datasets.importers import read_split
from zerostart.errors import dataset_argument, run_stage
from zerostart.language.text_encoders import load_text_encoder
from zerostart.novel.additions import load_additions
from zerostart.novel.judged_classes import Judged, judge_added, table
from zerostart.novel.queries import Looks, load_looks
from zerostart.novel.rows import load_vocabulary
from zerostart.outputs import write_json

OWN, DRAWN = "own_test", "test"
"""Folders of `looks`: the data set's test split, and drawn kinds."""


def main() -> str:
    dataset = dataset_argument()
    card, additions = load_card(dataset), load_additions(dataset)
    looks = Path("data/novel") / dataset / "looks"
    judged: dict[str, dict[str, Judged]] = {}
    if additions.new:
        vocabulary = load_vocabulary(Path("models/vocabulary") / dataset)
        encoder = load_text_encoder(vocabulary.settings["text_encoder"])
        for name in (OWN, DRAWN):
            if not (looks / name).is_dir():
                continue
            seen = load_looks(looks / name, vocabulary.settings["regions"])
            seen = with_new_labels(seen, card, Path("data/raw") / dataset) if name == OWN else seen
            judged[name] = judge_added(seen, additions, vocabulary, encoder)
    found = {where: {name: one._asdict() for name, one in by_name.items()} for where, by_name in judged.items() if by_name}
    write_json(f"metrics/added_{dataset}.json", found)
    said = [f"{where}: {table(by_name)}" for where, by_name in judged.items() if by_name]
    if unjudged := [name for name in additions.new if not any(name in by_name for by_name in judged.values())]:
        said.append(f"no labels of {', '.join(unjudged)}")
    return f"metrics/added_{dataset}.json: " + ("\n".join(said) or "no new class in the card")


def with_new_labels(seen: Looks, card: Card, folder: Path) -> Looks:
    """The test split with the boxes of the card's new classes, and of nothing else."""
    images = {image["file_name"]: image for image in seen.coco["images"]}
    categories = [{"id": index, "name": name} for index, name in enumerate(card.new)]
    annotations = []
    for record in read_split(card, folder, "test"):
        for item in record.objects if record.file_name in images else ():
            name = card.class_of(item.class_name)
            if name not in card.new or item.crowd:
                continue
            image = images[record.file_name]
            x, y, w, h = item.box
            if record.size is None:
                x, y, w, h = x * image["width"], y * image["height"], w * image["width"], h * image["height"]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": card.new.index(name),
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    return seen._replace(coco={**seen.coco, "annotations": annotations, "categories": categories})


if __name__ == "__main__":
    run_stage(main)
