"""Embedding throughput against the bare encoder: `python bench/retrieval_embedding.py [EMBEDDER]`, after `make retrieval`.

Bare: the same patches, in memory, in the same batches, through the image tower alone, on as many single threads.
The rest of the whole is reading, decoding, resizing, cutting into patches and averaging.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from report import alternating, report

from zerostart.retrieval.crops.files import open_crops
from zerostart.retrieval.embedding.embedders import load_embedder, patches_at_once
from zerostart.retrieval.embedding.patches import patches_of
from zerostart.retrieval.tables import read_table

CROPS = 96

name = sys.argv[1] if len(sys.argv) > 1 else "adapter"
embedder = load_embedder(name)
crops = read_table("data/retrieval/crops/crops.parquet", "crops").to_pylist()[:CROPS]
pixels = np.concatenate([patches_of(opened(), embedder.input_size) for _, opened in open_crops(crops)])
batches = torch.from_numpy(pixels).split(patches_at_once(embedder.input_size))


@torch.inference_mode()
def forward(batch: torch.Tensor) -> None:
    embedder.embed_patches(batch)


def bare() -> None:
    with ThreadPoolExecutor(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(forward, batches))


def whole() -> None:
    embedder.embed_images(open_crops(crops))


tower, embedded = alternating(bare, whole, repeats=3)
report(
    f"retrieval_embedding_{name.partition('/')[0]}",
    f"crops are embedded at {tower / embedded:.2f} of the bare forward's speed"
    f" ({len(pixels) / embedded:.0f} against {len(pixels) / tower:.0f} patches/s of {embedder.input_size} pixels)",
    ratio=tower / embedded,
    forward_seconds=tower,
    whole_seconds=embedded,
    crops=len(crops),
    patches=len(pixels),
)
