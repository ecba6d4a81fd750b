"""Sources, alignment by name, clean-up and the store of the tagging data."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tagging_samples import CARD, COLOURS, TAGS, photo, plain, run_stage, write_toy

from zerostart.errors import InputError
from zerostart.tagging.cards import AcademicSource, RealSource, TagCard, load_tag_card
from zerostart.tagging.pictures.alignment import align, object_areas, targets
from zerostart.tagging.pictures.cleaning import real_splits
from zerostart.tagging.pictures.decoding import LEAST_SIDE, UnreadableError, decode
from zerostart.tagging.pictures.sources import Item, Source, read_academic, read_real
from zerostart.tagging.pictures.store import SPLITS, open_store


def stored(folder: Path, domain: str) -> dict[str, tuple]:
    """name -> (tags, split, pixels) of a store."""
    store = open_store(folder / "data/tagging/toy/images" / domain, TAGS)
    images = store.images(range(len(store.names)))
    return {
        name: (store.targets[i].tolist(), SPLITS[store.splits[i]], images[i].numpy().tobytes())
        for i, name in enumerate(store.names)
    }


def coco_of(names: list[str], ids: list[int]) -> dict:
    """COCO annotations of the toy photos with the categories in any order and with any ids."""
    images = [{"id": i, "file_name": f"{i:02d}.png", "width": 80, "height": 64} for i in range(24)]
    tags = {i: [(), ("red",), ("green",), ("blue",), ("red", "blue")][i % 5] for i in range(24)}
    pairs = [(i, tag) for i in range(24) for tag in tags[i]]
    boxes = [
        {"id": n, "image_id": i, "category_id": ids[names.index(tag)], "bbox": [0, 0, 20, 20]}
        for n, (i, tag) in enumerate(pairs, 1)
    ]
    categories = [{"id": k, "name": name} for k, name in zip(ids, names, strict=True)]
    return {"images": images, "annotations": boxes, "categories": categories}


@pytest.mark.parametrize(("names", "ids"), [(["blue", "red", "green"], [0, 1, 2]), (["green", "blue", "red"], [7, 3, 90])])
def test_permuting_a_source_changes_nothing(tmp_path, names, ids):
    card = CARD | {"real": [{"format": "coco", "path": "photos", "labels": "photos.json"}]}
    for folder, content in (("a", coco_of(list(TAGS), [0, 1, 2])), ("b", coco_of(names, ids))):
        write_toy(tmp_path / folder, card=card)
        (tmp_path / folder / "data/raw/toy/photos.json").write_text(json.dumps(content))
        run_stage("images", tmp_path / folder)
    assert stored(tmp_path / "a", "real") == stored(tmp_path / "b", "real")
    alignment = json.loads((tmp_path / "b/metrics/tagging/toy/images.json").read_text())["alignment"]
    assert alignment["real"]["photos.json"]["reordered"] and alignment["real"]["photos.json"]["source_order"] == names


def test_permuting_the_card_moves_the_columns(tmp_path):
    card = CARD | {"tags": ["blue", "red", "green"]}
    write_toy(tmp_path / "a")
    write_toy(tmp_path / "b", card=card)
    for folder in ("a", "b"):
        run_stage("images", tmp_path / folder)
    first = stored(tmp_path / "a", "academic")
    moved = open_store(tmp_path / "b/data/tagging/toy/images/academic", card["tags"])
    for name, marks in zip(moved.names, moved.targets, strict=True):
        assert dict(zip(card["tags"], marks.tolist(), strict=True)) == dict(zip(TAGS, first[name][0], strict=True))
    with pytest.raises(InputError, match="its tags are blue, red, green; the card has red, green, blue"):
        open_store(tmp_path / "b/data/tagging/toy/images/academic", TAGS)


def test_an_alias_and_a_negative_by_name():
    card = TagCard.model_validate(CARD | {"negatives": ["mauve"]})
    items = [Item("1", ("rouge", "blue"), None, areas={"rouge": 0.2}), Item("2", ("mauve",), None)]
    found = align(Source("s", ("blue", "mauve", "rouge"), items), card, others_are_negatives=False)
    assert found["mapped"] == {"rouge": "red"} and found["negatives"] == ["mauve"] and found["missing"] == ["green"]
    assert targets(items, card).tolist() == [[1, 0, 1], [0, 0, 0]]
    assert object_areas(items, card)[0].tolist() == pytest.approx([0.2, 0, 0])


def test_no_class_in_common_and_a_tag_outside_the_card():
    card = TagCard.model_validate(CARD)
    with pytest.raises(InputError, match="no class in common: it has cat, the card has red, green, blue"):
        align(Source("zoo", ("cat",), [Item("1", ("cat",), None)]), card, others_are_negatives=True)
    mixed = Source("zoo", ("red", "cat"), [Item("1", ("red",), None), Item("2", ("cat",), None)])
    with pytest.raises(InputError, match="2: 'cat' is outside the card"):
        align(mixed, card, others_are_negatives=False)
    assert align(mixed, card, others_are_negatives=True)["negatives"] == ["cat"]


def test_a_photo_without_a_tag_column(tmp_path):
    write_toy(tmp_path)
    (tmp_path / "data/raw/toy/photos.csv").write_text("file,tag\n00.png,red\n01.png\n")
    with pytest.raises(InputError, match=r"photos.csv, line 3: '01.png' has no tag column"):
        run_stage("images", tmp_path)
    assert not (tmp_path / "data/tagging").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("01.png,red\n02.png,blue\n01.png,blue\n", r"photos.csv, lines 1 and 3: '01.png' twice"),
        ("/etc/passwd,red\n", r"photos.csv, line 1: image '/etc/passwd'; a path inside .*photos is expected"),
        ("01.png,red\n../../../../x.png,red\n", r"photos.csv, line 2: image '../../../../x.png'; a path inside .*photos is"),
        ("..\\photos\\01.png,red\n", r"photos.csv, line 1: image '../photos/01.png'; a path inside .*photos is expected"),
    ],
)
def test_a_csv_that_names_a_photo_twice_or_elsewhere(tmp_path, rows, message):
    write_toy(tmp_path)
    (tmp_path / "data/raw/toy/photos.csv").write_text(rows)
    with pytest.raises(InputError, match=message):
        run_stage("images", tmp_path)


def test_coco_areas_are_shares_of_the_picture(tmp_path):
    write_toy(tmp_path)
    raw = tmp_path / "data/raw/toy"
    content = coco_of(list(TAGS), [0, 1, 2])
    content["categories"].append({"id": 9, "name": "zebra"})  # nothing carries it
    (raw / "photos.json").write_text(json.dumps(content))
    source = read_real(RealSource(format="coco", path="photos", labels="photos.json"), raw)
    assert source.items[4].areas == pytest.approx({"red": 20 * 20 / (80 * 64), "blue": 20 * 20 / (80 * 64)})
    assert align(source, TagCard.model_validate(CARD), others_are_negatives=False)["negatives"] == ["zebra"]


@pytest.mark.parametrize("name", ["../photos/01.png", "/etc/passwd"])
def test_a_coco_file_that_names_a_photo_elsewhere(tmp_path, name):
    write_toy(tmp_path)
    raw = tmp_path / "data/raw/toy"
    content = coco_of(list(TAGS), [0, 1, 2])
    content["images"][0]["file_name"] = name
    (raw / "photos.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"photos\.json, image \d+: image '{name}'; a path inside .*photos is expected"):
        read_real(RealSource(format="coco", path="photos", labels="photos.json"), raw)


def test_a_split_of_another_name(tmp_path):
    write_toy(tmp_path)
    academic = tmp_path / "data/raw/toy/academic"
    (academic / "test").rename(academic / "valid")
    with pytest.raises(InputError, match=r"a split 'valid'; 'train' .* and 'test' are expected"):
        run_stage("images", tmp_path)


def test_a_damaged_picture_in_a_zip_is_left_out(tmp_path):
    picture = tmp_path / "a.png"
    Image.fromarray(plain(COLOURS["red"], np.random.default_rng(0))).save(picture)
    with zipfile.ZipFile(tmp_path / "academic.zip", "w") as archive:
        archive.write(picture, "train/red/0.PNG")
        archive.write(picture, "test/red/1.png")
    packed = bytearray((tmp_path / "academic.zip").read_bytes())
    packed[packed.index(b"IDAT") + 20] ^= 255
    (tmp_path / "academic.zip").write_bytes(packed)
    items = {i.name: i for i in read_academic(AcademicSource(format="zip", path="academic.zip"), tmp_path).items}
    assert set(items) == {"academic.zip/train/red/0.PNG", "academic.zip/test/red/1.png"}
    with pytest.raises(UnreadableError, match="damaged in the zip file"):
        items["academic.zip/train/red/0.PNG"].read(None)


def test_empty_folders(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="no image in it"):
        read_real(RealSource(format="folders", path="photos"), tmp_path)
    with pytest.raises(InputError, match="no picture in the split 'train'"):
        read_academic(AcademicSource(format="folder", path="photos"), tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_real(RealSource(format="folders", path="other"), tmp_path)


def test_folder_and_zip_are_the_same_source(tmp_path):
    write_toy(tmp_path)
    raw = tmp_path / "data/raw/toy"
    with zipfile.ZipFile(raw / "academic.zip", "w") as archive:
        for path in (raw / "academic").rglob("*.png"):
            archive.write(path, path.relative_to(raw / "academic"))
    folder = read_academic(AcademicSource(format="folder", path="academic"), raw)
    packed = read_academic(AcademicSource(format="zip", path="academic.zip"), raw)
    assert [(i.labels, i.split) for i in folder.items] == [(i.labels, i.split) for i in packed.items]
    assert all((a.read(None) == b.read(None)).all() for a, b in zip(folder.items, packed.items, strict=True))


def test_cifar_labels_are_names(tmp_path, monkeypatch):
    folder = tmp_path / "cifar/cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    batch = {"data": np.arange(10 * 3072, dtype=np.uint64).reshape(10, 3072) % 251, "labels": [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]}
    batch["data"] = batch["data"].astype(np.uint8)
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    source = read_academic(AcademicSource(format="cifar10", path="cifar"), tmp_path)
    assert [item.labels[0] for item in source.items[:10]] == [names[label] for label in batch["labels"]]
    assert [item.split for item in source.items] == ["train"] * 50 + ["test"] * 10
    image = source.items[2].read(None)
    assert image.shape == (32, 32, 3) and image[3, 5].tolist() == batch["data"][2].reshape(3, 32, 32)[:, 3, 5].tolist()


def test_cifar_pickles_are_checked_before_they_are_opened(tmp_path):
    folder = tmp_path / "cifar/cifar-10-batches-py"
    folder.mkdir(parents=True)
    (folder / "data_batch_1").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match="not found or corrupted"):
        read_academic(AcademicSource(format="cifar10", path="cifar"), tmp_path)


def test_unreadable_truncated_and_duplicate_pictures_are_left_out(tmp_path):
    write_toy(tmp_path)
    photos = tmp_path / "data/raw/toy/photos"
    (photos / "01.png").write_bytes((photos / "01.png").read_bytes()[:400])
    (photos / "02.png").write_text("no picture")
    (photos / "06.png").write_bytes((photos / "11.png").read_bytes())
    (photos / "08.png").write_bytes((photos / "12.png").read_bytes())
    run_stage("images", tmp_path)
    report = json.loads((tmp_path / "metrics/tagging/toy/images.json").read_text())["real"]
    assert report["pictures"] == 20 and report["left_out"] == {"duplicate": 1, "duplicate, tags joined": 1, "unreadable": 2}
    assert report["left_out_names"] == {
        "photos/01.png": "not a readable image (image file is truncated)",
        "photos/02.png": "not a readable image (not one of BMP, GIF, JPEG, PNG, TIFF, WEBP)",
        "photos/11.png": "the same pixels as photos/06.png",
        "photos/12.png": "the same pixels with other tags as photos/08.png, which now has the tags of both: blue, green",
    }
    assert stored(tmp_path, "real")["photos/08.png"][0] == [0, 1, 1]


def test_a_picture_of_the_test_split_never_stays_in_train(tmp_path):
    write_toy(tmp_path)
    academic = tmp_path / "data/raw/toy/academic"
    (academic / "train/red/0.png").write_bytes((academic / "test/red/1.png").read_bytes())
    run_stage("images", tmp_path)
    found = stored(tmp_path, "academic")
    assert "academic/train/red/0.png" not in found and found["academic/test/red/1.png"][1] == "test"


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "LA", "1"])
def test_every_usual_mode_becomes_rgb(tmp_path, mode):
    image = Image.fromarray(photo(("red",), np.random.default_rng(0))).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    assert decode(path).shape == (64, 80, 3)


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert decode(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def test_an_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90° to be upright
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert decode(tmp_path / "a.jpg").shape == (40, 20, 3)


def test_one_pixel_sixteen_bits_and_a_hundred_megapixels(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(UnreadableError, match=f"1x1 pixels; at least {LEAST_SIDE}"):
        decode(tmp_path / "dot.png")
    Image.fromarray(np.full((20, 20), 100 * 257, np.uint16)).save(tmp_path / "deep.png")
    assert (decode(tmp_path / "deep.png") == 100).all()  # 16 bits are scaled, as everywhere
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(UnreadableError, match="10000x10000 pixels, too large to be decoded safely; at most 89"):
        decode(tmp_path / "huge.png")
    Image.new("1", (20_000, 10_000)).save(tmp_path / "bomb.png")
    with pytest.raises(UnreadableError, match="exceeds limit"):
        decode(tmp_path / "bomb.png")


def test_a_large_photo_is_shrunk_with_its_aspect_ratio(tmp_path):
    Image.new("RGB", (400, 100), (10, 200, 30)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", longest=100).shape == (25, 100, 3)


def test_the_store_keeps_the_small_pictures_as_they_are(tmp_path):
    write_toy(tmp_path)
    run_stage("images", tmp_path)
    folder = tmp_path / "data/tagging/toy/images/academic"
    store = open_store(folder, TAGS)
    original = np.asarray(Image.open(tmp_path / "data/raw/toy" / store.names[5]))
    assert (store.images([5])[0].numpy().transpose(1, 2, 0) == original).all()
    assert (folder / "pixels.bin").stat().st_size == len(store.names) * 3 * 32 * 32
    share = json.loads((tmp_path / "metrics/tagging/toy/images.json").read_text())["academic"]["share_of_float_224"]
    assert share == pytest.approx((32 / 224) ** 2 / 4, abs=1e-6)  # a byte for a float's four


def test_a_damaged_store_is_one_sentence(tmp_path):
    write_toy(tmp_path)
    run_stage("images", tmp_path)
    folder = tmp_path / "data/tagging/toy/images/academic"
    index = json.loads((folder / "index.json").read_text())
    damages = {
        "index.json": (b'{"names": ["a"], "tags": "red"}', "index.json: 'names' and 'tags', two lists of texts, are expected"),
        "areas.npy": (b"\x93NUMPY\x01", "no readable image store; the stage `images` writes it"),
        "splits.npy": ((folder / "targets.npy").read_bytes(), rf"splits\.npy: shape \(\d+, 3\); \({len(index['names'])},\) is"),
        "pixels.bin": ((folder / "pixels.bin").read_bytes()[:-5], r"pixels\.bin: \d+ bytes; \d+ are expected beside shapes"),
    }
    for name, (content, message) in damages.items():
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            open_store(folder, TAGS)
        (folder / name).write_bytes(before)
    (folder / "index.json").write_text(json.dumps(index | {"names": index["names"][1:]}))
    with pytest.raises(InputError, match=r"shapes\.npy: shape"):
        open_store(folder, TAGS)


def test_splits_keep_the_proportions_of_the_tags():
    items = [Item(str(i), ("red",) if i < 40 else ("blue",), None) for i in range(60)]
    splits = real_splits(items, {"val": 0.2, "test": 0.3}, seed=1)
    for members in (splits[:40], splits[40:]):
        assert (np.bincount(members) / len(members)).tolist() == pytest.approx([0.5, 0.2, 0.3])


def test_limit_takes_photos_evenly(tmp_path):
    (tmp_path / "cars").mkdir()
    for index in range(9):
        Image.fromarray(plain(COLOURS["red"], np.random.default_rng(index))).save(tmp_path / f"cars/{index}.png")
    source = read_real(RealSource(format="images", path="cars", tag="red", limit=3), tmp_path)
    assert [item.name for item in source.items] == ["cars/0.png", "cars/4.png", "cars/8.png"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tags": ["red", "red"]}, "'red' stands twice in 'tags'"),
        ({"aliases": {"red": "blue"}}, "'red' is a tag, and also among"),
        ({"aliases": {"rouge": "mauve"}}, "'mauve' is not in 'tags'"),
        ({"tagz": []}, "unknown key 'tagz'"),
        ({"name": "other"}, "the file's own name, 'toy'"),
        ({"real": [{"format": "csv", "path": "photos"}]}, "'labels' is for the formats csv and coco"),
        ({"real": [{"format": "images", "path": "photos"}]}, "'tag' is for the format images"),
    ],
)
def test_a_card_that_contradicts_itself(tmp_path, change, message):
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(CARD | change))
    with pytest.raises(InputError, match=message):
        load_tag_card("toy", tmp_path)


def test_an_unknown_card_lists_those_that_exist(tmp_path):
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(CARD))
    with pytest.raises(InputError, match="existing: toy"):
        load_tag_card("other", tmp_path)
