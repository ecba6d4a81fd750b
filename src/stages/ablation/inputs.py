"""inputs: all that is frozen, once per data set: `python -m stages.ablation.inputs DATASET`.

The checked splits, the detector's features, and the class embeddings of every prompt set and of every control.
"""

from pathlib import Path

import numpy as np
import torch

from zerostart.ablation.control_texts import CONTROLS, random_words
from zerostart.ablation.params import AblationParams, load_ablation_params
from zerostart.cache.views import view_name
from zerostart.cache.writing import write_view
from zerostart.datasets.cards import Card, load_card
from zerostart.datasets.checks import build_splits
from zerostart.detector.mirror import FLIPS
from zerostart.detector.model import load_detector
from zerostart.device import default_device
from zerostart.errors import dataset_argument, run_stage
from zerostart.language.prompts import PROMPT_SETS, expand_prompts, load_prompts
from zerostart.language.text_encoders import class_embeddings, load_text_encoder
from zerostart.outputs import stage_folder, write_array, write_json


def main() -> str:
    dataset = dataset_argument()
    params, card = load_ablation_params(), load_card(dataset)
    raw = Path("data/raw") / dataset
    torch.set_num_threads(1)  # the same sums on any number of cores; the detector sees batches side by side
    texts = embed_texts(card, params)
    cocos = build_splits(card, raw)
    detector = load_detector(f"data/baselines/{dataset}", card.classes)
    detector.to(default_device())
    with stage_folder(f"data/ablation/{dataset}/inputs") as folder:
        for split, coco in cocos.items():
            write_json(folder / "coco" / f"{split}.json", coco)
            for view in range(1 + params.experiment.augment_views if split == "train" else 1):
                write_view(folder / "features" / view_name(split, view), detector, coco, raw, FLIPS[view])
        (folder / "texts").mkdir()
        for name, embeddings in texts.items():
            write_array(folder / "texts" / f"{name}.npy", embeddings.astype(np.float32))
    return f"data/ablation/{dataset}/inputs: {len(texts)} sets of class embeddings"


def embed_texts(card: Card, params: AblationParams) -> dict[str, np.ndarray]:
    """K×D_t for each prompt set, S×K×D_t for each control."""
    path = f"data/prompts/{card.prompts}.yaml"
    prompts, encoder = load_prompts(path), load_text_encoder(params.experiment.text_encoder)
    texts = {
        prompt_set: class_embeddings(encoder, expand_prompts(prompts, card.classes, prompt_set, path))
        for prompt_set in PROMPT_SETS
    }
    generators = [np.random.default_rng(seed) for seed in range(params.seeds)]
    controls = {name: np.stack([make(texts["descriptive"], rng) for rng in generators]) for name, make in CONTROLS.items()}
    waffle = [class_embeddings(encoder, random_words(prompts, card.classes, rng)) for rng in generators]
    return texts | controls | {"random_words": np.stack(waffle)}


if __name__ == "__main__":
    run_stage(main)
