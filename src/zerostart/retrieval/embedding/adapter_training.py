"""Train the adapter on the crops on record: cached patch features against sentences that are true of each crop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zerostart.retrieval.contexts import Words, context, damage_words, sentences
from zerostart.retrieval.embedding.adapter import Adapter, contrastive_loss
from zerostart.retrieval.embedding.patches import patch_weights
from zerostart.retrieval.params import AdapterParams


def true_sentences(row: Mapping[str, Any], words: Words) -> list[str]:
    """What may be said of a crop: its whole context first, then parts of it, down to a single damage.

    A query is seldom a whole context: the parts teach the adapter short ones.
    """
    said, zone = sentences(row, words), words.zones[row["vehicle_zone"]]
    if not row["has_damage"]:
        return [context(row, words), said["clean"], said["place"], f"{zone}, {words.undamaged}", words.undamaged]
    damages = [damage_words(row, words), *(words.damages[name][0] for name in row["damage_types"])]
    told = [context(row, words), said["damage"], said["place"], *damages, *(f"{damage}, {zone}" for damage in damages)]
    return list(dict.fromkeys(told))


@dataclass(frozen=True)
class TrainingCrops:
    """Everything that training reads, in memory."""

    features: Tensor
    """N×V×F pooled features of each crop's patches, zeros behind its last one."""
    weights: Tensor
    """N×V weights of the patches, 0 behind the last one."""
    sentences: Tensor
    """T×D embeddings of all distinct sentences."""
    truth: Tensor
    """N×T bool: which sentence is true of which crop."""


def training_crops(
    features: Sequence[np.ndarray], said: Sequence[Sequence[str]], embedded: Mapping[str, np.ndarray]
) -> TrainingCrops:
    """Pad the patch features (V×F each) and tabulate which of the embedded sentences is said of which crop."""
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(rows) for rows in features], batch_first=True)
    weights = torch.nn.utils.rnn.pad_sequence([patch_weights(len(rows)) for rows in features], batch_first=True)
    position = {sentence: index for index, sentence in enumerate(embedded)}
    truth = torch.zeros(len(said), len(embedded), dtype=torch.bool)
    for row, told in zip(truth, said, strict=True):
        row[[position[sentence] for sentence in told]] = True
    return TrainingCrops(padded, weights, torch.from_numpy(np.stack(list(embedded.values()))), truth)


def train_adapter(crops: TrainingCrops, params: AdapterParams, seed: int) -> tuple[Adapter, list[dict[str, float]]]:
    """A trained adapter (eval mode) and the mean loss of each epoch; deterministic for a seed on one machine."""
    torch.manual_seed(seed)
    dimension = crops.sentences.shape[1]
    adapter = Adapter(crops.features.shape[2], dimension, params.hidden, params.dropout)
    adapter.standardise(crops.features[crops.weights > 0])
    # fused: its square root is PyTorch's own; the other one is MKL's, which is not the same on Intel and AMD
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=params.lr, weight_decay=params.weight_decay, fused=True)
    size = min(params.batch_size, len(crops.truth))
    steps = params.epochs * (len(crops.truth) // size)
    total = steps + 2 if steps == 9 else steps + 1  # of ten, the first tenth would be one step, by which it divides by zero
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, params.lr, total_steps=total, pct_start=0.1)
    history = []
    for epoch in range(1, params.epochs + 1):
        batches = torch.randperm(len(crops.truth)).split(size)
        losses = []
        for batch in batches[: len(crops.truth) // size]:
            loss = _batch_loss(adapter, crops, batch, params.loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        history.append({"epoch": epoch, "loss": float(np.mean(losses))})
    return adapter.eval().requires_grad_(False), history


def _batch_loss(adapter: Adapter, crops: TrainingCrops, batch: Tensor, loss: str) -> Tensor:
    """One sentence that is true of it is drawn for every crop; the others' sentences may be true of it as well."""
    drawn = torch.multinomial(crops.truth[batch].float(), 1).squeeze(1)
    images = adapter.embed_crops(crops.features[batch], crops.weights[batch])
    texts = adapter.embed_texts(crops.sentences[drawn])
    similarity = images @ texts.T * adapter.log_scale.exp().clamp(max=100)
    if loss == "siglip":
        similarity = similarity + adapter.bias
    return contrastive_loss(similarity, crops.truth[batch][:, drawn], loss)
