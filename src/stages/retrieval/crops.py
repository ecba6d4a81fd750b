"""crops: cut the crops of every photo of data/raw/<dataset> and write their table."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import torch

from zerostart.datasets.duplicates import check_one_split_only
from zerostart.datasets.findings import Findings
from zerostart.datasets.image_files import check_annotated_size, read_image_files
from zerostart.datasets.pictures import open_rgb
from zerostart.errors import InputError, run_stage
from zerostart.outputs import stage_folder, write_jpeg, write_json
from zerostart.retrieval.crops.coco_layout import read_coco_photos
from zerostart.retrieval.crops.cutting import SCHEMA, crops_of, cut_out
from zerostart.retrieval.crops.photos import Photo, hold_out, together
from zerostart.retrieval.crops.vehicles import FindVehicle, load_vehicle_detector
from zerostart.retrieval.crops.zone_layout import read_zone_photos
from zerostart.retrieval.params import CropParams, RetrievalParams, load_retrieval_params
from zerostart.retrieval.tables import write_table

OUTPUT = Path("data/retrieval/crops")
JPEG_QUALITY = 95


def main() -> str:
    params = load_retrieval_params()
    folder = Path("data/raw") / params.dataset
    photos, digests = checked_photos(folder, params)
    photos = apart(photos, digests, params)
    detector = load_vehicle_detector(params.vehicle_detector)
    with stage_folder(OUTPUT) as output, _workers() as pool:
        (output / "images").mkdir()
        done = list(
            pool.map(lambda item: cut_photo(*item, folder, output / "images", detector, params.crops), enumerate(photos))
        )
        rows = [row for found, _ in done for row in found]
        if not rows:
            raise InputError(f"{folder}: no crop in {len(photos)} photos; photos with damage or clean tiles are expected")
        vehicles = sum(found for _, found in done)
        write_table(output / "crops.parquet", pa.Table.from_pylist(rows, SCHEMA))
        write_json(output / "about.json", {"dataset": params.dataset, "photos": len(photos), "vehicles_found": vehicles})
    damaged = sum(row["has_damage"] for row in rows)
    said = _said(params.vehicle_detector, detector, vehicles, len(photos))
    return f"{OUTPUT}: {len(rows)} crops ({damaged} damaged) of {len(photos)} photos; {said}"


def checked_photos(folder: Path, params: RetrievalParams) -> tuple[list[Photo], dict[str, str]]:
    """The photos of the data set, and the digests of their pixels; raises InputError with everything that is wrong, by kind."""
    findings = Findings(collect=True)
    photos = read_photos(folder, params, findings)
    files = read_image_files(folder, {photo.source: photo.annotation for photo in photos}, findings)
    for photo in photos:
        if file := files.get(photo.source):
            with findings.as_defect("image size"):
                if photo.size is not None:
                    check_annotated_size(photo.size, file, folder / photo.source, photo.annotation)
                _check_boxes(photo, file.size, findings)
    digests = {name: file.pixels_sha256 for name, file in files.items()}
    if params.layout == "coco":  # where it is the data set that says who asks
        known = [photo for photo in photos if photo.source in digests]
        check_one_split_only(((photo.source, photo.split, digests[photo.source]) for photo in known), folder, findings)
    findings.refuse(folder)
    return photos, digests


def read_photos(folder: Path, params: RetrievalParams, findings: Findings) -> list[Photo]:
    """The photos of the data set in the layout of the parameters, divided into record, val and test."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; the photos of '{params.dataset}' are expected there")
    if params.layout == "coco":
        return read_coco_photos(folder, findings)
    photos = read_zone_photos(folder, findings)
    return hold_out(photos, params.val_share, params.test_share, params.seed)


def apart(photos: list[Photo], digests: Mapping[str, str], params: RetrievalParams) -> list[Photo]:
    """The photos such that no picture is on record and asks as well: copies follow the first where we divide them ourselves."""
    return photos if params.layout == "coco" else together(photos, digests)


def cut_photo(
    number: int, photo: Photo, folder: Path, output: Path, detector: FindVehicle | None, settings: CropParams
) -> tuple[list[dict], bool]:
    """Write the crops of a photo; returns their rows and whether a detector found the vehicle."""
    image = open_rgb(folder / photo.source)
    vehicle = detector(image) if detector else None
    crops = crops_of(photo, number, image.size, vehicle or (0, 0, *image.size), settings)
    for crop in crops:
        write_jpeg(output / f"{crop.row['crop_id']}.jpg", cut_out(image, crop.box, settings.size), JPEG_QUALITY)
    return [crop.row for crop in crops], vehicle is not None


def _workers() -> ThreadPoolExecutor:
    """Photos are cut side by side, and each thread runs the detector alone."""
    return ThreadPoolExecutor(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,))


def _check_boxes(photo: Photo, size: tuple[int, int], findings: Findings) -> None:
    for damage in photo.damages:
        left, top, right, bottom = damage.box
        if left < -1 or top < -1 or right > size[0] + 1 or bottom > size[1] + 1:
            findings.defect(
                "box",
                f"{photo.annotation}: a {damage.type} reaches to ({right:.0f}, {bottom:.0f}) from ({left:.0f}, {top:.0f}); "
                f"the photo is {size[0]}×{size[1]} pixels",
            )


def _said(source: str | None, detector: FindVehicle | None, vehicles: int, photos: int) -> str:
    if detector is None:
        missing = f"vehicle_detector '{source}' is not to be had" if source else "no vehicle_detector is named"
        return f"{missing}: the whole photo is taken for the vehicle"
    return f"a vehicle found in {vehicles} photos, the whole photo taken in {photos - vehicles}"


if __name__ == "__main__":
    run_stage(main)
