"""What a frozen detector holds of a query beyond its class head: the query's features and the region that its box covers.

Mean and standard deviation of the backbone's stages over the box (RoIAlign: He et al. 2017, Mask R-CNN, section 3) keep
what the last decoder layer has thrown away, because no class of the detector needed it: tint, texture, fine edges.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import box_convert, roi_align
from transformers import Deimv2ForObjectDetection

from zerostart.detector.model import look
from zerostart.detector.pixels import image_batches, pixel_values
from zerostart.errors import InputError
from zerostart.outputs import write_array
from zerostart.prefetch import in_order

SAMPLES = 7
"""A region is sampled at SAMPLES × SAMPLES points of each stage."""
BATCH = 16
AT_ONCE = 8
"""Batches in memory at most, on as many cores."""

Stages = Callable[[], list[Tensor]]
"""The stages' outputs (B×C×H×W each) of the forward pass that this thread has just made."""


@torch.inference_mode()
def look_at_regions(model: Deimv2ForObjectDetection, pixels: Tensor, stages: Stages | None = None) -> dict[str, Tensor]:
    """hidden B×Q×D_v, logits B×Q×K, boxes B×Q×4 as :func:`zerostart.detector.model.look`, and regions B×Q×D_r.

    pixels: B×3×S×S float32 in [0, 1]. stages: of :func:`stage_outputs`, which is entered here without it.
    Raises InputError where the backbone has no stages.
    """
    if stages is None:
        with stage_outputs(model) as stages:
            return look_at_regions(model, pixels, stages)
    seen = look(model, pixel_values=pixels)
    return seen | {"regions": region_statistics(stages(), seen["boxes"])}


def region_statistics(stages: list[Tensor], boxes: Tensor) -> Tensor:
    """Mean and standard deviation of every channel of the stages (B×C×H×W each) in boxes (B×Q×4, cxcywh): B×Q×2ΣC."""
    corners = box_convert(boxes, "cxcywh", "xyxy").float()
    # One row for each box, its image's position in front: an exported graph takes batches of any size.
    image = (
        torch.arange(corners.shape[0], device=corners.device)[:, None, None].expand(-1, corners.shape[1], 1).to(corners.dtype)
    )
    parts = []
    for maps in stages:
        scale = corners.new_tensor([maps.shape[3], maps.shape[2]] * 2)
        rows = torch.cat([image, corners * scale], dim=2).flatten(0, 1)
        sampled = roi_align(maps.float(), rows, SAMPLES, 1.0, sampling_ratio=1, aligned=True)
        parts += [sampled.mean(dim=(2, 3)), sampled.flatten(2).std(dim=2, unbiased=False)]
    return torch.cat(parts, dim=1).unflatten(0, (-1, boxes.shape[1]))


@contextmanager
def stage_outputs(model: Deimv2ForObjectDetection) -> Iterator[Stages]:
    """Keep what the backbone's stages give, for each thread its own."""
    modules, kept = _stages(model), threading.local()

    def keep(number: int) -> Callable[[nn.Module, tuple, Tensor], None]:
        return lambda _module, _inputs, output: setattr(kept, f"stage{number}", output)

    handles = [module.register_forward_hook(keep(number)) for number, module in enumerate(modules)]
    try:
        yield lambda: [getattr(kept, f"stage{number}") for number in range(len(modules))]
    finally:
        for handle in handles:
            handle.remove()


def _stages(model: Deimv2ForObjectDetection) -> list[nn.Module]:
    encoder = getattr(model.model.conv_encoder.model, "encoder", None)
    stages = getattr(encoder, "stages", None)
    if stages is None:
        raise InputError(
            "the detector's backbone has no stages to look at; an HGNetv2 variant (atto, femto, pico, n) is expected"
        )
    return list(stages)


def write_looks(folder: Path, model: Deimv2ForObjectDetection, coco: dict, images: str | Path) -> None:
    """Look at all images of a COCO dictionary and write hidden, logits, boxes (float32), regions (float16), image_id."""
    folder.mkdir(parents=True)
    write_array(folder / "image_id.npy", np.array([image["id"] for image in coco["images"]], dtype=np.int64))
    parts: dict[str, list[np.ndarray]] = {"hidden": [], "logits": [], "boxes": [], "regions": []}
    for seen in look_at_images(model, coco, images):
        for name, array in seen.items():
            parts[name].append(array.astype(np.float16 if name == "regions" else np.float32))
    for name, arrays in parts.items():
        write_array(folder / f"{name}.npy", np.concatenate(arrays))


def look_at_images(model: Deimv2ForObjectDetection, coco: dict, images: str | Path) -> Iterator[dict[str, np.ndarray]]:
    """What :func:`look_at_regions` gives of the images of a COCO dictionary, batch by batch.

    On a CPU the batches pass side by side, each on one thread, so that the bytes do not depend on the number of cores.
    """
    device = next(model.parameters()).device
    workers = min(os.cpu_count() or 1, AT_ONCE) if device.type == "cpu" else 1

    def look_at(batch: Tensor) -> dict[str, np.ndarray]:
        seen = look_at_regions(model, pixel_values(batch.to(device)), stages)
        return {name: tensor.cpu().numpy() for name, tensor in seen.items()}

    batches = image_batches(coco, images, model.config.eval_size[0], BATCH)
    with stage_outputs(model) as stages, ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from in_order(pool, look_at, batches, ahead=workers)
