"""Parquet tables with deterministic bytes, read with one sentence when they are missing."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from zerostart.errors import InputError
from zerostart.outputs import output_file


def write_table(path: str | Path, table: pa.Table) -> None:
    """Write a table atomically."""
    with output_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: str | Path, stage: str) -> pa.Table:
    """Read a table; raises InputError naming the stage that writes it when it is missing or not Parquet."""
    try:
        return pq.read_table(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the stage `{stage}` writes it") from None
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a Parquet table as the stage `{stage}` writes it ({error})") from None
