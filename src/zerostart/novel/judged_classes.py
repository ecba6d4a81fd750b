"""How well new classes are found in labelled pictures, with another class's sentence and no sentence beside it."""

import numpy as np

from zerostart.errors import InputError
from zerostart.language.text_encoders import TextEncoder
from zerostart.novel.additions import Additions
from zerostart.novel.average_precision import NovelJudge
from zerostart.novel.labelled import Labelled
from zerostart.novel.queries import objectness
from zerostart.novel.rows import SavedVocabulary
from zerostart.novel.texts import encode


def judged_classes(
    labelled: Labelled, additions: Additions, vocabulary: SavedVocabulary, encoder: TextEncoder, where: str
) -> str:
    """One line for each new class that has boxes there: its AP50 by its sentence, by a wrong one, by objectness alone.

    The wrong sentence is that of the next new class, or says nothing of any mark where there is no other. Raises InputError
    where no box has the name of a new class.
    """
    counts = np.bincount([one["category_id"] for one in labelled.looks.coco["annotations"]], minlength=len(labelled.names))
    judged = [name for name in additions.new if name in labelled.names and counts[labelled.names.index(name)]]
    if not judged:
        raise InputError(f"{where}: has no box of a new class ({', '.join(additions.new)}); such boxes are expected")
    log_object = objectness(labelled.looks.logits)
    names = list(additions.new)
    lines = ["new class: boxes; AP50 by its sentence, by a wrong sentence, by objectness alone"]
    for name in judged:
        judge = NovelJudge(
            labelled.looks.boxes, labelled.looks.coco, [labelled.names.index(name)], np.ones((len(log_object), 1))
        )
        other = names[(names.index(name) + 1) % len(names)]
        wrong = list(additions.new[other]) if other != name else ["a clean and empty surface"]
        right = list(additions.new[name])
        rows = (vocabulary.row(encode(encoder, right), additions.shots.get(name)), vocabulary.row(encode(encoder, wrong)))
        found = [_ap(judge, log_object, vocabulary, labelled, row) for row in rows]
        found.append(float(judge(log_object[..., None])[0, 0]))
        shown = ", ".join(f"{value:.3f}" for value in found)
        lines.append(f"{name}: {counts[labelled.names.index(name)]}; {shown} (wrong: {wrong[0]!r})")
    return "\n".join(lines)


def _ap(
    judge: NovelJudge, log_object: np.ndarray, vocabulary: SavedVocabulary, labelled: Labelled, row: tuple[np.ndarray, float]
) -> float:
    z = labelled.looks.features.astype(np.float64) @ row[0] + row[1]
    return float(judge((log_object + vocabulary.log_fits(z))[..., None])[0, 0])
