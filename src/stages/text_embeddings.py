"""Stage `text_embeddings`: embed each class once with the frozen text encoder."""

from pathlib import Path

import numpy as np
import torch

from zerostart.errors import InputError, run_stage
from zerostart.language.text_encoders import class_cosines, class_embeddings, load_text_encoder
from zerostart.outputs import stage_folder, write_array, write_csv, write_json
from zerostart.params import load_params
from zerostart.records import read_json

SENTENCES = Path("data/prompts_expanded.json")


def main() -> str:
    params = load_params()
    torch.set_num_threads(1)  # the same sums on any number of cores
    sentences = _read_sentences()
    embeddings = class_embeddings(load_text_encoder(params.text_encoder), sentences)
    with stage_folder("data/text_embeddings") as folder:
        write_array(folder / "embeddings.npy", embeddings)
        write_json(folder / "classes.json", list(sentences))
    _write_cosines(list(sentences), class_cosines(embeddings))
    count, size = embeddings.shape
    return f"text_embeddings: {count} classes, {size} dimensions ({params.text_encoder})"


def _read_sentences() -> dict[str, list[str]]:
    raw = read_json(SENTENCES, "stage prompts writes it")
    try:
        if not raw:
            raise TypeError
        return {entry["class"]: entry["sentences"] for entry in raw}
    except (KeyError, TypeError):
        raise InputError(f"{SENTENCES}: a list of classes with sentences, as stage prompts writes it, is expected") from None


def _write_cosines(classes: list[str], cosines: np.ndarray) -> None:
    rows = [
        (class_a, class_b, round(cosine, 6) + 0.0)  # + 0.0 turns -0.0 into 0.0
        for class_a, row in zip(classes, cosines, strict=True)
        for class_b, cosine in zip(classes, row, strict=True)
    ]
    write_csv("plots/class_cosines.csv", ("class_a", "class_b", "cosine"), rows)


if __name__ == "__main__":
    run_stage(main)
