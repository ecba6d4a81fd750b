"""How well new classes are found in labelled pictures, with another class's sentence and no sentence beside it."""

from typing import NamedTuple

import numpy as np

from zerostart.language.text_encoders import TextEncoder
from zerostart.novel.additions import Additions
from zerostart.novel.average_precision import NovelJudge
from zerostart.novel.queries import Looks, objectness
from zerostart.novel.rows import SavedVocabulary
from zerostart.novel.texts import encode

NOTHING = "a clean and empty surface"
"""The wrong sentence where no other class is new."""


class Judged(NamedTuple):
    """AP50 of a new class in labelled pictures."""

    boxes: int
    sentence: float
    """By its own sentence, and its labelled boxes where it has some."""
    wrong: float
    """By `wrong_sentence`."""
    objectness: float
    """By no sentence at all."""
    wrong_sentence: str


def judge_added(looks: Looks, additions: Additions, vocabulary: SavedVocabulary, encoder: TextEncoder) -> dict[str, Judged]:
    """Every new class that has boxes among the labels of `looks`, by its name.

    The wrong sentence is that of the next new class, or says nothing of any mark where there is no other.
    """
    categories = {category["name"]: category["id"] for category in looks.coco["categories"]}
    labels = [one["category_id"] for one in looks.coco["annotations"] if not one.get("iscrowd")]
    names, log_object = list(additions.new), objectness(looks.logits)
    judged = {}
    for name in names:
        if not (boxes := labels.count(categories.get(name))):
            continue
        judge = NovelJudge(looks.boxes, looks.coco, [categories[name]], np.ones((len(log_object), 1)))
        other = names[(names.index(name) + 1) % len(names)]
        wrong = list(additions.new[other]) if other != name else [NOTHING]
        rows = (
            vocabulary.row(encode(encoder, list(additions.new[name])), additions.shots.get(name)),
            vocabulary.row(encode(encoder, wrong)),
        )
        by_text = [_ap(judge, log_object, vocabulary, looks, row) for row in rows]
        judged[name] = Judged(boxes, *by_text, float(judge(log_object[..., None])[0, 0]), wrong[0])
    return judged


def table(judged: dict[str, Judged]) -> str:
    """One line for each class."""
    lines = ["new class: boxes; AP50 by its sentence, by a wrong sentence, by objectness alone"]
    for name, found in judged.items():
        shown = ", ".join(f"{value:.3f}" for value in (found.sentence, found.wrong, found.objectness))
        lines.append(f"{name}: {found.boxes}; {shown} (wrong: {found.wrong_sentence!r})")
    return "\n".join(lines)


def _ap(
    judge: NovelJudge, log_object: np.ndarray, vocabulary: SavedVocabulary, looks: Looks, row: tuple[np.ndarray, float]
) -> float:
    z = looks.features.astype(np.float64) @ row[0] + row[1]
    return float(judge((log_object + vocabulary.log_fits(z))[..., None])[0, 0])
