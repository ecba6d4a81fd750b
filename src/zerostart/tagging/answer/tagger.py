"""Tags of a picture, from Python: `Tagger.load("models/tagging/toolbox").tag(decode(Path("photo.jpg")))`."""

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from PIL import Image
from timm.models.convnext import ConvNeXt

from zerostart.errors import InputError
from zerostart.tagging.answer.novelty import Home, novelty, picture_features
from zerostart.tagging.answer.rules import ENGINES, Rules, load_rules
from zerostart.tagging.answer.windows import WINDOWS, merged, window_scores
from zerostart.tagging.engine.model import load_engine
from zerostart.tagging.pictures.decoding import shrink


class Tag(NamedTuple):
    """One tag of a picture."""

    tag: str
    score: float
    """Merged over the windows."""
    window: str
    """The window with the highest score for it."""


class Answer(NamedTuple):
    """What a tagger says about a picture."""

    engine: str
    novelty: float
    """About 1 for a picture like the academic ones, higher for others."""
    tags: list[Tag]
    """Highest score first."""
    scores: dict[str, float]
    """The score of every tag of the card, given or not."""


class Tagger:
    """Both engines and the rules between them; everything is frozen."""

    def __init__(self, rules: Rules, home: Home, engines: dict[str, tuple[ConvNeXt, int]]):
        self.rules, self._home, self._engines = rules, home, engines

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read the folders `standard`, `hd` and `rules`; raises InputError when one is missing or has other tags."""
        rules, home = load_rules(Path(folder) / "rules")
        return cls(rules, home, {engine: load_engine(Path(folder) / engine, rules.tags) for engine in ENGINES})

    def tag(
        self, image: np.ndarray, engine: str = "auto", windows: int | None = None, threshold: float | None = None
    ) -> Answer:
        """Tags of an upright H×W×3 uint8 picture.

        engine: standard, hd or auto; windows: 1 or 6 (default: as trained); threshold: one for all tags instead of its own.
        Raises InputError for another engine or number of windows, and for a threshold outside 0..1.
        """
        if engine not in ("auto", *ENGINES):
            raise InputError(f"engine '{engine}'; auto, {' or '.join(ENGINES)} is expected")
        if windows not in (None, 1, len(WINDOWS)):
            raise InputError(f"{windows} windows; 1 or {len(WINDOWS)} are expected")
        if threshold is not None and not 0 <= threshold <= 1:
            raise InputError(f"threshold {threshold}; a number in 0..1 is expected")
        windows = self.rules.tiling.windows if windows is None else windows
        image = np.asarray(shrink(Image.fromarray(image), self.rules.longest))
        picture = torch.from_numpy(np.array(image.transpose(2, 0, 1)))
        standard, size = self._engines["standard"]
        away = float(novelty(self._home, picture_features(standard, [picture], size))[0])
        if engine == "auto":
            engine = self.rules.engine_for(max(image.shape[:2]), away)
        model, size = self._engines[engine]
        by_window = window_scores(model, [picture], size, windows, self.rules.tiling.overlap)
        scores = merged(by_window, self.rules.tiling.merge)[0]
        limits = self.rules.chosen(engine, windows) if threshold is None else np.full(len(scores), threshold)
        said_by = by_window[0].argmax(axis=0)
        tags = [
            Tag(tag, float(scores[k]), WINDOWS[said_by[k]]) for k, tag in enumerate(self.rules.tags) if scores[k] >= limits[k]
        ]
        ranked = sorted(tags, key=lambda tag: -tag.score)
        return Answer(engine, away, ranked, dict(zip(self.rules.tags, scores.tolist(), strict=True)))
