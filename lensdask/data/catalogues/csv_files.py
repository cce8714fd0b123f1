"""Columns of text with commas between them."""

import csv
import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import MaskedColumn
from fsspec.compression import compr
from fsspec.utils import infer_compression

from lensdask.data.catalogues.found import Found, file_stamp, lacking, matched_names, plain_column
from lensdask.errors import InputError

__all__ = ["read_csv"]

_EMPTY = ("", "NA", "N/A", "<NA>", "null", "NULL", "None", "--")
"""Cells of text that hold nothing. That of nan holds a number that is none, which is another matter."""


def read_csv(path: Path, names: Sequence[str], _chosen: int | str | None, rows: int | None) -> Iterator[Found]:
    """Yield the wanted columns; see `lensdask.data.catalogues.formats.reader_of`."""
    import pandas as pd

    def wanted(name: str) -> bool:
        return name.strip().lower() in {each.lower() for each in names}

    # Else, where rows are longer than the header, the first column is taken for the numbers of the rows.
    options: dict[str, Any] = {"comment": "#", "skipinitialspace": True, "index_col": False}
    present = [str(name).strip() for name in pd.read_csv(path, nrows=0, **options).columns]
    matched = matched_names(names, present)
    if matched is None:
        raise lacking(path, names, {"": present}, None)
    _refuse_long_rows(path, len(present), file_stamp(path))
    options |= {"na_values": list(_EMPTY), "keep_default_na": False}
    with pd.read_csv(path, usecols=wanted, iterator=True, chunksize=rows, **options) as reader:
        for block in [reader.read()] if rows is None else reader:
            block.columns = [str(name).strip() for name in block.columns]
            yield {name: _csv_column(path, match, block[match]) for name, match in matched.items()}


@lru_cache(maxsize=64)
def _refuse_long_rows(path: Path, width: int, _stamp: tuple[int, ...]) -> None:
    """Refuse rows of more fields than the header has, unless what is too much is empty: commas at the ends of lines.

    Pandas, told to read some of the columns, passes over them.
    """
    # By the same rule as pandas: by how the name ends.
    unpacked = compr[infer_compression(path.name)]
    with (
        path.open("rb") as packed,
        unpacked(packed, mode="rb") as content,
        io.TextIOWrapper(content, encoding="utf-8", errors="replace") as file,
    ):
        numbered = enumerate(file, 1)
        for number, line in numbered:
            # Commas between quotes or in a comment count here, too: whoever has fewer is not too long.
            if line.rstrip(", \t\n").count(",") < width and line.count('"') % 2 == 0:
                continue
            # A text between quotes may go on in the next line.
            following = (after for _, after in numbered)
            fields = next(csv.reader(chain([_without_comment(line)], following), skipinitialspace=True), [])
            if any(field.strip() for field in fields[width:]):
                what = f"line {number} has {len(fields)} fields"
                raise InputError(f"{path}: {what}; expected {width} at most, as its header has")


def _without_comment(line: str) -> str:
    before, sign, _ = line.partition("#")
    # Between quotes it begins no comment.
    return before if sign and before.count('"') % 2 == 0 else line


def _csv_column(path: Path, name: str, values: Any) -> MaskedColumn:
    missing = np.asarray(values.isna())
    numbers = values.to_numpy()
    if numbers.dtype.kind not in "biuf":
        try:
            # A column with the word nan is not numbers for pandas.
            numbers = np.array([0.0 if gone else float(value) for value, gone in zip(values, missing, strict=True)])
        except (TypeError, ValueError):
            numbers = np.asarray(values, dtype=str)
    return plain_column(path, name, numbers, missing, None)
