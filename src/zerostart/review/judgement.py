"""Is one revision better than another? One sentence, with the interval of their difference where there is one."""

from typing import NamedTuple

from zerostart.errors import InputError, shown
from zerostart.evaluation.paired_samples import PairedSamples, intervals, parse_samples
from zerostart.evaluation.verdict import reservations
from zerostart.records import WRONG_SHAPE, parse_json
from zerostart.review.revisions import Revision

METRICS_FILE, SAMPLES_FILE = "metrics/evaluate.json", "metrics/bootstrap.json"


class Evaluation(NamedTuple):
    """What the stage `evaluate` left in one revision."""

    name: str
    composite: float | None
    """Of the refined detector on test; None when the revision has no such metric."""
    samples: PairedSamples | None
    """None when the revision is older than they are."""
    reservations: tuple[str, ...] = ()
    """What its data do not allow to be said, see :func:`zerostart.evaluation.verdict.reservations`."""


class Verdict(NamedTuple):
    """A comparison of two revisions in words."""

    sentence: str
    same_test: bool
    """Whether their numbers may be subtracted."""


def read_evaluation(revision: Revision) -> Evaluation:
    """Read a revision's evaluation; raises InputError when its files are not what this stage writes."""
    text, samples = revision.read(METRICS_FILE), revision.read(SAMPLES_FILE)
    where = f"{METRICS_FILE} of {revision.name}"
    found = {} if text is None else parse_json(text, where)
    if not isinstance(found, dict):
        raise InputError(f"{where}: a JSON object is expected")
    composite = found.get("composite")
    if not isinstance(composite, float | int | None) or isinstance(composite, bool):
        raise InputError(f"{where}: 'composite' is {shown(composite)}; a number is expected")
    name = f"{SAMPLES_FILE} of {revision.name}"
    parsed = None if samples is None else parse_samples(samples, name)
    return Evaluation(revision.name, composite, parsed, _reservations(found.get("data", {}), where))


def _reservations(data: object, where: str) -> tuple[str, ...]:
    try:
        return tuple(reservations(data))
    except WRONG_SHAPE:
        raise InputError(f"{where}: 'data' is {shown(data)}; counts of records and of objects are expected") from None


def verdict_on(base: Evaluation, other: Evaluation, differences: bool) -> Verdict:
    """The verdict on `other`; differences: whether any parameter, metric or dependency differs."""
    pair = f"`{other.name}` against `{base.name}`"
    if not differences and base[1:] == other[1:]:
        return Verdict(f"{pair}: no differences at all in parameters, dependencies and metrics.", True)
    for one in (base, other):
        if one.composite is None:
            return Verdict(f"{pair}: not compared, because `{one.name}` has no composite in {METRICS_FILE}.", False)
    numbers = f"composite {other.composite:.4f} and {base.composite:.4f}"
    for one in (base, other):
        if one.samples is None:
            reason = f"`{one.name}` is from before {SAMPLES_FILE} existed, so there is no interval"
            return Verdict(f"{pair}: {numbers}, side by side only: {reason}.", False)
    if reason := _other_test(base, other):
        return Verdict(f"{pair}: not compared, {reason} ({numbers}, side by side only).", False)
    if reason := _not_paired(base.samples, other.samples):
        return Verdict(f"{pair}: {numbers}, without an interval: {reason}.", base.samples.lambdas == other.samples.lambdas)
    return Verdict(f"{pair}: {_paired(base, other)}.", True)


def _other_test(base: Evaluation, other: Evaluation) -> str | None:
    old, new = base.samples, other.samples
    if old.dataset != new.dataset:
        return f"another data set: `{base.name}` was judged on {old.dataset}, `{other.name}` on {new.dataset}"
    if old.test != new.test:
        return f"another test set: the test images or objects of {old.dataset} differ"
    return None


def _not_paired(old: PairedSamples, new: PairedSamples) -> str | None:
    if old.lambdas != new.lambdas:
        return "the composite's weights (`lambdas`) differ, so it is not the same number"
    if old.samples != new.samples:
        return f"{old.samples} and {new.samples} bootstrap samples cannot be paired"
    return None


def _paired(base: Evaluation, other: Evaluation) -> str:
    low, high = intervals(base.samples.scores("refined"), other.samples.scores("refined"))["composite"]
    found = f"composite {other.composite - base.composite:+.4f}, 95 % interval [{low:+.4f}, {high:+.4f}]"
    where = f"on these {other.samples.images} test images of {other.samples.dataset}"
    if low <= 0 <= high:
        return f"{found}: it includes 0, so no difference is shown {where}"
    return f"{found}: it excludes 0, `{other.name}` is {'better' if low > 0 else 'worse'} {where}"
