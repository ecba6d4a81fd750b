"""A detector small enough for tests, with random weights everywhere: fresh ones are zero where it matters (boxes, LQE)."""

import numpy as np
import torch
from PIL import Image
from transformers import Deimv2ForObjectDetection

from zerostart.detector.model import build_detector
from zerostart.detector.variants import variant_config
from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.params import load_params

CLASSES = ["crack", "dent", "scratch"]
SIZE = 64
QUERIES = 5


def tiny_detector(seed=0, classes=CLASSES, corrected=True) -> Deimv2ForObjectDetection:
    """In eval mode; corrected: as `build_detector` gives it, or as `transformers` has it."""
    config = variant_config("atto", list(classes), SIZE, QUERIES)
    config.freeze_backbone_batch_norms = False
    torch.manual_seed(seed)
    return randomise(build_detector(config) if corrected else Deimv2ForObjectDetection(config)).eval()


def randomise(model: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return model


def random_pixels(count=2, seed=0, size=SIZE) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def write_images(folder, count, size=(80, 48)) -> dict:
    """`count` noise images in `folder`, and their COCO dictionary with ids that are not 1..n."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    images = []
    for index in range(count):
        name = f"{count - index}.png"  # so that the order of names is not the order of the file
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(folder / name)
        images.append({"id": 10 + 3 * index, "file_name": name, "width": size[0], "height": size[1]})
    return {"images": images, "annotations": []}


def same_state(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def zero_start_fusion(**changes) -> Fusion:
    params = load_params().model_copy(update={"alpha_init": 0.0} | changes)
    text = torch.randn(len(CLASSES), 7, generator=torch.Generator().manual_seed(1))
    return Fusion(FusionConfig.from_params(params, CLASSES, 64, 7), text).initialize(params)
