"""AP at IoU 0.5 of new classes over frozen boxes, on the test images and on resamples of them."""

import numpy as np

from zerostart.metrics.bootstrap import weighted_metrics
from zerostart.metrics.frozen_boxes import ClassMatches, FrozenBoxEvaluator
from zerostart.metrics.resampling import resample_weights


class NovelJudge:
    """Judges scores of some categories; the boxes of a picture's queries are matched once for all."""

    def __init__(self, boxes: np.ndarray, coco: dict, categories: list[int], weights: np.ndarray):
        """boxes N×Q×4; categories: those that are judged; weights: N×B, how often each picture counts."""
        index = {category: position for position, category in enumerate(categories)}
        kept = [a | {"category_id": index[a["category_id"]]} for a in coco["annotations"] if a["category_id"] in index]
        names = [coco["categories"][category] | {"id": position} for category, position in index.items()]
        image_ids = np.array([image["id"] for image in coco["images"]])
        self.evaluator = FrozenBoxEvaluator(boxes, image_ids, {**coco, "annotations": kept, "categories": names}, top_k=10**9)
        self.weights = weights[self.evaluator.order]

    def __call__(self, log_scores: np.ndarray) -> np.ndarray:
        """AP50 of every category on every weighting, K×B; NaN where there is no object. log_scores: N×Q×K, base e."""
        below = np.minimum(log_scores, -1e-9)
        logits = below - np.log1p(-np.exp(below))
        at_50 = [_first_level(match) for match in self.evaluator.match(logits)]
        return weighted_metrics(at_50, self.weights)[0]


def picture_weights(pictures: int, samples: int) -> np.ndarray:
    """N×(1+B): every picture once, then resamples, the same for all arms."""
    drawn = resample_weights(pictures, samples, np.random.default_rng(0))
    return np.hstack([np.ones((pictures, 1)), drawn])


def _first_level(match: ClassMatches) -> ClassMatches:
    return match._replace(true_positive=match.true_positive[:1])
