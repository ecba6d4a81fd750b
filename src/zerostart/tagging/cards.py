"""The card of a tagging data set (data/tags/<name>.yaml): its tags, and where the two domains lie."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from zerostart.config import Count, FrozenModel, InnerPath, Name, explain_problems
from zerostart.errors import InputError
from zerostart.records import read_yaml


class AcademicSource(FrozenModel):
    """The small pictures, each of one class."""

    format: Literal["folder", "zip", "cifar10"]
    """folder, zip: `split/class/*.jpg` or `.png`; cifar10: the python version as torchvision reads it."""
    path: InnerPath
    """Relative to data/raw/<name>."""


class RealSource(FrozenModel):
    """Photos with any number of tags each."""

    format: Literal["folders", "images", "csv", "coco"]
    """folders: `tag/*`; images: a folder whose every photo has the tag `tag`; csv: `file,tag,tag…`; coco: boxes are tags."""
    path: InnerPath
    """The folder of the photos, relative to data/raw/<name>."""
    labels: InnerPath | None = None
    """csv, coco: the file of the labels, relative to data/raw/<name>."""
    tag: Name | None = None
    limit: Count | None = None
    """Take so many photos, evenly over the sorted names; all by default."""

    @model_validator(mode="after")
    def _format_has_its_keys(self) -> Self:
        if (self.labels is not None) != (self.format in ("csv", "coco")):
            raise ValueError(f"'labels' is for the formats csv and coco, which need it; the format is {self.format}")
        if (self.tag is not None) != (self.format == "images"):
            raise ValueError(f"'tag' is for the format images, which needs it; the format is {self.format}")
        return self


class TagCard(FrozenModel):
    """One tagging data set."""

    name: Name
    obtain: Name
    """How a user gets the data: what follows "no such folder; ..."."""
    tags: tuple[Name, ...] = Field(min_length=1)
    """Their order gives the columns of every score."""
    aliases: dict[Name, Name] = Field(default_factory=dict)
    """Class name in a source: tag of this card."""
    negatives: tuple[Name, ...] = ()
    """Further class names that photos may carry and that mean no tag. Academic classes need not be listed."""
    coco_names: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    """Tag: the COCO classes whose best score is the detector's score of the tag (the baseline)."""
    academic: AcademicSource
    real: tuple[RealSource, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for key in ("tags", "negatives"):
            names = getattr(self, key)
            if repeated := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"'{repeated[0]}' stands twice in '{key}'")
        for name in (*self.aliases, *self.negatives):
            if name in self.tags:
                raise ValueError(f"'{name}' is a tag, and also among the aliases or negatives")
        for name in (*self.aliases.values(), *self.coco_names):
            if name not in self.tags:
                raise ValueError(f"'{name}' is not in 'tags' ({', '.join(self.tags)})")
        return self

    def tag_of(self, source_name: str) -> str | None:
        """The tag that a source's class name means; None when it means none."""
        name = self.aliases.get(source_name, source_name)
        return name if name in self.tags else None


def load_tag_card(name: str, folder: str | Path = "data/tags") -> TagCard:
    """Read and check a card; raises InputError naming the file and each wrong key."""
    path = Path(folder) / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in Path(folder).glob("*.yaml"))) or "none"
        raise InputError(f"{path}: no card for the tagging data set '{name}'; existing: {known}")
    try:
        card = TagCard.model_validate(read_yaml(path, "the card of a tagging data set is expected there"))
    except ValidationError as error:
        raise InputError(f"{path}: {explain_problems(error, kind='key')}") from None
    if card.name != name:
        raise InputError(f"{path}: 'name' is '{card.name}'; the file's own name, '{name}', is expected")
    return card
