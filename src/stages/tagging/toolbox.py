"""toolbox: draw the offline tagging data set data/raw/toolbox."""

import os
from pathlib import Path

from zerostart.errors import run_stage
from zerostart.outputs import stage_folder
from zerostart.tagging.drawn.toolbox import generate_toolbox

OUTPUT = Path("data/raw/toolbox")
# Constants, not parameters: the data stays the same while `seed` varies the training on it.
SEED = 0
PER_PART = {"train": 300, "test": 60}
SCENES = 2400


def main() -> str:
    with stage_folder(OUTPUT) as folder:
        generate_toolbox(folder, SEED, PER_PART, SCENES, os.cpu_count() or 1)
    return f"{OUTPUT}: {6 * sum(PER_PART.values())} academic pictures, {SCENES} scenes"


if __name__ == "__main__":
    run_stage(main)
