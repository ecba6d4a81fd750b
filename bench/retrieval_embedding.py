"""Embedding throughput against the bare encoder: `python bench/retrieval_embedding.py [EMBEDDER]`, after `make retrieval`.

Bare: the same views, in memory, in the same batches, through the image tower alone, as one call after another on all cores.
The rest of the whole is reading, decoding, resizing, cutting into patches and averaging.
"""

import sys

import numpy as np
import torch
from report import alternating, report

from zerostart.retrieval.crop_files import open_crops
from zerostart.retrieval.embedders import batch_views, load_embedder
from zerostart.retrieval.tables import read_table
from zerostart.retrieval.views import views

CROPS = 96

name = sys.argv[1] if len(sys.argv) > 1 else "adapter"
embedder = load_embedder(name)
crops = read_table("data/retrieval/crops/crops.parquet", "crops").to_pylist()[:CROPS]
pixels = np.concatenate([views(opened(), embedder.input_size) for _, opened in open_crops(crops)])
batches = torch.from_numpy(pixels).split(batch_views(embedder.input_size))


@torch.inference_mode()
def bare() -> None:
    for batch in batches:
        embedder.embed_views(batch)


def whole() -> None:
    embedder.embed_images(open_crops(crops))


forward, embedded = alternating(bare, whole, repeats=3)
report(
    f"retrieval_embedding_{name.partition('/')[0]}",
    f"crops are embedded at {forward / embedded:.2f} of the bare forward's speed"
    f" ({len(pixels) / embedded:.0f} against {len(pixels) / forward:.0f} views/s of {embedder.input_size} pixels)",
    ratio=forward / embedded,
    forward_seconds=forward,
    whole_seconds=embedded,
    crops=len(crops),
    views=len(pixels),
)
