"""A vocabulary, an encoder and a data set's files for classes that come as sentences."""

from pathlib import Path

import numpy as np
import torch
from tiny_detector import CLASSES, tiny_detector

from zerostart.language.text_encoders import TextEncoder
from zerostart.novel.fingerprint import fingerprint
from zerostart.novel.rows import SavedVocabulary

CARD = """# The parts' card.
name: parts
format: coco
obtain: it is made by the tests
prompts: parts
classes:
  - crack
  - dent
critical: [crack]
splits:
  train: {annotations: a.json, images: .}
  val: {annotations: b.json, images: .}
  test: {annotations: c.json, images: .}
"""
PROMPTS = """# Descriptions by hand.
descriptions:
  crack: [a dark jagged line]
  dent: [a hollow]
"""


def write_card_and_prompts(root: Path) -> None:
    for kind, text in (("datasets", CARD), ("prompts", PROMPTS)):
        (root / "data" / kind).mkdir(parents=True)
        (root / "data" / kind / "parts.yaml").write_text(text)


def encoder(_name="minilm") -> TextEncoder:
    """A sentence becomes five numbers of its letters."""

    def embed(sentences):
        return torch.tensor([[sum(map(ord, text)) % (17 + index) + 1.0 for index in range(5)] for text in sentences])

    return TextEncoder("letters", embed, lambda sentence: len(sentence) < 60)


def vocabulary(size: int, classes=CLASSES) -> SavedVocabulary:
    rng = np.random.default_rng(0)
    settings = {
        "classes": list(classes),
        "gain": 3.0,
        "shift": 1.0,
        "regions": True,
        "language": "en",
        "text_encoder": "minilm",
        "worth": 1.0,
        "detector": fingerprint(tiny_detector()),
    }
    return SavedVocabulary(
        rng.standard_normal((size, 5)),
        np.zeros(5),
        rng.standard_normal(size),
        np.ones(size),
        np.zeros(size),
        np.eye(size),
        settings,
    )
