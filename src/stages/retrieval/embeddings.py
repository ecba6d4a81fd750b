"""embeddings: every crop's picture and context as unit vectors of one space, in the order of the table of crops."""

import time

import numpy as np

from zerostart.errors import run_stage
from zerostart.outputs import output_folder, write_json
from zerostart.retrieval.crop_files import open_crops
from zerostart.retrieval.embedders import load_embedder
from zerostart.retrieval.params import load_retrieval_params
from zerostart.retrieval.probes import probe
from zerostart.retrieval.tables import read_table

OUTPUT = "data/retrieval/embeddings"


def main() -> str:
    params = load_retrieval_params()
    crops = read_table("data/retrieval/crops/crops.parquet", "crops").to_pylist()
    contexts = read_table("data/retrieval/contexts.parquet", "contexts")["context"].to_pylist()
    embedder = load_embedder(params.embedder)
    texts = embedder.embed_texts(contexts)  # first: a text that is too long is known before anything expensive
    started = time.monotonic()
    images = embedder.embed_images(open_crops(crops))
    seconds = time.monotonic() - started
    with output_folder(OUTPUT) as folder:
        for name, array in (("images", images), ("texts", texts), ("probe", probe(embedder))):
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        write_json(folder / "about.json", {"embedder": params.embedder, "crops": len(images), "dimension": images.shape[1]})
    return f"{OUTPUT}: {len(images)} crops, {images.shape[1]} dimensions, {len(images) / seconds:.0f} crops/s"


if __name__ == "__main__":
    run_stage(main)
