"""The parameter `baseline`: which frozen detector an experiment refines, and where it comes from."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file

from zerostart.detector.coco import COCO_CLASSES
from zerostart.detector.model import load_detector, save_detector
from zerostart.detector.official.checkpoint import rename_weights
from zerostart.detector.official.config import hub_config
from zerostart.detector.official.conversion import convert, settle
from zerostart.errors import InputError
from zerostart.records import check_regular, read_json

SHIPPED = Path("data/baselines")
FILES = ("config.json", "model.safetensors", "preprocessor_config.json")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find_baseline(baseline: str, dataset: str) -> Path:
    """The folder that the parameter means: `auto` (data/baselines/<dataset>), a local folder, or a model id on the hub.

    A hub model is taken from the local hub cache, or downloaded to it. Raises InputError when there is nothing to be found.
    """
    if baseline == "auto":
        return SHIPPED / dataset
    if Path(baseline).is_dir():
        return Path(baseline)
    if Path(baseline).is_file() or baseline.endswith((".pth", ".pt")):
        raise InputError(
            f"baseline is '{baseline}', a file; `python -m zerostart.convert {baseline} --config YAML --card {dataset}"
            f" --out {SHIPPED}/NAME` makes the folder that is expected"
        )
    if not HUB_ID.fullmatch(baseline):
        raise InputError(f"baseline is '{baseline}': no such folder; 'auto', a local folder or a hub id OWNER/NAME is expected")
    try:
        return Path(snapshot_download(baseline, allow_patterns=list(FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"baseline is '{baseline}': no such folder, not in the local hub cache, and the hub does not give it"
            f" ({type(error).__name__}); offline is the default, HF_HUB_OFFLINE=0 allows the download"
        ) from None


def write_baseline(source: Path, classes: Sequence[str], folder: Path) -> None:
    """Check the baseline in `source` against `classes` and write it into the existing `folder`.

    What the official project publishes on the hub is converted; everything else is copied as it is. Raises InputError when
    a file is missing or damaged, when the classes are others, and when configuration and weights do not fit.
    """
    official = _official_configuration(source / "config.json")
    if official is None:
        load_detector(source, list(classes))
        for name in FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        return
    config = hub_config(official, source / "config.json")
    count = config.task.num_classes
    names = COCO_CLASSES if count == len(COCO_CLASSES) else None
    if (names and tuple(names) != tuple(classes)) or count != len(classes):
        found = "COCO's 80 classes" if names else f"{count} classes"
        raise InputError(f"{source}: the baseline was trained for {found}, but the data set has {list(classes)}")
    check_regular(source / "model.safetensors")
    try:
        weights = rename_weights(load_file(source / "model.safetensors"))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{source / 'model.safetensors'}: cannot be read: {str(error).splitlines()[0]}") from None
    config, _ = settle(config, weights)
    save_detector(convert(config, weights, classes, source), folder)


def _official_configuration(path: Path) -> dict | None:
    """The content of a `config.json` with the official sections; None for one of `transformers`, or none at all."""
    try:
        raw = read_json(path, "")
    except InputError:
        return None  # load_detector says what is wrong
    return raw if isinstance(raw, dict) and "DEIMTransformer" in raw else None
