"""Every arm's AP50 on what is new: zero-shot, with a few labelled objects, and by the number of captions."""

import copy
from collections.abc import Mapping

import numpy as np

from zerostart.novel.average_precision import NovelJudge
from zerostart.novel.material import Named, School, Seen
from zerostart.novel.params import NovelParams
from zerostart.novel.queries import SEEN_FROM, Looks, objectness
from zerostart.novel.texts import OWN_WORDING
from zerostart.novel.trial import Lesson, in_space, prototypes, vocabulary_of, zero_shot_rows
from zerostart.novel.vocabulary import Sums, named_rows, novel_scores, row_scores


class Target:
    """Test pictures and the standardised features of their queries.

    school: looks at the school's pictures. Scores are standardised over those of their queries that may be objects, as the
    commands do, which see one picture at a time: nothing is learned from the test pictures, not even how their scores spread.
    """

    def __init__(self, seen: Seen, school: Looks, lesson: Lesson, params: NovelParams):
        self.seen, self.school, self.params = seen, school, params
        self.judge: NovelJudge
        features = seen.looks.features
        self.features = lesson.scale(features).reshape(-1, features.shape[-1])
        self.objectness = seen.objectness.ravel()
        may_be_objects = objectness(school.logits) > SEEN_FROM
        self.reference, self.reference_logits = lesson.scale(school.features[may_be_objects]), school.logits[may_be_objects]

    def judged_by(self, judge: NovelJudge) -> "Target":
        """The same pictures, where other categories are looked for."""
        self.judge = judge
        return self

    def with_params(self, params: NovelParams) -> "Target":
        """The same target under other parameters; it shares the arrays."""
        other = copy.copy(self)
        other.params = params
        return other

    def standardised(self, rows: np.ndarray) -> np.ndarray:
        """N·Q×K scores of K×D rows, mean 0 and deviation 1 over the school's queries that may be objects."""
        return row_scores(rows, self.features, self.reference)

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """K×D rows whose scores have deviation 1 there."""
        return rows / np.maximum((self.reference @ rows.T).std(axis=0), 1e-12)[:, None]

    def ap(self, standardised: np.ndarray) -> np.ndarray:
        """AP50, K×B, of standardised scores beside objectness."""
        return self.ap_of(novel_scores(self.objectness, standardised, self.params.gain, self.params.shift))

    def ap_of(self, log_scores: np.ndarray) -> np.ndarray:
        """AP50, K×B, of log scores N·Q×K."""
        return self.judge(log_scores.reshape(*self.seen.objectness.shape, -1))


def zero_shot(
    target: Target, lesson: Lesson, named: Named, left_out: np.ndarray, school: School, seed: int
) -> dict[str, np.ndarray]:
    """Arm: AP50, K×B."""
    rows = zero_shot_rows(lesson, named, left_out, school, target.params, seed)
    wrong = rows.pop("wrong")
    results = {arm: target.ap(target.standardised(of_arm)) for arm, of_arm in rows.items()}
    results["wrong"] = np.mean([target.ap(target.standardised(one)) for one in wrong], axis=0)
    return results


def without_text(
    target: Target, lesson: Lesson, named: Named, known: Seen, known_names: Named, base: list[int]
) -> dict[str, np.ndarray]:
    """Arms that need no school: AP50, K×B. base: the classes that count as known (positions in the detector's logits)."""
    count = len(named.names)
    logits = target.seen.looks.logits.reshape(len(target.objectness), -1)[:, base].astype(np.float64)
    kept = np.isin(known.category, base)
    position = np.searchsorted(base, known.category[kept])
    heads = prototypes(lesson, known.features[kept], position, len(base))
    far = [-row_scores(heads, features, target.reference).max(axis=1) for features in (target.features, target.reference)]
    in_doubt = [-_shares(values).max(axis=1) for values in (logits, target.reference_logits[:, base].astype(np.float64))]
    alike = (named.texts(OWN_WORDING) @ known_names.texts(OWN_WORDING)[base].T).argmax(axis=1)
    log_class = -np.logaddexp(0.0, -logits)

    def same_for_all(values: np.ndarray) -> np.ndarray:
        return np.repeat(values[:, None], count, axis=1)

    return {
        "objectness": target.ap_of(same_for_all(target.objectness)),
        "novelty: far from the known": target.ap(same_for_all(_standard(*far))),
        "novelty: classes in doubt": target.ap(same_for_all(_standard(*in_doubt))),
        "nearest known class": target.ap_of(log_class[:, alike]),
    }


def _shares(logits: np.ndarray) -> np.ndarray:
    probability = 1 / (1 + np.exp(-logits))
    return probability / probability.sum(axis=1, keepdims=True)


