"""panels: draw the default data set of the retrieval pipeline, data/raw/panels."""

import os
from pathlib import Path

from zerostart.errors import run_stage
from zerostart.outputs import stage_folder
from zerostart.retrieval.drawn.photos import generate_panels

OUTPUT = Path("data/raw/panels")
# Constants, not parameters: the data stays the same while `seed` varies the training on it.
SEED = 0
PHOTOS = 600


def main() -> str:
    with stage_folder(OUTPUT) as folder:
        generate_panels(folder, SEED, PHOTOS, os.cpu_count() or 1)
    return f"{PHOTOS} photos in {OUTPUT}"


if __name__ == "__main__":
    run_stage(main)
