"""index: mix pictures and contexts into one vector per case and build the index with its metadata."""

import json
from pathlib import Path

import numpy as np

from zerostart.errors import run_stage
from zerostart.retrieval.case_index import CaseIndex, build_vectors
from zerostart.retrieval.mixing import mix
from zerostart.retrieval.params import load_retrieval_params
from zerostart.retrieval.tables import read_table

EMBEDDINGS, OUTPUT = Path("data/retrieval/embeddings"), "data/retrieval/index"
PICTURES = "data/retrieval/crops/images"


def main() -> str:
    params = load_retrieval_params()
    images, texts, probe = (np.load(EMBEDDINGS / f"{name}.npy") for name in ("images", "texts", "probe"))
    embedder = json.loads((EMBEDDINGS / "about.json").read_text())["embedder"]
    crops = read_table("data/retrieval/crops/crops.parquet", "crops")
    contexts = read_table("data/retrieval/contexts.parquet", "contexts")
    vectors = build_vectors(mix(images, texts, params.mix), params.index)
    about = {"embedder": embedder, "pictures": PICTURES, "mix": params.mix.model_dump()}
    cases = crops.append_column("context", contexts["context"])
    CaseIndex(vectors, cases, probe, params.index, about).save(OUTPUT)
    return f"{OUTPUT}: {len(cases)} cases, {vectors.d} dimensions, {params.index.kind}"


if __name__ == "__main__":
    run_stage(main)
