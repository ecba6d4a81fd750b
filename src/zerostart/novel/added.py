"""Classes added to a refined detector, and marks that it shall ignore, by sentences: data/classes/<data set>.yaml.

A known class keeps its scores bit for bit as long as nothing is ignored: what is added are queries of their own (those of
the plain view), with the new classes' scores and none for the known ones. `ignore` lowers the known classes where a sentence
fits.
"""

from pathlib import Path

import numpy as np
import torch
import yaml
from pydantic import Field, ValidationError
from torch import Tensor
from torchvision.ops import box_convert, box_iou

from zerostart.config import FrozenModel, explain_problems
from zerostart.detector.pixels import pixel_values
from zerostart.errors import InputError
from zerostart.inference.refined_detector import RefinedDetector, Seen
from zerostart.language.text_encoders import TextEncoder, load_text_encoder
from zerostart.novel.captions import load_words, load_yaml, tokens
from zerostart.novel.regions import look_at_regions
from zerostart.novel.rows import SavedVocabulary, load_vocabulary
from zerostart.novel.texts import encode, understood, unknown_words
from zerostart.outputs import output_file

STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "in",
        "is",
        "it",
        "like",
        "of",
        "on",
        "or",
        "that",
        "the",
        "to",
        "with",
        "one",
        "some",
        "any",
        "very",
    ]
)
SAME_BOX = 0.5
"""A query is ignored by what is said of the plain view's query with the highest IoU, if it is this high."""


class AddedClasses(FrozenModel):
    """What was added to a data set's classes."""

    new: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Name: sentences."""
    ignore: tuple[str, ...] = ()
    """Descriptions of what is no class and shall not be taken for one."""


def classes_path(dataset: str, folder: str | Path = "data/classes") -> Path:
    """Where a data set's additions stand."""
    return Path(folder) / f"{dataset}.yaml"


def load_added(path: Path) -> AddedClasses:
    """Read the additions; none where there is no file."""
    if not path.is_file():
        return AddedClasses()
    try:
        return AddedClasses.model_validate(load_yaml(path))
    except ValidationError as error:
        raise InputError(f"{path}: {explain_problems(error, kind='key')}") from None


def save_added(added: AddedClasses, path: Path) -> None:
    """Write the additions as YAML."""
    listed = {"new": {name: list(said) for name, said in added.new.items()}, "ignore": list(added.ignore)}
    with output_file(path) as temporary:
        temporary.write_text(yaml.safe_dump(listed, sort_keys=True, allow_unicode=True, width=1000), encoding="utf-8")


def check_sentence(name: str, sentence: str, encoder: TextEncoder) -> None:
    """Refuse an empty sentence and one that the encoder would cut."""
    if not sentence.strip():
        raise InputError(f"'{name}' has no sentence; a description of what it looks like is expected")
    if not encoder.fits(sentence):
        raise InputError(
            f"the sentence of '{name}' is longer than the text encoder '{encoder.name}' reads; a shorter one is expected"
        )


def remarks(sentence: str, language: str) -> list[str]:
    """What was understood of a sentence, and a warning for words that no caption has."""
    words = load_words(language)
    meant = ", ".join(f"{key} ({', '.join(hits)})" for key, hits in understood(sentence, words).items())
    lines = [f"understood: {meant}" if meant else "warning: no attribute word was understood; the class will hardly be found"]
    if unknown := [word for word in unknown_words(sentence, words) if word not in STOP_WORDS]:
        lines.append(
            f"warning: no caption has the words {', '.join(unknown)}; they act through the text encoder alone, if at all"
        )
    if len(set(tokens(sentence)) - STOP_WORDS) < 2:
        lines.append("warning: two or more words that describe the mark make it far easier to tell")
    return lines


def with_added_classes(detector: RefinedDetector, path: Path, root: str | Path = ".") -> "AddedDetector":
    """The detector with what a file of `python -m zerostart.classes` adds; the vocabulary is that of its data set."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; `python -m zerostart.classes add` writes it")
    vocabulary = load_vocabulary(Path(root) / "models/vocabulary" / detector.settings.dataset)
    return AddedDetector(detector, load_added(path), vocabulary, load_text_encoder(vocabulary.settings["text_encoder"]))


class AddedDetector(RefinedDetector):
    """A refined detector with classes, and with descriptions of what to ignore, that came as sentences."""

    def __init__(self, detector: RefinedDetector, added: AddedClasses, vocabulary: SavedVocabulary, encoder: TextEncoder):
        super().__init__(detector.detector, detector.fusion, detector.settings, detector.baseline)
        if clash := [name for name in added.new if name in detector.settings.classes]:
            raise InputError(f"'{clash[0]}' is a class that the detector knows; a new name is expected")
        if vocabulary.settings["classes"] != list(detector.settings.classes):
            theirs = ", ".join(vocabulary.settings["classes"])
            raise InputError(f"the vocabulary was learned beside the classes {theirs}; the detector has others")
        self.known, self.additions, self.vocabulary = len(detector.settings.classes), added, vocabulary
        described = [list(said) for said in added.new.values()] + [[sentence] for sentence in added.ignore]
        rows = [vocabulary.row(encode(encoder, said)) for said in described]
        size = len(vocabulary.mean)
        self.register_buffer("rows", torch.tensor(np.array([row for row, _ in rows]).reshape(-1, size), dtype=torch.float32))
        self.register_buffer("offsets", torch.tensor([offset for _, offset in rows], dtype=torch.float32))
        classes = (*detector.settings.classes, *added.new)
        self.settings = detector.settings.model_copy(
            update={"classes": classes, "prompts": detector.settings.prompts | dict(added.new)}
        )

    @torch.inference_mode()
    def look(self, pixels: Tensor, merge_iou: float | None = None) -> Seen:
        """As :meth:`RefinedDetector.look`, with the new classes' queries behind the others."""
        seen = super().look(pixels, merge_iou)
        plain = look_at_regions(self.detector, pixel_values(pixels))
        parts = ("hidden", "regions") if self.vocabulary.settings["regions"] else ("hidden",)
        features = torch.cat([plain[name] for name in parts], dim=2)
        z = features @ self.rows.mT + self.offsets
        fits = torch.nn.functional.logsigmoid(2 * (z - self.vocabulary.settings["shift"])) * self.vocabulary.settings["gain"]
        count = len(self.additions.new)
        if self.additions.ignore:
            seen = _ignoring(seen, plain["boxes"], fits[..., count:].exp().amax(dim=2))
        scores = (fits[..., :count] + torch.nn.functional.logsigmoid(plain["logits"].amax(dim=2, keepdim=True))).exp()
        return _with_queries(seen, plain["boxes"], scores, self.known)


def _ignoring(seen: Seen, boxes: Tensor, ignored: Tensor) -> Seen:
    """Scores times 1 − how well the query's box fits a description of what to ignore (B×Q0 for boxes B×Q0×4)."""
    kept = []
    for own, plain, share in zip(seen.boxes, boxes, ignored, strict=True):
        iou, which = box_iou(box_convert(own, "cxcywh", "xyxy"), box_convert(plain, "cxcywh", "xyxy")).max(dim=1)
        kept.append(1 - share[which] * (iou >= SAME_BOX))
    return seen._replace(scores=seen.scores * torch.stack(kept)[..., None])


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
