"""The training images through the detector at every step, as published: for augmentation that a cache cannot hold."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import Deimv2ForObjectDetection

from zerostart.detector.mirror import FLIPS, mirrored
from zerostart.detector.model import look
from zerostart.detector.pixels import brightness_and_contrast, image_batches, pixel_values
from zerostart.method.cached_images import Batch
from zerostart.method.matching import compare_boxes

CHUNK = 32  # images in one pass of the detector, however many a step asks for


class LiveImages:
    """Like `CachedImages`, but every batch is a pass of the frozen detector.

    model: in eval mode, on the device to use. coco: the training split, its files in `folder`. objects: for each view the
    ground truth of its images, mirrored as they are. photometric: strength of the changes of brightness and contrast, drawn
    anew each time; 0 gives what the cache holds. Raises InputError for an unreadable image.
    """

    def __init__(
        self,
        model: Deimv2ForObjectDetection,
        coco: dict,
        folder: str | Path,
        objects: list[list[dict[str, Tensor]]],
        photometric: float,
        seed: int,
    ):
        self.model, self.coco, self.folder, self.objects, self.photometric = model, coco, folder, objects, photometric
        self.images, self.views = len(coco["images"]), len(objects)
        self.generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()  # not inference_mode: its tensors could not take part in the training's gradients
    def batch(self, items: np.ndarray) -> Batch:
        """The given items, in their order. Several trainings that see the same images share one pass."""
        distinct, position = np.unique(items, return_inverse=True)
        view, image = np.divmod(distinct, self.images)
        wanted = {"images": [self.coco["images"][index] for index in image]}
        chunks = image_batches(wanted, self.folder, self.model.config.eval_size[0], CHUNK)
        seen = [self._look(chunk, view[CHUNK * number :][: len(chunk)]) for number, chunk in enumerate(chunks)]
        hidden, logits, boxes = (torch.cat([part[name] for part in seen])[position] for name in ("hidden", "logits", "boxes"))
        objects = [self.objects[view][image] for view, image in zip(*np.divmod(items, self.images), strict=True)]
        return Batch(hidden, logits, compare_boxes(boxes, objects))

    def _look(self, pictures: Tensor, views: np.ndarray) -> dict[str, Tensor]:
        pixels = pixel_values(pictures.to(next(self.model.parameters()).device))
        for picture, view in zip(pixels, views, strict=True):
            picture.copy_(mirrored(picture, FLIPS[view]))
        if self.photometric:
            pixels = brightness_and_contrast(pixels, self.photometric, self.generator).clamp_(0, 1)
        return {name: tensor.cpu() for name, tensor in look(self.model, pixel_values=pixels).items()}
