"""The drawn tagging data set: `academic/SPLIT/PART/NNNN.png` and, as COCO JSON, the scenes in `scenes/`."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from zerostart.drawing.synthetic import JPEG_QUALITY, image_rng
from zerostart.interruptions import end_with_parent
from zerostart.outputs import write_jpeg, write_json
from zerostart.tagging.drawn.scenes import SCENE_SIZE, academic_picture, scene
from zerostart.tagging.drawn.shapes import SHAPES, TAGS

Objects = list[tuple[str, tuple[int, int, int, int]]]


def generate_toolbox(folder: Path, seed: int, per_part: dict[str, int], scenes: int, workers: int) -> None:
    """Write both domains into an existing empty folder; the bytes depend on `seed` and the counts only.

    per_part: academic pictures of each part per split; scenes: number of photographs of the bench.
    """
    index = 0
    for split, count in per_part.items():
        for name in SHAPES:
            target = folder / "academic" / split / name
            target.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(academic_picture(name, image_rng(seed, index))).save(target / f"{number:04d}.png")
                index += 1
    (folder / "scenes").mkdir()
    work = partial(_write_scene, folder, seed + 1)
    if workers == 1:
        objects = [work(index) for index in range(scenes)]
    else:
        # "spawn": a fork would copy the locks of threads that a caller's libraries may hold.
        with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
            objects = list(pool.map(work, range(scenes), chunksize=8))
    write_json(folder / "scenes.json", _coco(objects))


def _write_scene(folder: Path, seed: int, index: int) -> Objects:
    pixels, objects = scene(image_rng(seed, index))
    write_jpeg(folder / "scenes" / f"{index:05d}.jpg", Image.fromarray(pixels), JPEG_QUALITY)
    return objects


def _coco(objects_of: list[Objects]) -> dict:
    images = [
        {"id": index, "file_name": f"{index:05d}.jpg", "width": SCENE_SIZE, "height": SCENE_SIZE}
        for index in range(len(objects_of))
    ]
    boxes = [(index, name, box) for index, objects in enumerate(objects_of) for name, box in objects]
    annotations = [
        {
            "id": number,
            "image_id": index,
            "category_id": TAGS.index(name),
            "bbox": list(box),
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for number, (index, name, box) in enumerate(boxes, start=1)
    ]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": k, "name": name} for k, name in enumerate(TAGS)],
    }
