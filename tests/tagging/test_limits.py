"""What test pictures look like changes neither thresholds nor limits: those are chosen on val."""

import shutil

import numpy as np
from PIL import Image
from tagging_samples import TAGS, run_stage, write_toy

from zerostart.tagging.pictures.store import open_store


def rules(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "models/tagging/toy/rules").iterdir()}


def test_pictures(folder, domain: str) -> list[str]:
    store = open_store(folder / f"data/tagging/toy/images/{domain}", TAGS)
    return [store.names[index] for index in store.of_split("test")]


test_pictures.__test__ = False


def test_other_test_pictures_give_the_same_rules(tmp_path):
    """Photos of test become small and white, academic ones large and black: each limit would move with them."""
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    before, after = tmp_path / "before", tmp_path / "after"
    write_toy(before)
    for stage in ("images", "base", "adaptation", "engines"):
        run_stage(stage, before)
    shutil.copytree(before, after, dirs_exist_ok=True)
    shutil.rmtree(after / "models/tagging/toy/rules")
    rng = np.random.default_rng(0)
    for domain, side, tone in (("academic", 90, 0), ("real", 24, 200)):
        for name in test_pictures(before, domain):
            (path,) = (after / "data/raw/toy").rglob(name) if "/" not in name else [after / "data/raw/toy" / name]
            Image.fromarray(rng.integers(tone, tone + 50, (side, side, 3)).astype(np.uint8)).save(path)
    run_stage("images", after)
    assert test_pictures(after, "real") == test_pictures(before, "real") != []
    shapes = {folder: open_store(folder / "data/tagging/toy/images/real", TAGS).shapes for folder in (before, after)}
    assert shapes[before].min() > shapes[after].min()
    run_stage("engines", after)
    assert rules(after) == rules(before)
