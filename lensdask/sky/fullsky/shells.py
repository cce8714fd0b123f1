"""Shells of a light cone in files: which redshifts each holds, and their maps one after the other.

==============  ====================================================================================================
``cosmogrid``   CosmoGridV1 (Kacprzak et al. 2023): a file ``.npz`` with ``shells`` (shell, pixel) and ``shell_info``,
                whose columns ``lower_z`` and ``upper_z`` are the ends of the shells, ``upper_com`` in Mpc / h.
``gower``       Gower Street (Jeffrey et al. 2024): a directory with ``z_values.txt``, a table with a header, and
                ``run.NNNNN.lightcone.npy`` for the steps that have a map.
``table``       A text file: in each row the near and the far redshift of a shell and the file of its map, see
                `lensdask.sky.fullsky.files`, beside the table or with its whole path.
==============  ====================================================================================================
"""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError
from lensdask.sky.fullsky.files import check_file, read_sky
from lensdask.sky.fullsky.healpix import Order

__all__ = ["Limits", "ShellFormat", "read_limits", "read_shells", "shell_files"]

Float64 = npt.NDArray[np.float64]
Map = npt.NDArray[Any]

ShellFormat = Literal["cosmogrid", "gower", "table"]
"""How shells lie in files."""

_GOWER_TABLE = "z_values.txt"


class Limits(NamedTuple):
    """The ends of shells, in the order of their maps."""

    near: Float64
    """Redshifts, shape (shell,)."""
    far: Float64
    """Redshifts, shape (shell,)."""
    reach: Float64 | None
    """Comoving distances of the far ends as the files have them, Mpc / h, shape (shell,); None if they do not."""


class _Row(NamedTuple):
    near: float
    far: float
    reach: float | None
    file: Path


def read_limits(path: Path, form: ShellFormat) -> Limits:
    """Return the redshifts of shells.

    Parameters
    ----------
    path
        The file or directory of the simulation.
    form
        Its format.

    Raises
    ------
    InputError
        It is not there, or not of the format.
    """
    if form == "cosmogrid":
        return _cosmogrid_limits(path)
    near, far, reach, _ = zip(*_rows(path, form), strict=True)
    known = None if None in reach else np.array(reach)
    return Limits(np.array(near), np.array(far), known)


def read_shells(
    path: Path, form: ShellFormat, order: Order, wanted: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, Map]]:
    """Yield the number and the map of some shells, one at a time.

    Parameters
    ----------
    path, form
        As for `read_limits`.
    order
        How pixels are counted.
    wanted
        Which shells, shape (shell,).

    Raises
    ------
    InputError
        A map cannot be read.
    """
    if form == "cosmogrid":
        yield from _cosmogrid_shells(path, wanted)
    else:
        rows = _rows(path, form)
        for number in np.flatnonzero(wanted).tolist():
            yield number, read_sky(rows[number].file, None, order)


def shell_files(path: Path, form: ShellFormat) -> list[Path]:
    """Return all files of a simulation.

    Raises
    ------
    InputError
        As `read_limits`.
    """
    if form == "cosmogrid":
        return [path]
    table = path / _GOWER_TABLE if form == "gower" else path
    return [table, *(row.file for row in _rows(path, form))]


def _rows(path: Path, form: ShellFormat) -> list[_Row]:
    rows = list(_gower_rows(path) if form == "gower" else _table_rows(path))
    if not rows:
        raise InputError(f"{path}: no shells; expected some")
    return rows


def _lines(path: Path, what: str) -> list[str]:
    check_file(path, what)
    try:
        return path.read_text().splitlines()
    except ValueError as error:
        raise InputError(f"{path}: is not text; expected {what}") from error


