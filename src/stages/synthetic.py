"""Stage `synthetic`: generate the data set data/raw/synthetic."""

import os
from pathlib import Path

from zerostart.drawing.synthetic import generate
from zerostart.errors import run_stage
from zerostart.outputs import stage_folder

OUTPUT = Path("data/raw/synthetic")
# Constants, not parameters: the data stays the same while `params.seed` varies the training on it.
SEED = 0
IMAGES = 1200


def main() -> str:
    with stage_folder(OUTPUT) as folder:
        generate(folder, seed=SEED, images=IMAGES, workers=os.cpu_count() or 1)
    return f"{IMAGES} images in {OUTPUT}"


if __name__ == "__main__":
    run_stage(main)
