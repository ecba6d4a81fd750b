"""school: marks of freely combined facts, painted on metal: `python -m stages.novel.school DATASET`.

Where the parameters say so, pictures with kinds of mark that nobody knows are drawn as well: val, pool and test.
"""

from functools import partial
from pathlib import Path

from zerostart.datasets.cards import load_card
from zerostart.datasets.checks import build_splits
from zerostart.drawing.synthetic import CLASSES
from zerostart.errors import InputError, dataset_argument, run_stage
from zerostart.novel.kinds import PURPOSES, load_kinds
from zerostart.novel.params import load_novel_params, of_dataset
from zerostart.novel.scenes import draw_picture, kind_mark, paint_on_image, school_mark, write_pictures
from zerostart.outputs import stage_folder

KIND_SEEDS = {"val": 11, "pool": 12, "test": 13, "val_pool": 14}


def main() -> str:
    dataset, params = dataset_argument(), load_novel_params()
    mine = of_dataset(params, dataset)
    kinds = {purpose: load_kinds(purpose) for purpose in PURPOSES}
    left_out = [kind.facts for purpose in PURPOSES for kind in kinds[purpose]] if mine.kinds else []
    draw, counts = school_mark(left_out, mine.tints, mine.scale), params.school.marks
    if mine.surface == "drawn":
        pictures = [partial(draw_picture, draw, counts)] * params.school.images
    elif mine.surface == "own":
        pictures = own_pictures(dataset, params.school.images, draw, counts)
    else:
        raise InputError(f"surface of {dataset} is {mine.surface!r}; drawn or own is expected")
    with stage_folder(f"data/novel/{dataset}/pictures") as folder:
        objects = write_pictures(folder / "school", pictures, params.school.seed, [])
        for name, images in params.kind_images.items() if mine.kinds else ():
            chosen = kinds["val" if name.startswith("val") else "test"]
            of_kinds = [partial(draw_picture, kind_mark(chosen, params.known_share), (2, 4))] * images
            write_pictures(folder / name, of_kinds, KIND_SEEDS[name], [kind.name for kind in chosen] + list(CLASSES))
    return f"data/novel/{dataset}/pictures: a school of {objects} marks in {params.school.images} pictures"


def own_pictures(dataset: str, count: int, draw, counts: tuple[int, int]) -> list:
    """One picture maker for each of the first training images."""
    raw = Path("data/raw") / dataset
    coco = build_splits(load_card(dataset), raw)["train"]
    boxes: dict[int, list] = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        boxes[annotation["image_id"]].append(tuple(annotation["bbox"]))
    chosen = coco["images"][:count]
    return [partial(paint_on_image, raw / image["file_name"], boxes[image["id"]], draw, counts) for image in chosen]


if __name__ == "__main__":
    run_stage(main)
