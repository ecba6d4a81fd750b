"""docs/params.md from the typed model and params.yaml: `python -m zerostart.params_page`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from zerostart.errors import run_stage
from zerostart.outputs import output_file
from zerostart.params import Params, load_params

PAGE = Path("docs/params.md")
HEAD = """# Parameters

What `params.yaml` may say; `dvc exp run -S NAME=VALUE` changes it for one experiment. This page is written by
`python -m zerostart.params_page` from the model that checks the file (src/zerostart/params.py).

| name | value here | may be | meaning and source |
|---|---|---|---|
"""
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
KINDS = {bool: "true, false", str: "a name", int: "whole number", float: "number"}


def page(params: Params) -> str:
    """The page, with the values of `params`."""
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in _rows(params, ""))


def _rows(values: BaseModel, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in type(values).model_fields.items():
        value = getattr(values, name)
        if isinstance(value, BaseModel):
            yield f"**`{prefix}{name}`**", "", "", _one_line(f"{value.__doc__} {field.description or ''}")
            yield from _rows(value, f"{prefix}{name}.")
        else:
            yield f"`{prefix}{name}`", f"`{_yaml(value)}`", _range(field), _one_line(field.description)


def _range(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    bounds = [
        f"{sign} {getattr(limit, key):.10g}" for limit in field.metadata for key, sign in SIGNS.items() if hasattr(limit, key)
    ]
    return " ".join([KINDS[field.annotation], ", ".join(bounds)]).strip()


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> str:
    with output_file(PAGE) as temporary:
        temporary.write_text(page(load_params()), encoding="utf-8")
    return f"{PAGE}: written"


if __name__ == "__main__":
    run_stage(main)
