"""The training images as cached queries: any batch of them is a few reads of memory-mapped arrays."""

import os
import tempfile
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from zerostart.cache.views import View
from zerostart.method.matching import Targets, compare_boxes


class Batch(NamedTuple):
    """What the frozen detector says of n images, and what there is."""

    hidden: Tensor
    """n×Q×D_v."""
    logits: Tensor
    """n×Q×K."""
    targets: Targets

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(self.hidden.to(device), self.logits.to(device), Targets(*(part.to(device) for part in self.targets)))


class TrainingImages(Protocol):
    """Numbered views of the training images: item v·N + i is image i in view v."""

    images: int
    """N."""
    views: int

    def batch(self, items: np.ndarray) -> Batch:
        """The given items, in their order."""


class CachedImages:
    """Views of the training split from the feature cache.

    Boxes are frozen, so they are compared with the objects once. The result is P×Q numbers for P objects; it lies in a
    temporary file, memory-mapped like the features: memory does not grow with the number of images.
    """

    def __init__(self, views: list[View], objects: list[list[dict[str, Tensor]]]):
        self.cached, self.images, self.views = views, len(views[0].image_id), len(views)
        counts = [len(target["class_labels"]) for of_view in objects for target in of_view]
        self.start = np.concatenate([[0], np.cumsum(counts)])
        self.label = torch.cat([target["class_labels"] for of_view in objects for target in of_view])
        shape = (len(self.label), views[0].boxes.shape[1])
        self.box_cost, self.iou = (_temporary_array(shape) for _ in range(2))
        for number, (view, of_view) in enumerate(zip(views, objects, strict=True)):
            for chunk in range(0, self.images, 256):
                self._compare(number * self.images + chunk, view.boxes[chunk : chunk + 256], of_view[chunk : chunk + 256])

    def _compare(self, first: int, boxes: np.ndarray, objects: list[dict[str, Tensor]]) -> None:
        targets = compare_boxes(torch.from_numpy(np.array(boxes)), objects)
        rows = slice(self.start[first], self.start[first + len(objects)])
        self.box_cost[rows], self.iou[rows] = targets.box_cost.numpy(), targets.iou.numpy()

    def batch(self, items: np.ndarray) -> Batch:
        """The given items, in their order."""
        return Batch(self._read("hidden", items), self._read("logits", items), self._targets(items))

    def _read(self, array: str, items: np.ndarray) -> Tensor:
        view, image = np.divmod(items, self.images)
        arrays = [np.asarray(getattr(cached, array)) for cached in self.cached]  # still mapped, but indexed without ceremony
        read = np.empty((len(items), *arrays[0].shape[1:]), np.float32)
        for number, values in enumerate(arrays):
            here = np.flatnonzero(view == number)
            read[here] = values[image[here]]
        return torch.from_numpy(read)

    def _targets(self, items: np.ndarray) -> Targets:
        counts = self.start[items + 1] - self.start[items]
        image = np.repeat(np.arange(len(items)), counts)
        rows = np.arange(len(image)) + np.repeat(self.start[items] - (np.cumsum(counts) - counts), counts)
        compared = (torch.from_numpy(array[rows]) for array in (self.box_cost, self.iou))
        return Targets(torch.from_numpy(image), self.label[rows], *compared)


def _temporary_array(shape: tuple[int, int]) -> np.memmap:
    with tempfile.TemporaryFile() as file:  # the mapping keeps it; an empty file cannot be mapped
        array = np.memmap(file, np.float32, shape=(max(1, shape[0]), shape[1]), mode="w+")
        os.posix_fallocate(file.fileno(), 0, array.nbytes)  # a full disk is an error here, and a SIGBUS at the first write
        return array
