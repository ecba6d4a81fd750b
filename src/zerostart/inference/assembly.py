"""The refined detector from what the pipeline has made."""

from pathlib import Path

from zerostart.inference.refined_detector import SETTINGS_FILE, RefinedDetector
from zerostart.params import load_params


def load_checkpoint(folder: Path | None) -> RefinedDetector:
    """The detector of a folder: one of `save_pretrained`, or the pipeline's checkpoint (by default its last)."""
    if folder is not None and (folder / SETTINGS_FILE).is_file():
        return RefinedDetector.from_pretrained(folder)
    return RefinedDetector.from_pipeline(folder or Path("models/decoder_tuning"), load_params())
