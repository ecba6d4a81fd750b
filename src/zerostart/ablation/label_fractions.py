"""A share of the training images, for label efficiency: how much is gained from few labels?"""

import math

import numpy as np
from torch import Tensor

from zerostart.errors import InputError


def label_subset(objects: list[dict[str, Tensor]], classes: list[str], fraction: float, seed: int) -> np.ndarray:
    """Indices of ceil(fraction·N) images in which every class occurs; subsets of one seed are nested.

    objects: of each image, with `class_labels`. The images are drawn at random, but first come some that show every class:
    a handful drawn blindly would often miss one. Raises InputError naming the classes for which there is no room.
    """
    shuffled = np.random.default_rng(seed).permutation(len(objects))
    present = [set(objects[image]["class_labels"].tolist()) for image in shuffled]
    missing, first = set().union(*present), []
    for image, labels in zip(shuffled.tolist(), present, strict=True):
        if labels & missing:
            missing -= labels
            first.append(image)
    order = np.array(first + [image for image in shuffled.tolist() if image not in set(first)])
    subset = order[: math.ceil(fraction * len(objects))]
    seen = set().union(*(objects[image]["class_labels"].tolist() for image in subset))
    empty = [name for k, name in enumerate(classes) if k not in seen]
    if empty:
        raise InputError(
            f"label fraction {fraction:g}: {len(subset)} of {len(objects)} training images (seed {seed}) leave"
            f" {', '.join(empty)} without an object; a larger fraction is expected"
        )
    return np.sort(subset)