def _gower_rows(path: Path) -> Iterator[_Row]:
    """Yield the steps that have a map: the first ones, beyond the boxes, have none, or an incomplete one."""
    table = path / _GOWER_TABLE
    header, *lines = _lines(table, "redshifts of shells, in a directory of Gower Street") or [""]
    names = [name.strip() for name in header.lstrip("# ").split(",")]
    wanted = ("Step", "z_near", "z_far", "cmd_far(Mpc/h)")
    if not set(wanted[:3]) <= set(names):
        raise InputError(f"{table}: columns {', '.join(names)}; expected {', '.join(wanted)}")
    maps = {file.name.split(".")[-3]: file for file in sorted(path.glob("*.lightcone.npy"))}
    for number, line in enumerate(filter(str.strip, lines), 2):
        values = _numbers(line.split(","), f"{table}, line {number}")
        if len(values) != len(names):
            raise InputError(f"{table}, line {number}: {len(values)} numbers; expected {len(names)}, as the header has")
        one = dict(zip(names, values, strict=True))
        file = maps.get(f"{one['Step']:05.0f}")
        if file is not None:
            yield _Row(one["z_near"], one["z_far"], one.get(wanted[3]), file)


def _table_rows(path: Path) -> Iterator[_Row]:
    what = "near redshift, far redshift and file of a shell in each row"
    for number, line in enumerate(_lines(path, f"a text file with {what}"), 1):
        words = line.partition("#")[0].split(maxsplit=2)
        if words:
            where = f"{path}, line {number}"
            if len(words) != 3:
                raise InputError(f"{where}: {line.strip()!r}; expected {what}")
            near, far = _numbers(words[:2], where)
            yield _Row(near, far, None, path.parent / words[2].strip())


def _numbers(words: list[str], where: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise InputError(f"{where}: {error}; expected numbers") from error


def _cosmogrid_limits(path: Path) -> Limits:
    check_file(path, "shells of CosmoGrid, .npz")
    columns = ("lower_z", "upper_z", "upper_com")
    try:
        # NumPy's own reader leaves what is no archive open.
        with zipfile.ZipFile(path) as archive, archive.open("shell_info.npy") as member:
            info = np.lib.format.read_array(member, allow_pickle=False)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: {error}; expected shells of CosmoGrid, with shell_info") from error
    names = info.dtype.names or ()
    if not set(columns[:2]) <= set(names):
        raise InputError(f"{path}: shell_info of {info.dtype}; expected columns {', '.join(columns)}")
    known: list[Float64] = [info[name].astype(np.float64) for name in columns if name in names]
    return Limits(known[0], known[1], known[2] if len(known) == len(columns) else None)


def _cosmogrid_shells(path: Path, wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[int, Map]]:
    """Yield shells of an array of gigabytes that is compressed as a whole, without holding more than one."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("shells.npy") as member:
            pixels, dtype = _header(member, len(wanted), path)
            for number, is_wanted in enumerate(wanted.tolist()):
                data = member.read(pixels * dtype.itemsize)
                if len(data) < pixels * dtype.itemsize:
                    raise InputError(f"{path}: ends in shell {number}; expected {len(wanted)} shells")
                if is_wanted:
                    yield number, np.frombuffer(data, dtype)
                if not wanted[number + 1 :].any():
                    return
    except (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: {error}; expected shells of CosmoGrid") from error


def _header(member: Any, shells: int, path: Path) -> tuple[int, np.dtype[Any]]:
    """Return pixels of a shell and type of an array in NumPy's format, and go on to where it begins."""
    numpy = np.lib.format
    try:
        read = {(1, 0): numpy.read_array_header_1_0, (2, 0): numpy.read_array_header_2_0}[numpy.read_magic(member)]
        shape, by_columns, dtype = read(member)
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: shells are not in NumPy's format ({error}); expected shells of CosmoGrid") from error
    if len(shape) != 2 or shape[0] != shells or by_columns or dtype.kind not in "iuf":
        raise InputError(f"{path}: shells: {dtype} of shape {shape}; expected numbers of shape ({shells}, pixel)")
    return shape[1], dtype
