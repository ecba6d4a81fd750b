"""docs/params.md says what the model and params.yaml say."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from zerostart.params import Params, load_params
from zerostart.params_page import page

ROOT = Path(__file__).parents[2]


def keys(values: dict, prefix: str = "") -> list[str]:
    """Dotted names of everything that params.yaml sets."""
    found = []
    for name, value in values.items():
        found += keys(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
    return found


def test_the_page_is_the_present_one():
    assert (ROOT / "docs/params.md").read_text(encoding="utf-8") == page(load_params(ROOT / "params.yaml"))


@pytest.mark.parametrize("name", keys(yaml.safe_load((ROOT / "params.yaml").read_text())))
def test_every_parameter_has_a_row_with_its_range_and_meaning(name):
    (row,) = [line for line in page(load_params(ROOT / "params.yaml")).splitlines() if line.startswith(f"| `{name}` |")]
    assert all(cell.strip() for cell in row.strip("|").split("|"))


def test_bounds_are_those_of_the_model():
    text = page(load_params(ROOT / "params.yaml"))
    assert "| `tau` | `0.07` | number ≥ 0.01, ≤ 1 |" in text
    assert "| `lr.decoder` | `2e-05` | number > 0, ≤ 10 |" in text
    assert "| `projector` | `linear` | `linear`, `mlp` |" in text
    assert "| `epochs.decoder` | `0` | whole number ≥ 0, ≤ 1000 |" in text


def test_every_field_of_the_model_is_described():
    def check(model: type[BaseModel]) -> None:
        for name, field in model.model_fields.items():
            group = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
            assert group or field.description, name
            if group:
                check(field.annotation)

    check(Params)
