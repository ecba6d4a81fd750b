"""Read COCO JSON, Pascal VOC XML and YOLO label files into one kind of record.

The readers keep for every image and object the name of its file and record and the annotated size, which the checks in
:mod:`zerostart.datasets.checks` need. They check structure only: what can be read is returned as it stands.
"""

from pathlib import Path, PurePosixPath

from zerostart.datasets.cards import Card, SplitFiles
from zerostart.datasets.coco_file import read_coco_file
from zerostart.datasets.files import spelled
from zerostart.datasets.findings import Findings
from zerostart.datasets.image_records import ImageRecord, ObjectRecord
from zerostart.datasets.voc import read_voc
from zerostart.datasets.yolo import read_yolo, yolo_names


def read_split(card: Card, folder: Path, split: str, findings: Findings | None = None) -> list[ImageRecord]:
    """The records of one split of the dataset in `folder`.

    findings: takes what is wrong with single records and files, which are left out; without it the first one is raised.

    Raises InputError when nothing can be read: a folder, a list or the COCO file is missing or malformed.
    """
    files: SplitFiles = getattr(card.splits, split)
    if card.format == "coco":
        return read_coco(folder, files, findings)
    if card.format == "voc":
        return read_voc(folder, files, findings)
    names = yolo_names(folder, [files for _, files in card.splits], list(card.names) if card.names else None)
    return read_yolo(folder, files, names, findings)


def read_coco(folder: Path, files: SplitFiles, findings: Findings | None = None) -> list[ImageRecord]:
    """Records of a COCO detection file, in the order of its `images`; see :func:`read_coco_file`."""
    path = folder / files.annotations
    coco = read_coco_file(path, findings=findings)
    names = coco.names()
    objects: dict[int, list[ObjectRecord]] = {image.id: [] for image in coco.images}
    for index, item in enumerate(coco.annotations):
        record = ObjectRecord(names[item.category_id], item.bbox, coco.where(path, index), crowd=bool(item.iscrowd))
        objects[item.image_id].append(record)
    return [
        ImageRecord(
            file_name=spelled(folder, (PurePosixPath(files.images) / image.file_name).as_posix()),
            size=image.size,
            objects=tuple(objects[image.id]),
            source=f"{path}, image {image.id}",
        )
        for image in coco.images
    ]
