"""Which picture to label next: the one whose verdict teaches most.

uncertainty = Σ over detections of (1 − p where the score reaches the threshold, p where it does not): the expected number of
wrong decisions in the picture, p the score as a probability (its logit divided by the temperature chosen on val). Of the
refined detector, or of the baseline where only that was asked for.

score = uncertainty + max(0, novelty − 1): a picture that is as far from the tagger's own as two usual ones counts like one
wrong decision more.
"""

import math
from typing import Any


def worth(answer: dict[str, Any], temperatures: dict[str, float]) -> dict[str, float | None]:
    """uncertainty, novelty (None without a tagger) and score of an answer."""
    engine = "refined" if "refined" in answer["detections"] else "baseline"
    found = answer["detections"].get(engine, [])
    limit = answer["thresholds"].get(engine, 1.0)
    uncertainty = 0.0
    for detection in found:
        p = _probability(detection["score"], temperatures.get(engine, 1.0))
        uncertainty += 1 - p if detection["score"] >= limit else p
    novelty = answer["tags"]["novelty"] if answer["tags"] else None
    score = uncertainty + (max(0.0, novelty - 1) if novelty is not None else 0.0)
    return {"uncertainty": round(uncertainty, 6), "novelty": novelty, "score": round(score, 6)}


def _probability(score: float, temperature: float) -> float:
    kept = min(max(score, 1e-12), 1 - 1e-12)
    return 1 / (1 + math.exp(-math.log(kept / (1 - kept)) / temperature))
