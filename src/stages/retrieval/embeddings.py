"""embeddings: every crop's picture and context as unit vectors of one space, in the order of the table of crops."""

import time

import torch

from zerostart.errors import run_stage
from zerostart.retrieval.crops.files import open_crops
from zerostart.retrieval.embedding.embedders import load_embedder
from zerostart.retrieval.embedding.files import FOLDER, Embeddings, write_embeddings
from zerostart.retrieval.embedding.probes import probe
from zerostart.retrieval.params import load_retrieval_params
from zerostart.retrieval.tables import read_table


def main() -> str:
    torch.set_num_threads(1)  # the same sums on any number of cores; pictures are embedded side by side
    params = load_retrieval_params()
    crops = read_table("data/retrieval/crops/crops.parquet", "crops").to_pylist()
    contexts = read_table("data/retrieval/contexts.parquet", "contexts")["context"].to_pylist()
    embedder = load_embedder(params.embedder)
    distinct = sorted(set(contexts))
    embedded = embedder.embed_texts(distinct)  # first: a text that is too long is known before anything expensive
    texts = embedded[[distinct.index(text) for text in contexts]]
    started = time.monotonic()
    images = embedder.embed_images(open_crops(crops))
    seconds = time.monotonic() - started
    write_embeddings(Embeddings(params.embedder, images, texts, probe(embedder)))
    return f"{FOLDER}: {len(images)} crops, {images.shape[1]} dimensions, {len(images) / seconds:.0f} crops/s"


if __name__ == "__main__":
    run_stage(main)
