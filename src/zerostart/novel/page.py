"""The page of the experiment: tables, the head-room check, and a verdict that is made from the numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from zerostart.novel.intervals import Estimate, estimate, holm, of_each

Table = Mapping[str, np.ndarray]
"""Arm: S×K×(1+B)."""

REAL, ORACLE, MEANINGLESS = "real, captions", "attributes", "shuffled"
LABELS = {
    "real, captions": "sentence, worded like the captions",
    "real, together": "sentence, two other wordings together",
    "real, inspector": "sentence, an inspector's wording",
    "real, plain": "sentence, anybody's wording",
    "bag, captions": "bag of words, worded like the captions",
    "bag, together": "bag of words, two other wordings together",
    "bag, inspector": "bag of words, an inspector's wording",
    "bag, plain": "bag of words, anybody's wording",
    "attributes": "attribute vector, no words at all",
    "wrong": "sentence with one wrong attribute",
    "another's": "sentence of another kind",
    "shuffled": "captions shuffled over the objects",
    "isotropic": "random vectors",
    "random words": "random words",
    "nearest known class": "no text: nearest known class",
    "novelty: far from the known": "no text: objectness, and far from the known classes",
    "novelty: classes in doubt": "no text: objectness, and classes in doubt",
    "objectness": "no text: objectness",
    "supervised": "head trained on labels (not zero-shot)",
}
CONTROLS = (
    "another's",
    "shuffled",
    "isotropic",
    "random words",
    "nearest known class",
    "novelty: far from the known",
    "novelty: classes in doubt",
    "objectness",
)
"""What has no access to the meaning of the sentence. A bag of words and an attribute vector do have it."""
NEEDED_ERRORS = 5.0
"""So many standard errors must the facts be above shuffled captions, or the data cannot answer."""


def head_room(table: Table) -> tuple[float, bool]:
    """Standard errors by which the facts themselves beat shuffled captions, and whether that is enough."""
    difference = estimate(table[ORACLE] - table[MEANINGLESS])
    errors = difference.value / difference.error if difference.error > 0 else 0.0
    return errors, errors >= NEEDED_ERRORS


def zero_shot_rows(table: Table) -> list[dict[str, Any]]:
    """One row per arm: its AP50, the sentence's difference to it, its p value after Holm's correction."""
    differences = {arm: estimate(table[REAL] - table[arm]) for arm in LABELS if arm != REAL and arm in table}
    corrected = holm({arm: one.p_value for arm, one in differences.items()})
    rows = []
    for arm in LABELS:
        if arm not in table:
            continue
        row: dict[str, Any] = {"arm": arm, "ap50": estimate(table[arm])}
        if arm in differences:
            row |= {"difference": differences[arm], "p": corrected[arm]}
        rows.append(row)
    return rows


def best_control(table: Table) -> str:
    """The strongest control that knows nothing of the sentence's meaning."""
    return max((arm for arm in CONTROLS if arm in table), key=lambda arm: float(np.nanmean(table[arm][:, :, 0])))


def above_in_each(table: Table, arm: str) -> int:
    """In how many kinds or divisions the interval of sentence − arm is above 0."""
    return sum(one.low > 0 for one in of_each(table[REAL] - table[arm]))


