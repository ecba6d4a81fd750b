"""What a crop says about itself, and how it is cut."""

import numpy as np
import pytest
from PIL import Image
from retrieval_samples import load

from zerostart.retrieval.crops.cutting import crops_of, cut_out, fitted
from zerostart.retrieval.crops.photos import Damage, Photo

PARAMS = load().crops
SIZE, VEHICLE = (784, 588), (0, 0, 784, 588)


def photo(*damages, ignored=(), zone="rear_bumper"):
    return Photo("a.jpg", "a.json", zone, tuple(damages), tuple(ignored))


def test_a_damaged_photo():
    near = [Damage("dent", "minor", (20, 20, 60, 60)), Damage("crack", "severe", (80, 20, 120, 60))]
    far = Damage("dent", "unknown", (700, 500, 740, 540))
    rows = [crop.row for crop in crops_of(photo(*near, far), 7, SIZE, VEHICLE, PARAMS)]
    assert [row["crop_id"] for row in rows] == ["00007-0", "00007-1", "00007-2", "00007-3"]
    first, second, *clean = rows
    assert (first["left"], first["top"], first["right"], first["bottom"]) == (0, 0, 448, 448)
    assert first["damage_types"] == ["dent", "crack"] and first["damage_counts"] == [1, 1]
    assert first["severity"] == "severe" and first["level"] == "top" and first["area"] == "posterior"
    # Centres are 60 px apart, the diagonal is 448·sqrt 2.
    assert first["spread"] == pytest.approx(60 / (448 * 2**0.5))
    assert second["damage_types"] == ["dent"] and second["spread"] == 0 and second["level"] == "bottom"
    assert [row["crop_type"] for row in clean] == ["clean_region"] * 2
    assert not any(row["has_damage"] or row["damage_types"] for row in clean)


def test_a_damage_in_the_margin_of_another_crop_is_shown_there_too():
    both = [Damage("dent", "unknown", (20, 20, 60, 60)), Damage("crack", "unknown", (300, 20, 340, 60))]
    apart = PARAMS.model_copy(update={"cluster_distance": 0.1})
    rows = [crop.row for crop in crops_of(photo(*both), 0, SIZE, VEHICLE, apart) if crop.row["has_damage"]]
    # The crops are 448 wide around x = 40, shifted to 0, and around x = 320: the dent ends at 60, the second begins at 96.
    assert [(row["left"], row["damage_types"]) for row in rows] == [(0, ["dent", "crack"]), (96, ["crack"])]


def test_ignored_regions_are_neither_damaged_nor_clean():
    rows = [crop.row for crop in crops_of(photo(ignored=[(10, 10, 20, 20)]), 0, SIZE, VEHICLE, PARAMS)]
    assert {row["crop_type"] for row in rows} == {"clean_region"} and not any(row["has_damage"] for row in rows)
    assert all(row["left"] > 20 or row["top"] > 20 for row in rows)


def test_a_crop_is_never_enlarged_and_keeps_its_proportions():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (600, 900, 3), dtype=np.uint8))
    small = cut_out(image, (10, 20, 110, 70), 448)
    assert small.tobytes() == image.crop((10, 20, 110, 70)).tobytes()
    assert cut_out(image, (0, 0, 896, 448), 448).size == fitted((896, 448), 448) == (448, 224)
