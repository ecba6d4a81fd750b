"""What another sentence would change for a class that the detector knows: on val, with a wrong sentence as its control.

    logit of the class = detector's logit + alpha · z      z: standardised score of the sentence, shift and gain are not used

For the AP alpha is chosen on one half of val's pictures and applied to the other, and the other way round (two-fold
cross-fitting), for the sentence and for the wrong one alike; 0 is among its values. Which detections move is shown at one
alpha. The wrong sentence is that of the class which the detector takes this one for most easily.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zerostart.datasets.cards import load_card
from zerostart.datasets.pictures import open_rgb
from zerostart.evaluation.picture_sheet import BOX, OBJECT, Tile, draw_sheet
from zerostart.language.prompts import load_prompts
from zerostart.language.text_encoders import TextEncoder
from zerostart.metrics.boxes import iou_matrix, pixel_boxes
from zerostart.metrics.coco import image_sizes, scores
from zerostart.novel.additions import files_of
from zerostart.novel.average_precision import NovelJudge
from zerostart.novel.material import Seen, load_seen
from zerostart.novel.queries import MATCH_IOU
from zerostart.novel.rows import SavedVocabulary
from zerostart.novel.texts import encode
from zerostart.outputs import write_sheet

ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
SHOWN_ALPHA = 0.2
"""At which it is shown what a sentence moves."""
THRESHOLD = 0.3
"""Score from which a detection counts as one that moves."""
SHOWN = 12


class Arm(NamedTuple):
    """What a sentence does on val."""

    said: str
    alphas: tuple[float, float]
    """Chosen on the even pictures (applied to the odd ones), and the other way round."""
    ap50: float
    """With these."""
    logits: np.ndarray
    """N×Q of the class at SHOWN_ALPHA."""


class Repair(NamedTuple):
    """A sentence and its control."""

    name: str
    rival: str
    before: Arm
    sentence: Arm
    wrong: Arm
    right: np.ndarray
    """N×Q booleans: the query covers an object of the class (IoU 0.5)."""
    boxes: np.ndarray
    """N×Q×4 xywh in pixels."""
    pictures: list[Path]


def repair(
    dataset: str, name: str, sentences: list[str], vocabulary: SavedVocabulary, encoder: TextEncoder, root: Path = Path()
) -> Repair:
    """Judge sentences for a known class on val. InputError where `make novel` has not looked at val."""
    card = load_card(dataset, root / "data/datasets")
    seen = load_seen(root / f"data/novel/{dataset}", "own_val", vocabulary.settings["regions"])
    index = card.classes.index(name)
    rival = card.classes[easily_taken_for(seen, index)]
    said = load_prompts(files_of(card, root).prompts).descriptions[rival]
    halves = [np.arange(len(seen.looks.boxes)) % 2 == parity for parity in (0, 1)]
    judges = [NovelJudge(seen.looks.boxes, seen.looks.coco, [index], half.astype(float)[:, None]) for half in halves]
    whole = NovelJudge(seen.looks.boxes, seen.looks.coco, [index], np.ones((len(halves[0]), 1)))
    base = seen.looks.logits[..., index].astype(np.float64)

    def arm(texts: list[str]) -> Arm:
        row, offset = vocabulary.row(encode(encoder, texts))
        z = seen.looks.features.astype(np.float64) @ row + offset
        chosen = tuple(max(ALPHAS, key=partial(_by_ap, judge, base, z)) for judge in judges)
        logits = base + np.where(halves[1], chosen[0], chosen[1])[:, None] * z
        return Arm(" / ".join(texts), chosen, _ap(whole, logits), base + SHOWN_ALPHA * z)

    pictures = [root / f"data/raw/{dataset}" / image["file_name"] for image in seen.looks.coco["images"]]
    sizes = image_sizes(seen.looks.coco, np.array([image["id"] for image in seen.looks.coco["images"]]))
    boxes = pixel_boxes(seen.looks.boxes, sizes)
    before = Arm("", (0.0, 0.0), _ap(whole, base), base)
    return Repair(name, rival, before, arm(sentences), arm(list(said)), _covers(seen, index, boxes), boxes, pictures)


def easily_taken_for(seen: Seen, index: int) -> int:
    """The other class with the highest mean logit on the queries that cover objects of a class."""
    of_objects = seen.object_logits[seen.category == index].mean(axis=0)
    of_objects[index] = -np.inf
    return int(of_objects.argmax())


def _ap(judge: NovelJudge, logits: np.ndarray) -> float:
    return float(judge(-np.logaddexp(0.0, -logits)[..., None])[0, 0])


def _by_ap(judge: NovelJudge, base: np.ndarray, z: np.ndarray, alpha: float) -> tuple[float, float]:
    return _ap(judge, base + alpha * z), -alpha


def _covers(seen: Seen, index: int, boxes: np.ndarray) -> np.ndarray:
    position = {image["id"]: number for number, image in enumerate(seen.looks.coco["images"])}
    covered = np.zeros(boxes.shape[:2], bool)
    for one in seen.looks.coco["annotations"]:
        if one["category_id"] == index:
            image = position[one["image_id"]]
            covered[image] |= iou_matrix(boxes[image], np.array([one["bbox"]], np.float64))[:, 0] >= MATCH_IOU
    return covered


def moves(found: Repair, arm: Arm) -> dict[str, int]:
    """How many detections of the class rise or fall, by whether a rise is right; of those that reach THRESHOLD."""
    before, after = scores(found.before.logits), scores(arm.logits)
    counts = np.maximum(before, after) >= THRESHOLD
    up, down = counts & (after > before), counts & (after < before)
    return {
        "right rise": int((up & found.right).sum()),
        "right fall": int((down & found.right).sum()),
        "wrong rise": int((up & ~found.right).sum()),
        "wrong fall": int((down & ~found.right).sum()),
    }


def report(found: Repair, sheet: Path | None) -> str:
    """What was found, and the detections that move most as a picture sheet if one is asked for."""
    lines = [f"{found.name} on val, AP50 without a sentence: {found.before.ap50:.4f}"]
    for what, arm in (("the sentence", found.sentence), (f"the wrong sentence, of '{found.rival}',", found.wrong)):
        moved = ", ".join(f"{number} {how}" for how, number in moves(found, arm).items())
        alphas = " and ".join(f"{alpha:g}" for alpha in arm.alphas)
        lines.append(
            f"{what} ({arm.said}): {arm.ap50:.4f} ({arm.ap50 - found.before.ap50:+.4f}), alpha {alphas} by halves;"
            f" detections that move at alpha {SHOWN_ALPHA}: {moved}"
        )
    if sheet is not None:
        write_sheet(sheet, draw_sheet(_tiles(found), f"{found.name}: what the sentence moves most (blue)"))
        lines.append(f"{sheet}: the detections that move most")
    return "\n".join(lines)


def _tiles(found: Repair) -> list[Tile]:
    before, after, wrong = (scores(arm.logits) for arm in (found.before, found.sentence, found.wrong))
    order = np.argsort(-np.abs(after - before), axis=None, kind="stable")[:SHOWN]
    tiles = []
    for image, query in zip(*np.unravel_index(order, after.shape), strict=True):
        told = "right" if found.right[image, query] else "wrong"
        caption = f"{told}: {before[image, query]:.2f} to {after[image, query]:.2f}\nwrong sentence: {wrong[image, query]:.2f}"
        drawn = ((tuple(found.boxes[image, query].tolist()), OBJECT if found.right[image, query] else BOX),)
        tiles.append(Tile(partial(open_rgb, found.pictures[image]), drawn, caption))
    return tiles
