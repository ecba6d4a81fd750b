"""captions: the school's facts and the kinds said in sentences, and embedded: `python -m stages.novel.captions DATASET`."""

from pathlib import Path

import numpy as np
import torch

from zerostart.datasets.cards import load_card
from zerostart.errors import dataset_argument, run_stage
from zerostart.language.prompts import load_prompts
from zerostart.language.text_encoders import TextEncoder, load_text_encoder
from zerostart.novel.captions import Words, captions, load_words
from zerostart.novel.kinds import PURPOSES, Kind, has_facts, load_classes, load_kinds
from zerostart.novel.params import load_novel_params, of_dataset
from zerostart.novel.texts import encode, random_sentence, sentences_of, wrong_facts
from zerostart.outputs import stage_folder, write_array, write_json
from zerostart.records import read_json

RANDOM_SENTENCES = 300


def main() -> str:
    torch.set_num_threads(1)  # the same sums on any number of cores
    dataset, params = dataset_argument(), load_novel_params()
    card, encoder = load_card(dataset), load_text_encoder(params.text_encoder)
    languages = [load_words(language) for language in params.languages]
    path = Path(f"data/novel/{dataset}/pictures/school/annotations.json")
    objects = read_json(path, "the stage `school` writes it")["annotations"]
    rng = np.random.default_rng(params.school.seed)
    said = [
        text
        for index, one in enumerate(objects)
        for text in captions(one["attributes"], languages[index % len(languages)], params.captions_per_object, rng, params.omit)
    ]
    described = load_prompts(f"data/prompts/{card.prompts}.yaml").descriptions
    groups = {"classes": load_classes(dataset, list(card.classes), described)} if has_facts(dataset) else {}
    if of_dataset(params, dataset).kinds:
        groups |= {purpose: load_kinds(purpose) for purpose in PURPOSES}
    made_up = [random_sentence(rng) for _ in range(RANDOM_SENTENCES)]
    with stage_folder(f"data/novel/{dataset}/texts") as folder:
        embedded = encode(encoder, said).reshape(len(objects), params.captions_per_object, -1)
        write_array(folder / "captions.npy", embedded.astype(np.float32))
        write_array(folder / "random.npy", encode(encoder, made_up).astype(np.float32))
        write_json(folder / "captions.json", np.array(said, object).reshape(len(objects), -1).tolist())
        for name, kinds in groups.items():
            write_json(folder / f"{name}.json", [write_kind(kind, languages[0], encoder, folder / name) for kind in kinds])
    return f"data/novel/{dataset}/texts: {len(said)} captions of {len(objects)} objects, {len(set(said))} of them distinct"


def write_kind(kind: Kind, words: Words, encoder: TextEncoder, folder: Path) -> dict:
    """Write a kind's embedded sentences (wording: n×D_t) and return what they say."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    sentences = sentences_of(kind, words, seed=0)
    wrong = wrong_facts(kind, rng)
    sentences |= {f"wrong{number}": captions(facts, words, 6, rng) for number, facts in enumerate(wrong)}
    with (folder / f"{kind.name}.npz").open("wb") as file:
        np.savez(file, **{wording: encode(encoder, said).astype(np.float32) for wording, said in sentences.items()})
    return {"name": kind.name, "facts": kind.facts, "sentences": sentences}


if __name__ == "__main__":
    run_stage(main)
