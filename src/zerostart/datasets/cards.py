"""The dataset card (data/datasets/<name>.yaml): what a dataset's classes are and where its files lie."""

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Annotated, Literal

from pydantic import Field

from zerostart.config import FrozenModel, InnerPath, Visible, read_checked
from zerostart.errors import InputError

Name = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^\S(.*\S)?$"), Visible]


class SplitFiles(FrozenModel):
    """Where one split lies. All paths are relative to the dataset's folder."""

    annotations: InnerPath
    """coco: the JSON file; voc: the folder of the XML files; yolo: the folder of the label files."""
    images: InnerPath
    """The folder of the images. coco: the folder that `file_name` starts from."""
    list: InnerPath | None = None
    """voc: a text file with one file stem per line. yolo: one image path per line; without it every image in `images`."""


class Splits(FrozenModel):
    train: SplitFiles
    val: SplitFiles
    test: SplitFiles


class Card(FrozenModel):
    """One dataset."""

    name: Name
    """Equal to the card's file name; the data lie in data/raw/<name>."""
    format: Literal["coco", "voc", "yolo"]
    obtain: Name
    """How a user gets the data: what follows "no such folder; ..."."""
    prompts: Annotated[InnerPath, Field(pattern=r"^[^/]+$")]
    """Name of a file in data/prompts/, without its suffix."""
    classes: tuple[Name, ...]
    """Their order gives the class ids 0..K-1."""
    critical: tuple[Name, ...]
    """The classes that AR_critical averages over."""
    splits: Splits
    new: tuple[Name, ...] = ()
    """Classes that the detector does not know and that a sentence names: `python -m zerostart.classes` writes them."""
    aliases: dict[Name, Name] = Field(default_factory=dict)
    """Class name in the source: class name of this card. Several names may become one class."""
    names: tuple[Name, ...] | None = None
    """yolo: the class names in the order of the label files' indices; without it `names` of the dataset's data.yaml."""

    on_defect: Literal["refuse", "skip"] = "refuse"
    """Records that cannot be taken: an error that lists all of them, or left out, which `metrics/` and the report then say."""

    repeated_objects: Literal["refuse", "keep"] = "refuse"
    """The same box of the same class twice in one image: a defect, or kept, as in published sets that have some."""

    def class_of(self, source_name: str) -> str:
        """The card's name for a class of the source."""
        return self.aliases.get(source_name, source_name)


def load_card(name: str, folder: str | Path = "data/datasets") -> Card:
    """Read and check the card of a dataset.

    Raises InputError when there is no such card (listing those that exist), when it is not valid YAML or has an unknown,
    missing or mistyped key, and when its classes, critical classes, aliases or splits contradict each other.
    """
    existing = sorted(path.stem for path in Path(folder).glob("*.yaml"))
    if name not in existing:
        known = ", ".join(existing) or "none"
        raise InputError(f"{folder}: no card for dataset '{name}'; a file <name>.yaml is expected there, existing: {known}")
    path = Path(folder) / f"{name}.yaml"
    card = read_checked(path, Card, "the card of the data set is", "key")
    if card.name != name:
        raise InputError(f"{path}: 'name' is '{card.name}'; the file's own name, '{name}', is expected")
    _check_classes(card, path)
    _check_format(card, path)
    return card


def _check_classes(card: Card, path: Path) -> None:
    if len(card.classes) < 2:
        raise InputError(
            f"{path}: 'classes' has {len(card.classes)} entry; at least 2 are expected, because text acts only through "
            f"the cosines between classes"
        )
    for key in ("classes", "critical", "names", "new"):
        if repeated := _first_repeated(getattr(card, key) or ()):
            raise InputError(f"{path}: '{repeated}' stands twice in '{key}'; each name is expected once")
    if not card.critical:
        raise InputError(f"{path}: 'critical' is empty; at least one class is expected, or AR_critical is undefined")
    for critical in card.critical:
        if critical not in card.classes:
            raise InputError(f"{path}: critical class '{critical}' is not in 'classes' ({', '.join(card.classes)})")
    if known := [name for name in card.new if name in card.classes]:
        raise InputError(f"{path}: '{known[0]}' stands in 'classes' and in 'new'; a class that the detector knows is not new")
    for source, target in card.aliases.items():
        if target not in card.classes:
            raise InputError(f"{path}: alias '{source}' stands for '{target}', not in 'classes' ({', '.join(card.classes)})")
        if source in card.classes:
            raise InputError(f"{path}: alias '{source}' is itself in 'classes'; only other names of the source are expected")


def _check_format(card: Card, path: Path) -> None:
    for split, files in card.splits:
        for key in ("annotations", "images", "list"):
            place = getattr(files, key)
            if place is not None and (Path(place).is_absolute() or PureWindowsPath(place).drive or ".." in Path(place).parts):
                raise InputError(
                    f"{path}: key 'splits.{split}.{key}' is '{place}'; a path inside the data set's folder is expected:"
                    " what DVC keeps track of"
                )
        if card.format == "voc" and files.list is None:
            raise InputError(f"{path}: key 'splits.{split}.list' is missing; format voc expects a file with one stem per line")
        if card.format == "coco" and files.list is not None:
            raise InputError(f"{path}: key 'splits.{split}.list' has no meaning in format coco; its JSON file lists the images")
    if card.format != "yolo" and card.names is not None:
        raise InputError(f"{path}: key 'names' has a meaning in format yolo only, not in {card.format}")


def _first_repeated(names: Sequence[str]) -> str | None:
    return next((name for index, name in enumerate(names) if name in names[:index]), None)
