"""The choice of the parameters, on kinds of mark that nothing else is judged on.

Coordinate ascent: in turn each parameter takes the candidate with the highest score, until none changes any more. The score is
the mean AP50 of the validation kinds, zero-shot, half in the captions' wording and half in wordings that no template has; how
many labelled objects a sentence is worth is chosen last, by the mean AP50 with a few of them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zerostart.novel.judging import Target, few_shots
from zerostart.novel.material import Named, Seen
from zerostart.novel.params import NovelParams
from zerostart.novel.texts import OWN_WORDING
from zerostart.novel.trial import Lesson, knowing, whitened_rows

WORTH = "worth"
WORDINGS = (OWN_WORDING, "together")

Score = Callable[[Mapping[str, Any]], float]


class Tried(NamedTuple):
    """One evaluation."""

    values: dict[str, Any]
    """Every parameter's value."""
    score: float


def ascend(candidates: Mapping[str, Sequence[Any]], score: Score, rounds: int = 5) -> tuple[dict[str, Any], list[Tried]]:
    """The best values found from the first candidates on, and all that was tried, in order; of equal scores the first wins."""
    values = {name: options[0] for name, options in candidates.items()}
    tried = [Tried(dict(values), score(values))]
    best = tried[0].score
    for _ in range(rounds):
        before = dict(values)
        for name, options in candidates.items():
            for option in options:
                other = values | {name: option}
                if any(one.values == other for one in tried):
                    continue
                tried.append(Tried(other, score(other)))
                if tried[-1].score > best:
                    best, values = tried[-1].score, other
        if values == before:
            break
    return values, tried


def zero_shot_score(targets: Sequence[Target], lessons: Sequence[Lesson], named: Named, classes: int, params: NovelParams):
    """A :data:`Score`: mean AP50 over seeds (one target and lesson each), kinds and both wordings."""
    base = list(range(classes))

    def score(values: Mapping[str, Any]) -> float:
        chosen = params.model_copy(update=dict(values))
        found = []
        for target, lesson in zip(targets, lessons, strict=True):
            lesson = knowing(lesson, base, chosen)
            for wording in WORDINGS:
                rows = whitened_rows(lesson, "real", named.texts(wording), chosen)
                found.append(target.with_params(chosen).ap(target.standardised(rows)).mean())
        return float(np.mean(found))

    return score


def few_shot_score(
    targets: Sequence[Target], lessons: Sequence[Lesson], named: Named, pool: Seen, classes: int, params: NovelParams
):
    """The same with labelled objects beside the sentence."""
    base = list(range(classes))

    def score(values: Mapping[str, Any]) -> float:
        chosen = params.model_copy(update=dict(values))
        found = []
        for seed, (target, lesson) in enumerate(zip(targets, lessons, strict=True)):
            lesson = knowing(lesson, base, chosen)
            rows = {f"real, {wording}": whitened_rows(lesson, "real", named.texts(wording), chosen) for wording in WORDINGS}
            results = few_shots(target.with_params(chosen), lesson, named, rows, pool, seed)
            found += [arms[arm].mean() for arms in results.values() for arm in ("text and shots", "other wordings and shots")]
        return float(np.mean(found))

    return score
