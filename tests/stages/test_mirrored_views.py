"""Mirror images through the stages as they are: each view's boxes are turned back by its own mirroring."""

import json

import numpy as np
import pytest
import yaml
from pipeline_sample import STAGES, ZERO_START, prepare
from stage_files import run_stage_file as run_stage

from zerostart.detector.mirror import FLIPS, TEST_VIEWS


def mirror(folder, view: int) -> None:
    """Write the cached view `view` of val and test: the same boxes and logits, seen in the mirror."""
    for split in ("val", "test"):
        source, target = folder / f"data/features/{split}", folder / f"data/features/{split}_view{view}"
        target.mkdir()
        for path in source.iterdir():
            array = np.load(path)
            if path.stem == "boxes":
                for coordinate, mirrored in enumerate(FLIPS[view]):
                    array[:, :, coordinate] = 1 - array[:, :, coordinate] if mirrored else array[:, :, coordinate]
            np.save(target / path.name, array)


@pytest.mark.parametrize("flips", ["horizontal", "all"])
def test_an_exact_mirror_image_adds_nothing(tmp_path, flips):
    """Every box meets itself and is merged with itself; turned back by another view's mirroring it would meet nothing."""
    prepare(tmp_path, **ZERO_START)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"test_flips": flips}))
    for view in TEST_VIEWS[flips][1:]:
        mirror(tmp_path, view)
    for stage in STAGES:
        run_stage(stage, tmp_path)
    metrics = json.loads((tmp_path / "metrics/evaluate.json").read_text())
    assert metrics["baseline"]["mAP"] > 0.05
    assert metrics["delta"]["mAP"] == pytest.approx(0, abs=0.01)
    assert metrics["composite_steps"]["flips"]["delta"] == pytest.approx(0, abs=0.01)
