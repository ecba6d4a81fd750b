"""The refined detector as one module, to be used without the pipeline that made it.

detector = RefinedDetector.from_pretrained("models/refined")
for found in detector.detect(["part.png"]):
    for box, score, label in zip(found.boxes, found.scores, found.labels):
        print(detector.settings.classes[label], f"{score:.2f}", box.tolist())
"""

import copy
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from pydantic import Field, ValidationError
from torch import Tensor, nn
from torchvision.ops import box_convert
from transformers import Deimv2ForObjectDetection

from zerostart.config import FrozenModel, Number, Positive, explain_problems
from zerostart.datasets.pictures import open_rgb
from zerostart.datasets.splits import class_names, read_split
from zerostart.detector.mirror import FLIPS, TEST_VIEWS, mirrored, unflip
from zerostart.detector.model import load_detector, look, save_detector
from zerostart.detector.pixels import pixel_values, resized
from zerostart.errors import InputError
from zerostart.inference.detections import Detections, DetectorName, top_pairs
from zerostart.inference.folded_fusion import FoldedFusion
from zerostart.method.checkpoint import load_fusion, save_fusion
from zerostart.method.fusion import Fusion
from zerostart.method.merged_views import ROUNDS, merge_queries
from zerostart.outputs import output_folder, write_json
from zerostart.params import Params
from zerostart.records import WRONG_SHAPE, read_json

SETTINGS_FILE = "refined.json"
Share = Annotated[Number, Field(ge=0, le=1)]


class Thresholds(FrozenModel):
    """Score from which a box counts, chosen on val (best F1)."""

    baseline: Share
    refined: Share


class Temperatures(FrozenModel):
    """By what logits are divided to make scores probabilities, chosen on val; 1 leaves them as they are."""

    baseline: Positive = 1.0
    refined: Positive = 1.0


class Settings(FrozenModel):
    """What a refined detector is beside its weights; `refined.json` of its folder."""

    dataset: str
    classes: tuple[str, ...]
    critical: tuple[str, ...]
    prompts: dict[str, tuple[str, ...]]
    """The sentences that describe each class."""
    threshold: Thresholds
    temperature: Temperatures = Temperatures()
    """Scores are never tempered here: `python -m zerostart.predict --calibrated` does it to those that it writes."""
    test_flips: Literal["none", "horizontal", "vertical", "both", "all"]
    merge_iou: Share
    version: str
    """Of zerostart, which wrote it."""


class Seen(NamedTuple):
    """What B images give: Q queries each."""

    boxes: Tensor
    """B×Q×4 cxcywh as fractions of the image."""
    scores: Tensor
    """B×Q×K in [0, 1]; 0 where there is no query."""
    base: Tensor
    """B×Q×K: the detector's own logits; 0 where the text replaces them."""
    delta: Tensor
    """B×Q×K: what the trained difference of the class head adds to them."""
    text: Tensor
    """B×Q×K: what the text adds to them, alpha · S. With merged mirror images these three are those of each group's best query,
    so that the sigmoid of their sum is that query's score, not the merged one."""


class Views(NamedTuple):
    """What B images and their mirror images give: V views with Q queries each, boxes where they lie in the image itself."""

    boxes: Tensor
    """B×V×Q×4."""
    scores: Tensor
    """B×V×Q×K, as the following; see `Seen`."""
    base: Tensor
    delta: Tensor
    text: Tensor


