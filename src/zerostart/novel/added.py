"""Classes added to a refined detector by sentences, and marks that it shall ignore.

A known class keeps its scores bit for bit as long as nothing is ignored: what is added are queries of their own (those of
the plain view), with the new classes' scores and none for the known ones. `ignore` lowers the known classes where a sentence
fits. A new class costs one row of D weights and an offset; all of them together one look at the regions of the plain view.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_convert

from zerostart.detector.pixels import pixel_values
from zerostart.errors import InputError
from zerostart.inference.refined_detector import RefinedDetector, Seen, Views
from zerostart.language.text_encoders import TextEncoder, load_text_encoder
from zerostart.novel.additions import Additions, load_additions
from zerostart.novel.fingerprint import fingerprint
from zerostart.novel.regions import look_at_regions
from zerostart.novel.rows import SavedVocabulary, load_vocabulary
from zerostart.novel.texts import encode

SAME_BOX = 0.5
"""A query is ignored by what is said of the plain view's query with the highest IoU, if it is this high."""


def with_added_classes(detector: RefinedDetector, root: str | Path = ".") -> "AddedDetector":
    """The detector with all that was added to its data set; InputError where nothing was, or no vocabulary was learned."""
    dataset = detector.settings.dataset
    additions = load_additions(dataset, root)
    if not additions.new and not additions.ignore:
        raise InputError(f"nothing was added to {dataset}; `python -m zerostart.classes add` or `exclude` does it")
    vocabulary = load_vocabulary(Path(root) / "models/vocabulary" / dataset)
    return AddedDetector(detector, additions, vocabulary, load_text_encoder(vocabulary.settings["text_encoder"]))


class _Looked(NamedTuple):
    views: Views
    plain: dict[str, Tensor]
    """Of `look_at_regions`."""


class AddedDetector(RefinedDetector):
    """A refined detector with classes, and with descriptions of what to ignore, that came as sentences."""

    def __init__(self, detector: RefinedDetector, added: Additions, vocabulary: SavedVocabulary, encoder: TextEncoder):
        super().__init__(detector.detector, detector.fusion, detector.settings, detector.baseline)
        if clash := [name for name in added.new if name in detector.settings.classes]:
            raise InputError(f"'{clash[0]}' is a class that the detector knows; a new name is expected")
        if vocabulary.settings["classes"] != list(detector.settings.classes):
            theirs = ", ".join(vocabulary.settings["classes"])
            raise InputError(f"the vocabulary was learned beside the classes {theirs}; the detector has others")
        if vocabulary.settings["detector"] != fingerprint(self.baseline):
            raise InputError("the vocabulary was learned on another detector's features; `make novel` learns one for this one")
        self.known, self.additions, self.vocabulary = len(detector.settings.classes), added, vocabulary
        described = [list(said) for said in added.new.values()] + [[sentence] for sentence in added.ignore]
        shots = [added.shots.get(name) for name in added.new] + [None] * len(added.ignore)
        if strange := [name for name, few in added.shots.items() if few.shape[1] != len(vocabulary.mean)]:
            raise InputError(f"the labelled boxes of '{strange[0]}' were seen by another detector; add them anew")
        rows = [vocabulary.row(encode(encoder, said), few) for said, few in zip(described, shots, strict=True)]
        size = len(vocabulary.mean)
        self.register_buffer("rows", torch.tensor(np.array([row for row, _ in rows]).reshape(-1, size), dtype=torch.float32))
        self.register_buffer("offsets", torch.tensor([offset for _, offset in rows], dtype=torch.float32))
        classes = (*detector.settings.classes, *added.new)
        self.settings = detector.settings.model_copy(
            update={"classes": classes, "prompts": detector.settings.prompts | dict(added.new)}
        )

    @torch.inference_mode()
    def look_at_views(self, pixels: Tensor) -> _Looked:
        """As :meth:`RefinedDetector.look_at_views`, and what the frozen detector says of the images themselves."""
        return _Looked(super().look_at_views(pixels), look_at_regions(self.baseline, pixel_values(pixels)))

    @torch.inference_mode()
    def merged(self, views: _Looked, merge_iou: float | None = None) -> Seen:
        """As :meth:`RefinedDetector.merged`, with the new classes' queries behind the others."""
        seen, plain = super().merged(views.views, merge_iou), views.plain
        parts = ("hidden", "regions") if self.vocabulary.settings["regions"] else ("hidden",)
        features = torch.cat([plain[name] for name in parts], dim=2)
        z = features @ self.rows.transpose(0, 1) + self.offsets
        fits = torch.nn.functional.logsigmoid(2 * (z - self.vocabulary.settings["shift"])) * self.vocabulary.settings["gain"]
        count = len(self.additions.new)
        if self.additions.ignore:
            seen = _ignoring(seen, plain["boxes"], fits[..., count:].exp().amax(dim=2))
        scores = (fits[..., :count] + torch.nn.functional.logsigmoid(plain["logits"].amax(dim=2, keepdim=True))).exp()
        return _with_queries(seen, plain["boxes"], scores, self.known)


def _ignoring(seen: Seen, boxes: Tensor, ignored: Tensor) -> Seen:
    """Scores times 1 − how well the query's box fits a description of what to ignore (B×Q0 for boxes B×Q0×4)."""
    iou, which = _pairwise_iou(seen.boxes, boxes).max(dim=2)
    kept = 1 - ignored.gather(1, which) * (iou >= SAME_BOX)
    return seen._replace(scores=seen.scores * kept[..., None])


def _pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of boxes B×Q×4 and B×Q0×4 (cxcywh): B×Q×Q0."""
    a, b = (box_convert(boxes, "cxcywh", "xyxy") for boxes in (first[:, :, None], second[:, None]))
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp(min=0).prod(dim=3)
    areas = (first[..., 2] * first[..., 3])[:, :, None] + (second[..., 2] * second[..., 3])[:, None]
    return shared / (areas - shared).clamp(min=1e-9)


def _with_queries(seen: Seen, boxes: Tensor, scores: Tensor, known: int) -> Seen:
    """Queries of the new classes (boxes B×Q0×4, scores B×Q0×n) behind those of the known ones, each with 0 for the others."""
    new = scores.shape[2]

    def widened(known_part: Tensor, new_part: Tensor, fill: float) -> Tensor:
        first = torch.nn.functional.pad(known_part, (0, new), value=fill)
        return torch.cat([first, torch.nn.functional.pad(new_part, (known, 0), value=fill)], dim=1)

    nothing = torch.zeros_like(scores)
    logits = torch.logit(scores, eps=1e-7)
    return Seen(
        torch.cat([seen.boxes, boxes], dim=1),
        widened(seen.scores, scores, 0.0),
        widened(seen.base, nothing, 0.0),
        widened(seen.delta, nothing, 0.0),
        widened(seen.text, logits, 0.0),
    )
