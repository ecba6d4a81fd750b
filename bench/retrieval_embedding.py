"""Embedding throughput against the bare encoder: `python bench/retrieval_embedding.py [EMBEDDER]`, after `make retrieval`.

Bare: the same number of views, in memory, in batches of the same size, through the image tower alone. The rest of the whole
is reading, decoding, resizing, cutting into patches and averaging. Prints the ratio; each side is the best of three runs.
"""

import itertools
import sys
import time

import torch

from zerostart.retrieval.crop_files import open_crops
from zerostart.retrieval.embedders import batch_views, load_embedder
from zerostart.retrieval.tables import read_table
from zerostart.retrieval.views import views

CROPS = 128


def main(name: str) -> None:
    embedder = load_embedder(name)
    rows = read_table("data/retrieval/crops/crops.parquet", "crops").to_pylist()[:CROPS]
    count = sum(len(views(opened(), embedder.input_size)) for _, opened in open_crops(rows))
    side, full = embedder.input_size, batch_views(embedder.input_size)
    sizes = [full] * (count // full) + [count % full] * (count % full > 0)
    batch = torch.randint(0, 255, (full, 3, side, side), dtype=torch.uint8)

    def bare() -> None:
        with torch.inference_mode():
            for size in sizes:
                embedder.embed_views(batch[:size])

    def whole() -> None:
        embedder.embed_images(open_crops(rows))

    times: dict[str, list[float]] = {"bare": [], "whole": []}
    for _, (kind, run) in itertools.product(range(3), (("bare", bare), ("whole", whole))):  # in turn: both meet the same load
        started = time.perf_counter()
        run()
        times[kind].append(time.perf_counter() - started)
    best = {kind: min(values) for kind, values in times.items()}
    print(f"{name}: {len(rows)} crops, {count} views of {side} px")
    print(f"bare {count / best['bare']:.1f} views/s, whole {count / best['whole']:.1f} views/s")
    print(f"ratio {best['bare'] / best['whole']:.3f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "adapter")