def _standard(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return (values - reference.mean()) / max(reference.std(), 1e-9)


def supervised(target: Target, lesson: Lesson, labelled: Seen, categories: list[int]) -> np.ndarray:
    """AP50, K×B, of a head that was trained on every labelled object of the categories."""
    kept = np.isin(labelled.category, categories)
    rows = prototypes(lesson, labelled.features[kept], np.searchsorted(categories, labelled.category[kept]), len(categories))
    return target.ap(target.standardised(rows))


def few_shots(
    target: Target, lesson: Lesson, named: Named, rows: dict[str, np.ndarray], pool: Seen, seed: int, draws: int = 2
) -> dict[int, dict[str, np.ndarray]]:
    """Shots: arm: AP50, K×B, the mean of `draws` choices of labelled objects. rows: of :func:`zero_shot_rows`.

    A sentence counts as `worth` objects beside the labelled ones, which are compared in the space of the captions.
    """
    params, count = target.params, len(named.names)
    spaces = {space: vocabulary_of(lesson, space, params) for space in ("real", "isotropic")}
    said = {wording: target.scaled(rows[f"real, {wording}"]) for wording in (OWN_WORDING, "together")}
    results: dict[int, dict[str, np.ndarray]] = {}
    for shots in params.shots:
        found: dict[str, list[np.ndarray]] = {}
        for draw in range(draws):
            rng = np.random.default_rng(np.random.SeedSequence((22, seed, draw)))
            chosen = np.concatenate([rng.permutation(np.flatnonzero(pool.category == k))[:shots] for k in range(count)])
            features, category = pool.features[chosen], pool.category[chosen]
            standardised = lesson.scale(features)
            means = np.stack([standardised[category == k].mean(axis=0) for k in range(count)])
            head = target.standardised(prototypes(lesson, features, category, count))
            in_captions = in_space(spaces["real"], means)
            shown = shots * target.scaled(in_captions)
            arms = {
                "text and shots": target.standardised(params.worth * said[OWN_WORDING] + shown),
                "other wordings and shots": target.standardised(params.worth * said["together"] + shown),
                "shots": head,
                "shots, space of the captions": target.standardised(in_captions),
                "shots, space of random vectors": target.standardised(in_space(spaces["isotropic"], means)),
                "shots, raw features": target.standardised(means),
            }
            for arm, scores in arms.items():
                found.setdefault(arm, []).append(target.ap(scores))
        results[shots] = {arm: np.mean(values, axis=0) for arm, values in found.items()}
    return results


def exclusion(target: Target, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arm: AP50 of the known classes, C×B, where marks that fit a description of what is no class count less.

    target: judged on the known classes, in the order of the detector's logits. rows: K×D of the descriptions, by arm.
    """
    logits = target.seen.looks.logits.reshape(len(target.objectness), -1).astype(np.float64)
    log_class = -np.logaddexp(0.0, -logits)
    results = {"nothing ignored": target.ap_of(log_class)}
    for arm, of_arm in rows.items():
        fits = novel_scores(np.zeros(len(logits)), target.standardised(of_arm), target.params.gain, target.params.shift)
        results[arm] = target.ap_of(log_class + np.log1p(-np.exp(fits.max(axis=1, keepdims=True)) + 1e-12))
    return results


def caption_curve(
    target: Target, lesson: Lesson, named: Named, school: School, seed: int
) -> dict[int, Mapping[str, np.ndarray]]:
    """Number of distinct captions: AP50, K×B, of real and of shuffled ones, with the same objects throughout.

    Of m captions every object gets the one whose facts agree best with its own; shuffled, they change places.
    """
    results: dict[int, Mapping[str, np.ndarray]] = {}
    vectors = school.vectors[lesson.rows]
    captions = lesson.texts["real"].reshape(len(lesson.rows), -1, lesson.texts["real"].shape[1])
    each = captions.shape[1]
    features = lesson.captioned[::each]
    for count in target.params.caption_counts:
        rng = np.random.default_rng(np.random.SeedSequence((23, seed, count)))
        pairs = rng.permutation(len(lesson.rows) * each)[:count]
        agreement = vectors @ vectors[pairs // each].T + 0.1 * rng.random((len(vectors), len(pairs)))
        best = agreement.argmax(axis=1)
        chosen = captions.reshape(-1, captions.shape[2])[pairs]
        curves = {}
        for arm, order in (("real", np.arange(len(pairs))), ("shuffled", rng.permutation(len(pairs)))):
            sums = Sums.of(features, chosen[order][best])
            rows = named_rows(lesson.inverse, sums, target.params.ridge_text, named.texts(OWN_WORDING))
            curves[arm] = target.ap(target.standardised(rows))
        results[count] = curves
    return results


def confusion(scores: np.ndarray, category: np.ndarray, count: int) -> float:
    """Share of the new objects (M×K scores) whose highest score is that of their own kind, mean over the kinds."""
    right = scores.argmax(axis=1) == category
    return float(np.mean([right[category == k].mean() for k in range(count) if (category == k).any()]))
