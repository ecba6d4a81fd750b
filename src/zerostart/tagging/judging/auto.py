"""Is `auto` right? Both engines and `auto` on each domain's test, also where the size of a picture gives nothing away."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from timm.models.convnext import ConvNeXt
from torch import Tensor
from torch.nn import functional

from zerostart.tagging.answer.novelty import Home, novelty, picture_features
from zerostart.tagging.answer.rules import Rules
from zerostart.tagging.answer.windows import window_scores
from zerostart.tagging.pictures.store import ImageStore

AT_MOST = 600
"""Pictures per group, evenly over the test split."""


def judge_auto(
    models: dict[str, tuple[ConvNeXt, int]], rules: Rules, home: Home, stores: dict[str, ImageStore]
) -> dict[str, dict]:
    """Per group: how often `auto` takes hd, and the subset accuracy of both engines and of `auto`, pictures seen whole.

    Groups: the two tests as they are, and with their sizes exchanged (photos as small as academic pictures, and the reverse).
    `novelty_AUC`: how well the out-of-domain score alone tells the photos from the academic pictures at these sizes.
    """
    sides = {domain: int(np.median(store.shapes.max(axis=1))) for domain, store in stores.items()}
    groups, away = {}, {}
    for name, own_size in (("own_size", True), ("exchanged_size", False)):
        for domain, other in (("academic", "real"), ("real", "academic")):
            side = sides[domain if own_size else other]
            groups[f"{domain}_{name}"], away[domain] = _judge_group(models, rules, home, stores[domain], side)
        labels = np.repeat([0, 1], [len(away["academic"]), len(away["real"])])
        groups[f"novelty_AUC_{name}"] = float(roc_auc_score(labels, np.concatenate([away["academic"], away["real"]])))
    return groups


def _judge_group(
    models: dict[str, tuple[ConvNeXt, int]], rules: Rules, home: Home, store: ImageStore, side: int
) -> tuple[dict, np.ndarray]:
    test = store.of_split("test")
    test = test[np.linspace(0, len(test) - 1, min(AT_MOST, len(test))).astype(int)]
    right: dict[str, list[np.ndarray]] = {engine: [] for engine in models}
    away, hd = [], []
    for start in range(0, len(test), 64):
        part = test[start : start + 64]
        images = [_with_side(image, side) for image in store.images(part)]
        model, size = models["standard"]
        found = novelty(home, picture_features(model, images, size))
        away.append(found)
        hd += [rules.engine_for(max(i.shape[1:]), n) == "hd" for i, n in zip(images, found.tolist(), strict=True)]
        for engine, (model, size) in models.items():
            scores = window_scores(model, images, size, 1, 0.0)[:, 0]
            right[engine].append(((scores >= rules.chosen(engine, 1)) == (store.targets[part] > 0)).all(axis=1))
    standard, high = (np.concatenate(right[engine]) for engine in ("standard", "hd"))
    accuracy = {"standard": standard, "hd": high, "auto": np.where(hd, high, standard)}
    numbers = {f"subset_accuracy_{engine}": float(values.mean()) for engine, values in accuracy.items()}
    return {"share_hd": float(np.mean(hd)), **numbers}, np.concatenate(away)


def _with_side(image: Tensor, side: int) -> Tensor:
    """3×H×W uint8 with `side` pixels on its longer side."""
    scale = side / max(image.shape[1:])
    if scale == 1:
        return image
    size = [max(round(length * scale), 1) for length in image.shape[1:]]
    larger = functional.interpolate(image[None].float(), size, mode="bicubic", antialias=scale < 1, align_corners=False)
    return larger[0].round().clamp(0, 255).to(torch.uint8)
