"""The arrays that the stage `embeddings` writes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zerostart.errors import InputError
from zerostart.outputs import stage_folder, write_array, write_json
from zerostart.records import read_json

FOLDER = "data/retrieval/embeddings"


@dataclass(frozen=True)
class Embeddings:
    """Unit rows in the order of the table of crops."""

    embedder: str
    images: np.ndarray
    """N×D float32, of the pictures."""
    texts: np.ndarray
    """N×D float32, of the contexts."""
    probe: np.ndarray
    """2×D float32: `probes.probe` of the embedder."""


def write_embeddings(embeddings: Embeddings, folder: str | Path = FOLDER) -> None:
    """Write a folder, atomically."""
    with stage_folder(folder) as temporary:
        for name in ("images", "texts", "probe"):
            write_array(temporary / f"{name}.npy", getattr(embeddings, name))
        write_json(temporary / "about.json", {"embedder": embeddings.embedder})


def read_embeddings(crops: int, folder: str | Path = FOLDER) -> Embeddings:
    """Read a folder; raises InputError when it is missing or was not made of `crops` crops."""
    folder = Path(folder)
    about = read_json(folder / "about.json", "the stage `embeddings` writes it")
    if not isinstance(about, dict) or "embedder" not in about:
        raise InputError(f"{folder / 'about.json'}: 'embedder' is missing; the stage `embeddings` writes it")
    try:
        images, texts, probe = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("images", "texts", "probe"))
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; the stage `embeddings` writes it") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{folder}: not readable ({error}); the stage `embeddings` writes it") from None
    if not len(images) == len(texts) == crops:
        raise InputError(f"{folder}: {len(images)} pictures and {len(texts)} texts; those of {crops} crops are expected")
    return Embeddings(about["embedder"], images, texts, probe)