def zero_shot_markdown(rows: list[dict[str, Any]]) -> str:
    """The table of one protocol."""
    lines = ["| arm | AP50 | sentence − arm | p (Holm) | detectable |", "|---|---|---|---|---|"]
    for row in rows:
        cells = [LABELS[row["arm"]], row["ap50"].shown()]
        if "difference" in row:
            shown = "<0.0001" if row["p"] < 0.0001 else f"{row['p']:.4f}"
            cells += [row["difference"].shown(sign=True), shown, f"{row['difference'].detectable:.3f}"]
        else:
            cells += ["", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


SHOT_ARMS = (
    "text and shots",
    "other wordings and shots",
    "shots",
    "shots, space of the captions",
    "shots, space of random vectors",
    "shots, raw features",
)


def shots_rows(tables: Mapping[int, Table]) -> list[dict[str, Any]]:
    """One row per number of shots: AP50 of the arms, and what the sentence adds; p after Holm over all numbers of shots.

    difference: to prototypes without any text; of_sentence: to prototypes in the space that the captions taught.
    """
    differences = {
        f"{name} {shots}": estimate(table["text and shots"] - table[arm])
        for name, arm in (("difference", "shots"), ("of_sentence", "shots, space of the captions"))
        for shots, table in tables.items()
    }
    corrected = holm({name: one.p_value for name, one in differences.items()})
    return [
        {"number": shots, "arms": {arm: estimate(table[arm]) for arm in SHOT_ARMS}}
        | {name: differences[f"{name} {shots}"] for name in ("difference", "of_sentence")}
        | {f"p_{name}": corrected[f"{name} {shots}"] for name in ("difference", "of_sentence")}
        for shots, table in tables.items()
    ]


def shots_markdown(rows: list[dict[str, Any]], zero: Estimate) -> str:
    """The few-shot table; zero: the sentence alone."""
    names = (
        "sentence and shots",
        "other wordings and shots",
        "shots, no text",
        "shots in the captions' space",
        "shots in a space of random vectors",
        "shots, raw features",
        "sentence − no text",
        "p (Holm)",
        "sentence − captions' space",
        "p (Holm)",
    )
    lines = [f"| shots | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}"]
    lines.append(f"| 0 | {zero.value:.3f} |{' |' * (len(names) - 1)}")
    for row in rows:
        cells = [str(row["number"]), *(f"{row['arms'][arm].value:.3f}" for arm in SHOT_ARMS)]
        for name in ("difference", "of_sentence"):
            cells += [row[name].shown(sign=True), "<0.0001" if row[f"p_{name}"] < 0.0001 else f"{row[f'p_{name}']:.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def curve_rows(tables: Mapping[int, Table]) -> list[dict[str, Any]]:
    """One row per number of captions."""
    return [
        {"captions": count, "real": estimate(table["real"]), "shuffled": estimate(table["shuffled"])}
        for count, table in tables.items()
    ]


def curve_markdown(rows: list[dict[str, Any]]) -> str:
    """The curve as a table."""
    lines = ["| distinct captions | real | shuffled |", "|---|---|---|"]
    lines += [f"| {row['captions']} | {row['real'].shown()} | {row['shuffled'].shown()} |" for row in rows]
    return "\n".join(lines)


IGNORED = {
    "real, captions": "sentences, worded like the captions",
    "real, together": "sentences, two other wordings together",
    "bag, captions": "bags of words",
    "attributes": "attribute vectors",
    "shuffled": "captions shuffled over the objects",
    "random words": "random words",
}


def exclusion_markdown(table: Table) -> str:
    """AP50 of the known classes among marks that are none of them, where descriptions of those marks are ignored."""
    plain = table["nothing ignored"]
    lines = ["| what is ignored | AP50 of the known classes | − nothing ignored |", "|---|---|---|"]
    lines.append(f"| nothing | {estimate(plain).shown()} | |")
    for arm, label in IGNORED.items():
        lines.append(f"| {label} | {estimate(table[arm]).shown()} | {estimate(table[arm] - plain).shown(sign=True)} |")
    return "\n".join(lines)


def each_markdown(names: list[str], table: Table, arms: tuple[str, ...]) -> str:
    """AP50 of every kind or division."""
    lines = [f"| | {' | '.join(LABELS[arm] for arm in arms)} |", f"|{'---|' * (len(arms) + 1)}"]
    columns = [of_each(table[arm]) for arm in arms]
    for index, name in enumerate(names):
        lines.append(f"| {name} | {' | '.join(f'{column[index].value:.3f}' for column in columns)} |")
    return "\n".join(lines)


def verdict(protocols: Mapping[str, Table], shots: list[dict[str, Any]], excluded: Table | None = None) -> str:
    """Where language helps, where it does not, and by how much.

    protocols: what is new ("8 kinds of mark ...") and its table.
    """
    said = []
    for what, table in protocols.items():
        errors, enough = head_room(table)
        if not enough:
            said.append(
                f"{what}: these data cannot answer; the facts themselves are {errors:.1f} standard errors above shuffled"
                f" captions, {NEEDED_ERRORS:.0f} are needed."
            )
            continue
        real, control = estimate(table[REAL]), best_control(table)
        gain = estimate(table[REAL] - table[control])
        word = "helps" if gain.low > 0 else "does harm" if gain.high < 0 else "makes no sure difference"
        said.append(
            f"{what}: language {word}: AP50 {real.value:.3f} from a sentence alone,"
            f" {estimate(table[control]).value:.3f} from the best control ({LABELS[control]}),"
            f" difference {gain.shown(sign=True)}; {_beside(table)}"
        )
    if shots:
        helped = [f"{row['of_sentence'].shown(sign=True)} at {row['number']}" for row in shots if row["of_sentence"].low > 0]
        said.append(
            f"Beside labelled objects that are compared in the captions' space, a kind's sentence adds {', '.join(helped)}."
            if helped
            else "Beside labelled objects that are compared in the captions' space, a kind's sentence adds nothing sure."
        )
    if excluded is not None:
        gain = estimate(excluded[REAL] - excluded["nothing ignored"])
        word = "raises" if gain.low > 0 else "lowers" if gain.high < 0 else "leaves as it is"
        said.append(
            f"Describing the marks that are no class {word} the AP50 of the known classes among them:"
            f" {gain.shown(sign=True)}, in other wordings"
            f" {estimate(excluded['real, together'] - excluded['nothing ignored']).shown(sign=True)}."
        )
    return " ".join(one[0].upper() + one[1:] for one in said)


def _beside(table: Table) -> str:
    parts = []
    for arm, name in (("bag, captions", "a bag of words"), ("attributes", "an attribute vector without a word")):
        one = estimate(table[REAL] - table[arm])
        how = "worse" if one.low > 0 else "better" if one.high < 0 else "no different"
        parts.append(f"{name} is {how} ({estimate(table[arm]).value:.3f})")
    other = estimate(table["real, together"])
    parts.append(f"in two wordings that no template has, the sentence reaches {other.value:.3f}")
    return ", ".join(parts) + "."
