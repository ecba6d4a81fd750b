"""Pictures and sentences into one space, behind one interface: the shipped adapter, or any open_clip model."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from zerostart.errors import InputError
from zerostart.language.text_encoders import TextEncoder, load_minilm, load_open_clip_model, open_clip_text_encoder
from zerostart.prefetch import in_order
from zerostart.retrieval.embedding.adapter import load_adapter
from zerostart.retrieval.embedding.backbone import load_backbone
from zerostart.retrieval.embedding.patches import patch_weights, patches_of

ADAPTER_FOLDER = "models/retrieval_adapter"
BATCH_PIXELS = 16 * 224 * 224
"""Of the patches that go through the model at once, of however many crops they are: on a CPU larger batches leave the cache."""
AHEAD = 32
"""Crops that are decoded ahead of the model."""

OpenCrop = Callable[[], Image.Image]


@dataclass(frozen=True)
class Embedder:
    """A frozen pair of towers in eval mode."""

    name: str
    input_size: int
    """Side of the square that the image tower sees, in pixels."""
    embed_patches: Callable[[Tensor], Tensor]
    """uint8 patches (B×3×S×S) to features B×D, not normalised."""
    text: TextEncoder

    def embed_images(self, crops: Iterable[tuple[str, OpenCrop]]) -> np.ndarray:
        """Unit embeddings (N×D float32) of crops, given as name and a function that opens each.

        Raises InputError naming the first crop whose embedding is not finite or zero.
        """
        found = [
            self._combine(name, features) for name, features in embed_all_patches(self.embed_patches, self.input_size, crops)
        ]
        return torch.stack(found).numpy()

    def embed_texts(self, sentences: Sequence[str]) -> np.ndarray:
        """Unit embeddings (n×D float32); raises InputError for a sentence longer than the encoder's context."""
        for sentence in sentences:
            if not self.text.fits(sentence):
                raise InputError(
                    f"the text '{sentence[:40]}…' ({len(sentence.split())} words) is longer than the context of "
                    f"'{self.name}', which would cut it; a shorter one is expected"
                )
        return self.text.encode(sentences)

    def _combine(self, name: str, features: Tensor) -> Tensor:
        rows = functional.normalize(features.float(), dim=1)
        mean = (rows * patch_weights(len(rows))[:, None]).sum(0)
        length = mean.norm()
        if not torch.isfinite(length) or (features == 0).all(dim=1).any() or length < 1e-6:
            raise InputError(f"crop {name}: '{self.name}' gives it an embedding that is zero or not finite")
        return mean / length


def patches_at_once(size: int) -> int:
    """Patches of size×size pixels in one batch."""
    return max(BATCH_PIXELS // size**2, 1)


def embed_all_patches(
    model: Callable[[Tensor], Tensor], size: int, crops: Iterable[tuple[str, OpenCrop]]
) -> Iterator[tuple[str, Tensor]]:
    """Yield each crop's name and the features of its patches (V×F), in order.

    Patches of several crops share a batch, so that the model is called on full batches however many patches a crop has. Crops
    are decoded ahead and batches run side by side, each by one thread: the sums are the same on any number of cores.
    """
    batch, workers = patches_at_once(size), os.cpu_count() or 1
    waiting: deque[tuple[str, int]] = deque()

    def decode(crop: tuple[str, OpenCrop]) -> tuple[str, np.ndarray]:
        return crop[0], patches_of(crop[1](), size)

    def forward(pixels: np.ndarray) -> Tensor:
        with torch.inference_mode():
            return model(torch.from_numpy(pixels)).cpu()

    def batches() -> Iterator[np.ndarray]:
        ready: list[np.ndarray] = []
        for name, decoded in in_order(pool, decode, crops, AHEAD):
            waiting.append((name, len(decoded)))
            ready.extend(decoded)
            while len(ready) >= batch:
                yield np.stack(ready[:batch])
                del ready[:batch]
        if ready:
            yield np.stack(ready)

    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        features = torch.empty(0)
        for found in in_order(pool, forward, batches(), workers):
            features = torch.cat([features, found]) if len(features) else found
            while waiting and len(features) >= waiting[0][1]:
                name, count = waiting.popleft()
                yield name, features[:count]
                features = features[count:]


def load_embedder(name: str, adapter_folder: str | Path = ADAPTER_FOLDER) -> Embedder:
    """`adapter`, or an open_clip model as `architecture/tag` or `architecture/path`; raises InputError without it."""
    return _adapter_embedder(adapter_folder) if name == "adapter" else _open_clip_embedder(name)


def _adapter_embedder(folder: str | Path) -> Embedder:
    adapter, source, input_size = load_adapter(folder)
    backbone, minilm = load_backbone(source), load_minilm()

    def embed(sentences: list[str]) -> Tensor:
        return adapter.embed_texts(functional.normalize(minilm.embed(sentences), dim=1))

    return Embedder(
        "adapter",
        input_size,
        lambda images: adapter.embed_patches(backbone(images)),
        TextEncoder("adapter", embed, minilm.fits),
    )


def _open_clip_embedder(name: str) -> Embedder:
    import open_clip

    model, tokenizer = load_open_clip_model(name)
    preprocess = open_clip.get_model_preprocess_cfg(model)
    mean, std = (torch.tensor(preprocess[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    size = preprocess["size"]

    def embed(images: Tensor) -> Tensor:
        return model.encode_image((images.float() / 255 - mean) / std)

    text = open_clip_text_encoder(name, model, tokenizer)
    return Embedder(name, size[0] if isinstance(size, tuple | list) else size, embed, text)
