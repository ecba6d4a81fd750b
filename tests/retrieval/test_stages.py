"""The stages of the retrieval pipeline on a few drawn panels, one after the other, then a search in what they wrote."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from retrieval_samples import ROOT
from stage_files import run_stage_file

from zerostart import search
from zerostart.errors import InputError
from zerostart.retrieval.drawn.photos import generate_panels
from zerostart.retrieval.tables import read_table

STAGES = ("crops", "contexts", "adapter", "embeddings", "index", "validate")
QUICK = {"epochs": 20, "batch_size": 16, "input_size": 96, "lr": 0.003}


def prepare(folder: Path, **changes) -> None:
    params = yaml.safe_load((ROOT / "pipelines/retrieval/params.yaml").read_text())
    params["adapter"] |= QUICK
    params["validation"]["bootstrap_samples"] = 100
    (folder / "pipelines/retrieval").mkdir(parents=True)
    (folder / "pipelines/retrieval/params.yaml").write_text(yaml.safe_dump(params | changes))
    (folder / "data").mkdir()
    for name in ("baselines", "contexts"):
        os.symlink(ROOT / "data" / name, folder / "data" / name)
    (folder / "data/raw/panels").mkdir(parents=True)


def run(name: str, folder: Path) -> str:
    return run_stage_file(f"retrieval/{name}", folder)


def tree(folder: Path) -> dict[str, bytes]:
    paths = [path for name in ("data/retrieval", "models", "metrics", "plots") for path in (folder / name).rglob("*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture(scope="module")
def panels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panels")
    generate_panels(folder, seed=0, photos=40, workers=1)
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory, panels):
    """A folder in which all stages have run."""
    folder = tmp_path_factory.mktemp("retrieval")
    prepare(folder)
    for path in panels.iterdir():
        os.symlink(path, folder / "data/raw/panels" / path.name)
    for stage in STAGES:
        run(stage, folder)
    return folder


@pytest.fixture
def in_done(done, monkeypatch, tmp_path):
    monkeypatch.chdir(done)
    return ["--sheet", str(tmp_path / "sheet.png")]


def test_every_output_that_dvc_yaml_names_is_written(done):
    stages = yaml.safe_load((ROOT / "pipelines/retrieval/dvc.yaml").read_text())["stages"]
    assert set(stages) == {"panels", *STAGES}
    for stage in STAGES:
        for kind in ("outs", "metrics"):
            for output in stages[stage].get(kind, []):
                name = output if isinstance(output, str) else next(iter(output))
                assert (done / name).exists(), f"{stage}: {name}"


def test_crops_are_the_pixels_of_their_source(done):
    rows = read_table(done / "data/retrieval/crops/crops.parquet", "crops").to_pylist()
    assert {row["crop_type"] for row in rows} == {"damage", "clean_region", "clean"}
    for row in rows[::7]:
        crop = Image.open(done / f"data/retrieval/crops/images/{row['crop_id']}.jpg")
        source = Image.open(done / "data/raw/panels" / row["source"]).crop(
            (row["left"], row["top"], row["right"], row["bottom"])
        )
        assert crop.size == (row["width"], row["height"]) and max(crop.size) <= 448
        resized = source.resize(crop.size, Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(crop, float) - np.asarray(resized, float)).mean() < 3  # JPEG


def test_no_photo_is_on_record_and_a_query(done):
    rows = read_table(done / "data/retrieval/crops/crops.parquet", "crops").to_pylist()
    record, val, test = ({row["source"] for row in rows if row["split"] == split} for split in ("record", "val", "test"))
    assert not record & val and not record & test and not val & test
    photos = len(record | val | test)
    assert abs(len(test) / photos - 0.25) < 0.06 and abs(len(val) / photos - 0.15) < 0.06


def test_metrics_respect_filters_and_have_intervals(done):
    metrics = json.loads((done / "metrics/retrieval.json").read_text())
    assert metrics["filters_respected"] == 1 and metrics["hnsw_recall_at_10"] >= 0.95
    for name, bounds in metrics["interval"].items():
        assert bounds["low"] <= metrics[name] <= bounds["high"], name
    assert metrics["chosen_on_val"] in metrics["val"] and set(metrics["val"]) == {"average", "weighted", "image", "text"}
    twins = metrics["near_duplicates"]
    assert 0 <= twins["with_a_twin"] <= twins["photos"] == 10 and twins["cosine"] == 0.65


def test_twice_the_same_bytes(done):
    before = tree(done)
    for stage in STAGES[2:]:
        run(stage, done)
    assert tree(done) == before


def test_a_picture_on_record_finds_itself(in_done, done):
    crop = sorted((done / "data/retrieval/crops/images").iterdir())[3]
    found = search.open_search().find(image=crop, k=3, filters={"has_damage": [True, False]})
    assert crop.stem in [hit.crop_id for hit in found]
    both = search.main(["--image", str(crop), "--text", "a dent", "-k", "2", *in_done])
    assert len(both.splitlines()) == 4
    assert Image.open(in_done[1]).width > 500
    asked = Path(in_done[1]).with_name("asked.png")
    Image.open(crop).save(asked)
    with pytest.raises(InputError, match=r"asked\.png: is the picture that is asked about"):
        search.main(["--image", str(asked), "--sheet", str(asked)])


def test_a_sentence_with_filters(in_done):
    lines = search.main(["--text", "deep scratch", "--zone", "5", "--zone", "2", "--damaged", "-k", "4", *in_done]).splitlines()
    assert len(lines) == 6
    assert all("Rear bumper" in line or "Hood" in line for line in lines[1:-1])
    assert not any("no visible damage" in line for line in lines[1:-1])
    assert search.main(["--text", "x", "--severity", "severe", *in_done]) == "no case on record passes the filters"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "a dent", "--zone", "11"], "filter 'vehicle_zone': value '11' is unknown; front_left_fender"),
        (["--text", "a dent", "--damage", "rust"], "filter 'damage_type': value 'rust' is unknown; surface_scratch"),
        (["--text", "a dent", "-k", "0"], "k is 0; at least 1 is expected"),
        (["--text", "dent " * 300], "words) is longer than the context of 'adapter'"),
        (["--text", " "], "the text is empty; a sentence is expected"),
        ([], "a query is a picture (--image), a sentence (--text) or both"),
        (["--image", "nowhere.jpg"], "nowhere.jpg: no such image"),
        (["--image", "metrics/retrieval.json"], "metrics/retrieval.json: not a readable image"),
        (["--text", "a dent", "--index", "nowhere"], "nowhere/config.json: no such file; the stage `index` writes it"),
    ],
)
def test_bad_queries(in_done, arguments, message):
    with pytest.raises(InputError) as caught:
        search.main([*arguments, *in_done])
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not Path(in_done[1]).exists()


def test_an_index_of_another_adapter(in_done, done, tmp_path, monkeypatch):
    for name in ("data", "models"):
        (tmp_path / name).mkdir()
    for name in ("retrieval", "baselines"):
        os.symlink(done / "data" / name, tmp_path / "data" / name)
    (folder := tmp_path / "models/retrieval_adapter").mkdir()
    for path in (done / "models/retrieval_adapter").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"input_size": 32}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="data/retrieval/index: an index of another model than the 'adapter' at hand"):
        search.open_search()


def test_no_photos_no_folder_and_a_broken_photo(tmp_path, panels):
    prepare(tmp_path)
    with pytest.raises(InputError, match="data/raw/panels: no crop in 0 photos"):
        run("crops", tmp_path)
    stem = sorted(path.name for path in panels.glob("*.jpg"))[0].removesuffix("_imageDANO_original.jpg")
    for path in panels.glob(f"{stem}*.json"):
        os.symlink(path, tmp_path / "data/raw/panels" / path.name)
    broken = tmp_path / "data/raw/panels" / f"{stem}_imageDANO_original.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"_imageDANO_original.jpg: not a readable image .* is its annotation"):
        run("crops", tmp_path)
    Image.new("RGB", (60, 40)).save(broken)
    with pytest.raises(InputError, match=r"_modificado.json: size 784×588 is annotated, but .* is 60×40; the same size"):
        run("crops", tmp_path)
    assert not (tmp_path / "data/retrieval/crops").exists() and not list((tmp_path / "data").rglob(".tmp*"))
    (tmp_path / "data/raw/panels").rename(tmp_path / "data/raw/other")
    with pytest.raises(InputError, match="data/raw/panels: no such folder; the photos of 'panels' are expected there"):
        run("crops", tmp_path)


def test_stages_need_what_stages_before_them_write(tmp_path):
    prepare(tmp_path)
    for stage in ("contexts", "adapter", "embeddings"):
        with pytest.raises(InputError, match=r"crops.parquet: no such file; the stage `crops` writes it"):
            run(stage, tmp_path)
    with pytest.raises(InputError, match=r"index/config.json: no such file; the stage `index` writes it"):
        run("validate", tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "voc"}, "parameter 'layout' is 'voc': input should be 'zones' or 'coco'"),
        ({"colour": 1}, "unknown parameter 'colour'"),
        ({"test_share": 1}, "parameter 'test_share' is 1: input should be less than 0.5"),
    ],
)
def test_bad_parameters(tmp_path, changes, message):
    prepare(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        run("crops", tmp_path)
