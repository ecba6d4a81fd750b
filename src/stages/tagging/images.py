"""images: check, align and store both domains of a tagging data set: `python -m stages.tagging.images DATASET`."""

from pathlib import Path

import numpy as np

from zerostart.errors import InputError, dataset_argument, run_stage
from zerostart.outputs import stage_folder, write_csv, write_json
from zerostart.tagging.cards import TagCard, load_tag_card
from zerostart.tagging.params import TaggingParams, load_tagging_params
from zerostart.tagging.pictures.alignment import align, object_areas, targets
from zerostart.tagging.pictures.cleaning import academic_splits, balance, clean, real_splits, reasons
from zerostart.tagging.pictures.sources import Item, read_academic, read_real
from zerostart.tagging.pictures.store import SPLITS, write_index, write_pixels

FLOAT_224 = 3 * 224 * 224 * 4
"""Bytes of a picture in the usual float32 array at 224 pixels."""


def main() -> str:
    dataset = dataset_argument()
    params, card = load_tagging_params(dataset), load_tag_card(dataset)
    root = Path("data/raw") / card.name
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; {card.obtain}")
    academic = read_academic(card.academic, root)
    real = [read_real(source, root) for source in card.real]
    alignment = {"academic": align(academic, card, others_are_negatives=True)}
    alignment["real"] = {source.origin: align(source, card, others_are_negatives=False) for source in real}
    tests_first = sorted(academic.items, key=lambda item: item.split != "test")  # of a duplicate the test's copy stays
    items = {"academic": tests_first, "real": [item for source in real for item in source.items]}
    with stage_folder(f"data/tagging/{dataset}/images") as folder:
        found = {domain: _store(items[domain], domain, card, params, folder / domain) for domain in items}
    write_json(
        f"metrics/tagging/{dataset}/images.json",
        {"alignment": alignment} | {domain: report for domain, (report, _) in found.items()},
    )
    rows = [(domain, *row) for domain, (_, rows) in found.items() for row in rows]
    write_csv(f"plots/tagging/{dataset}/balance.csv", ("domain", "split", "tag", "pictures"), rows)
    counts = "; ".join(f"{domain} {report['pictures']}, left out {report['left_out']}" for domain, (report, _) in found.items())
    return f"{dataset}: {counts}"


def _store(items: list[Item], domain: str, card: TagCard, params: TaggingParams, folder: Path) -> tuple[dict, list]:
    """Write one domain's store; returns its report and its class balance."""
    folder.mkdir()
    kept: list[Item] = []
    left_out: dict[str, str] = {}
    shapes = write_pixels(folder, clean(items, params.data.longest, kept, left_out, join_tags=domain == "real"))
    if not kept:
        name, reason = next(iter(left_out.items()))
        raise InputError(f"data/raw/{card.name}: no readable {domain} picture is left; {name}: {reason}")
    if domain == "academic":
        splits = academic_splits(kept, params.data.academic_val, params.seed)
    else:
        splits = real_splits(kept, {"val": params.data.real_val, "test": params.data.real_test}, params.seed)
    for index, split in enumerate(SPLITS):
        if not (splits == index).any():
            raise InputError(
                f"data/raw/{card.name}: {len(kept)} {domain} pictures leave none for the split '{split}'; more pictures,"
                f" or another {'academic_val' if domain == 'academic' else 'real_val or real_test'} in `data`, are expected"
            )
    marks = targets(kept, card)
    write_index(folder, card.tags, [item.name for item in kept], shapes, marks, object_areas(kept, card), splits)
    stored = int(3 * shapes.astype(np.int64).prod(axis=1).sum())
    report = {
        "pictures": len(kept),
        "left_out": reasons(left_out),
        "left_out_names": left_out,
        "bytes": stored,
        "share_of_float_224": stored / (len(kept) * FLOAT_224),
    }
    return report, balance(marks, splits, card.tags)


if __name__ == "__main__":
    run_stage(main)
