"""found: kinds that nobody was shown, looked for by their sentence and by another kind's; the first test picture of each.

`python -m stages.novel.found DATASET`
"""

from functools import partial
from pathlib import Path
from textwrap import shorten, wrap

import numpy as np

from zerostart.datasets.pictures import open_rgb
from zerostart.errors import dataset_argument, run_stage
from zerostart.evaluation.picture_sheet import BOX, OBJECT, Tile, draw_sheet
from zerostart.metrics.boxes import pixel_boxes
from zerostart.metrics.coco import image_sizes
from zerostart.novel.material import load_named, load_seen
from zerostart.novel.params import load_novel_params
from zerostart.novel.rows import load_vocabulary
from zerostart.novel.texts import OWN_WORDING
from zerostart.outputs import output_file

THRESHOLD = 0.3
KINDS = 6


def main() -> str:
    dataset, params = dataset_argument(), load_novel_params()
    data, vocabulary = Path(f"data/novel/{dataset}"), load_vocabulary(Path(f"models/vocabulary/{dataset}"))
    kinds, seen = load_named(data, "test"), load_seen(data, "test", params.regions)
    images = seen.looks.coco["images"]
    boxes = pixel_boxes(seen.looks.boxes, image_sizes(seen.looks.coco, np.array([image["id"] for image in images])))
    tiles = []
    for kind in range(KINDS):
        first = next(one for one in seen.looks.coco["annotations"] if one["category_id"] == kind)
        picture = first["image_id"] - 1
        for asked, said in ((kind, "its sentence"), ((kind + 2) % len(kinds.names), "another kind's")):
            row, offset = vocabulary.row(kinds.embedded[asked][OWN_WORDING])
            z = seen.looks.features[picture].astype(np.float64) @ row + offset
            score = np.exp(seen.objectness[picture] + vocabulary.log_fits(z))
            best = int(score.argmax())
            drawn = [(tuple(first["bbox"]), OBJECT)]
            if score[best] >= THRESHOLD:
                drawn.append((tuple(boxes[picture, best].tolist()), BOX))
            path = data / "pictures/test" / images[picture]["file_name"]
            text = shorten(kinds.sentences[asked][OWN_WORDING][0], 74, placeholder=" …")
            caption = "\n".join([f"{kinds.names[kind]}, {said}: {score[best]:.2f}", *wrap(text, 40)])
            tiles.append(Tile(partial(open_rgb, path), tuple(drawn), caption))
    path = Path(f"plots/novel/{dataset}_found.png")
    with output_file(path) as temporary:
        draw_sheet(
            tiles, f"Yellow: the object. Blue: the picture's best box for the sentence below, if its score reaches {THRESHOLD}."
        ).save(temporary, "PNG")
    return f"{path}: {len(tiles)} pictures"


if __name__ == "__main__":
    run_stage(main)