class RefinedDetector(nn.Module):
    """A detector with a fusion behind it, and the frozen detector that both came from.

    detector and baseline are the same module unless the decoder was tuned.
    """

    def __init__(
        self,
        detector: Deimv2ForObjectDetection,
        fusion: Fusion | FoldedFusion,
        settings: Settings,
        baseline: Deimv2ForObjectDetection | None = None,
    ):
        super().__init__()
        self.detector, self.fusion, self.settings = detector, fusion, settings
        self.baseline = baseline or detector
        self.rounds: int | None = None  # of merge_queries
        if fusion.config.visual_dim != detector.config.d_model:
            raise InputError(
                f"the fusion was trained on {fusion.config.visual_dim} features per query, but the detector has"
                f" {detector.config.d_model}; the detector that it was trained with is expected"
            )
        if tuple(fusion.config.classes) != settings.classes:
            raise InputError(f"the fusion was trained for {fusion.config.classes}, but the classes are {settings.classes}")
        self.eval().requires_grad_(False)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "RefinedDetector":
        """Read a folder of :meth:`save_pretrained`, in eval mode; InputError when it is not a complete one."""
        path = Path(folder) / SETTINGS_FILE
        raw = read_json(path, "`python -m zerostart.export --format safetensors` writes it")
        try:
            settings = Settings.model_validate(raw)
        except ValidationError as error:
            raise InputError(f"{path}: {explain_problems(error, kind='key')}") from None
        classes = list(settings.classes)
        tuned = path.with_name("baseline")
        baseline = load_detector(tuned, classes) if tuned.is_dir() else None
        return cls(load_detector(folder, classes), load_fusion(folder, classes), settings, baseline)

    @classmethod
    def from_pipeline(cls, checkpoint: str | Path, params: Params, root: str | Path = ".") -> "RefinedDetector":
        """Assemble what the pipeline in the folder `root` has made.

        checkpoint: with fusion.json and fusion.safetensors, and a whole detector where the decoder was tuned; without one
        data/baseline is taken. Raises InputError when a file is missing or they belong to different data sets or classes.
        """
        root, checkpoint = Path(root), Path(checkpoint)
        info = read_split("val", root / "data/coco")
        classes = class_names(info)
        if info["info"]["dataset"] != params.dataset:
            made_from = info["info"]["dataset"]
            raise InputError(f"{root / 'data/coco'}: made from the data set {made_from!r}; {params.dataset!r} is expected")
        prompts = _prompts(root / "data/prompts_expanded.json")
        if list(prompts) != classes:
            raise InputError(f"{root / 'data/prompts_expanded.json'}: describes {list(prompts)}; the data set has {classes}")
        evaluated = root / "metrics/evaluate.json"
        chosen = read_json(evaluated, "the stage `evaluate` writes it")
        baseline = load_detector(root / "data/baseline", classes)
        tuned = (checkpoint / "model.safetensors").is_file()
        settings = Settings(
            dataset=params.dataset,
            classes=classes,
            critical=info["info"]["critical"],
            prompts=prompts,
            threshold=_thresholds(chosen, evaluated),
            temperature=_temperatures(chosen, evaluated),
            test_flips=params.test_flips,
            merge_iou=params.merge_iou,
            version=_version(),
        )
        detector = load_detector(checkpoint, classes) if tuned else baseline
        return cls(detector, load_fusion(checkpoint, classes), settings, baseline)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write detector, fusion, `refined.json` and, if the decoder was tuned, the baseline.

        Replaces a folder that an earlier call wrote. Raises InputError where something else lies there.
        """
        with output_folder(folder) as temporary:
            self.write_into(temporary)

    def write_into(self, folder: Path) -> None:
        """The files of :meth:`save_pretrained`, into an empty folder."""
        save_detector(self.detector, folder)
        save_fusion(self.fusion, folder)
        write_json(folder / SETTINGS_FILE, self.settings.model_dump())
        if self.baseline is not self.detector:
            save_detector(self.baseline, folder / "baseline")

    @property
    def image_size(self) -> int:
        """Side of the detector's square input in pixels."""
        return self.detector.config.eval_size[0]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def folded(self) -> "RefinedDetector":
        """The same for exported graphs: text branch folded, a fixed number of rounds."""
        if isinstance(self.fusion, FoldedFusion):
            return self
        detector = copy.copy(self)
        detector._modules = self._modules | {"fusion": FoldedFusion(self.fusion)}
        detector.rounds = ROUNDS
        return detector

    def look(self, pixels: Tensor) -> Seen:
        """All queries of images (B×3×S×S uint8 RGB, S: `image_size`) with their mirror images merged."""
        return self.merged(self.look_at_views(pixels))

    def look_at_views(self, pixels: Tensor) -> Views:
        """What the images of :meth:`look` and their mirror images give, which pass through the detector as one batch."""
        values = pixel_values(pixels)
        flips = [FLIPS[number] for number in TEST_VIEWS[self.settings.test_flips]]
        seen = look(self.detector, pixel_values=torch.cat([mirrored(values, flip) for flip in flips]))
        delta, text = self.fusion.contributions(seen["hidden"])
        base = seen["logits"]
        if self.fusion.config.mode == "replace":
            base = torch.zeros_like(base)  # the text stands in its place
        refined = base + delta + text
        # V·B×Q×C, view by view, to B×V×Q×C.
        refined, base, delta, text = (t.unflatten(0, (len(flips), -1)).transpose(0, 1) for t in (refined, base, delta, text))
        views = seen["boxes"].unflatten(0, (len(flips), -1))
        boxes = torch.stack([unflip(view, flip) for view, flip in zip(views.unbind(0), flips, strict=True)], dim=1)
        return Views(boxes, refined.sigmoid(), base, delta, text)

    def merged(self, views: Views, merge_iou: float | None = None) -> Seen:
        """The views as one set of queries; merge_iou: by default the one of `settings`."""
        boxes, scores, base, delta, text = views
        if boxes.shape[1] == 1:
            return Seen(*(tensor[:, 0] for tensor in views))
        merged = merge_queries(boxes, scores, merge_iou or self.settings.merge_iou, self.rounds)
        best = merged.best.unsqueeze(2).expand(-1, -1, base.shape[-1])
        parts = (tensor.flatten(1, 2).gather(1, best) for tensor in (base, delta, text))
        return Seen(merged.boxes, merged.scores, *parts)

    def look_as_baseline(self, pixels: Tensor) -> Seen:
        """The same images as the frozen detector sees them: one look, nothing added."""
        seen = look(self.baseline, pixel_values=pixel_values(pixels))
        nothing = torch.zeros_like(seen["logits"])
        return Seen(seen["boxes"], seen["logits"].sigmoid(), seen["logits"], nothing, nothing)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (B×Q×4, cxcywh as fractions of the image) and scores (B×Q×K) of images (B×3×S×S uint8 RGB)."""
        seen = self.look(pixels)
        return seen.boxes, seen.scores

    @torch.inference_mode()
    def detect(
        self,
        images: Sequence[str | Path | Image.Image | np.ndarray],
        threshold: float | None = None,
        which: DetectorName = "refined",
        batch_size: int = 16,
    ) -> list[Detections]:
        """What is found in images: paths, PIL images or arrays (H×W×3 or H×W), of any size and mode.

        threshold: lowest score that counts; by default the one chosen on val. A box has one class, its best.
        Raises InputError for an image that cannot be read.
        """
        found = []
        for start in range(0, len(images), batch_size):
            opened = [open_rgb(image) for image in images[start : start + batch_size]]
            pixels = torch.from_numpy(np.stack([resized(image, self.image_size) for image in opened]))
            for (width, height), one in zip((image.size for image in opened), self.find(pixels, threshold, which), strict=True):
                found.append(one._replace(boxes=one.boxes * np.float32([width, height, width, height])))
        return found

    @torch.inference_mode()
    def find(
        self, pixels: Tensor, threshold: float | None = None, which: DetectorName = "refined", every_class: bool = False
    ) -> list[Detections]:
        """As :meth:`detect` for images at the input's size (B×3×S×S uint8): boxes are fractions of the image.

        every_class: the 300 best pairs of a box and a class, as COCO's metrics want it, not each box with its best class.
        """
        threshold = getattr(self.settings.threshold, which) if threshold is None else threshold
        seen = (self.look if which == "refined" else self.look_as_baseline)(pixels.to(self.device))
        return detections_of(seen, threshold, every_class)


def detections_of(seen: Seen, threshold: float, every_class: bool = False) -> list[Detections]:
    """What counts of all queries of B images, as :meth:`RefinedDetector.find` gives it; boxes are fractions of the image."""
    scores = seen.scores
    if not every_class:
        best = scores.argmax(dim=2, keepdim=True)
        scores = torch.where(torch.arange(scores.shape[2], device=best.device) == best, scores, -1)
    query, score, label = top_pairs(scores)
    kept = (score >= threshold) & (score > 0)
    seen = seen._replace(boxes=box_convert(seen.boxes, "cxcywh", "xyxy").clamp(0, 1))
    found = []
    for image, keep in enumerate(kept):
        at = query[image][keep]
        boxes, base, delta, text = (part[image][at].cpu().numpy() for part in (seen.boxes, *seen[2:]))
        found.append(Detections(boxes, *(t[image][keep].cpu().numpy() for t in (score, label)), base, delta, text))
    return found


def _thresholds(chosen: Any, path: Path) -> Thresholds:
    try:
        return Thresholds.model_validate(chosen["threshold"])
    except (KeyError, TypeError, ValidationError):
        raise InputError(f"{path}: no thresholds of baseline and refined detector; the stage `evaluate` writes them") from None


def _temperatures(chosen: Any, path: Path) -> Temperatures:
    try:
        return Temperatures.model_validate(chosen.get("temperature", {}))
    except (AttributeError, ValidationError):
        raise InputError(f"{path}: 'temperature' is not that of baseline and refined detector; `evaluate` writes it") from None


def _prompts(path: Path) -> dict[str, list[str]]:
    raw = read_json(path, "the stage `prompts` writes it")
    try:
        return {entry["class"]: entry["sentences"] for entry in raw}
    except WRONG_SHAPE:
        raise InputError(f"{path}: not the sentences of the classes; the stage `prompts` writes it") from None


def _version() -> str:
    try:
        return version("zerostart")
    except PackageNotFoundError:  # run from the source tree
        return "0.1.0"
