"""Columns of the tables of others: one reader for the catalogues of galaxies that all pillars take."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import MaskedColumn
from astropy.utils.exceptions import AstropyWarning

from lensdask.data.catalogues.columns import UsableRows, as_numbers, warn_of_catalogue
from lensdask.data.catalogues.formats import FORMATS, is_hdf5, reader_of
from lensdask.data.catalogues.surveys import find_survey, signs_of
from lensdask.errors import InputError, check_number

__all__ = ["ShearCatalogue", "column_blocks", "read_columns", "read_shear_catalogue"]

Float64 = npt.NDArray[np.float64]

_COLUMNS = "ra", "dec", "g1", "g2", "weight"

BLOCK_ROWS = 2**18
"""Of a block: some 100 MB of memory while its shears are averaged."""

_ROLES = ("x", "y", "g1", "g2", "weight", "measurement_error")


def read_columns(
    path: str | Path, names: Sequence[str], what: str, *, hdu: int | str | None = None
) -> dict[str, MaskedColumn]:
    """Return columns of a table: FITS, LDAC, Parquet (a file or a folder of them), HDF5, ECSV or CSV.

    Parameters
    ----------
    path
        The file. Its format is told by its content.
    names
        Of the wanted columns, upper or lower case alike. Columns of HDF5 may be arrays in a group, or fields of an
        array of records.
    what
        What was expected there, for the message.
    hdu
        Which table of several: number or name of the extension of a FITS file, path of the group or array of HDF5. The
        first that has the columns when not given, so that the headers in an LDAC file are passed over.

    Returns
    -------
    dict
        Numbers in the byte order of this machine by the names that were asked for, masked where the table says that it
        has none, with the unit that it states.

    Raises
    ------
    InputError
        The file cannot be read, has no such table, lacks a column, or one holds text or several numbers in each row.
    """
    (found,) = column_blocks(path, names, what, hdu=hdu)
    return found


def column_blocks(
    path: str | Path, names: Sequence[str], what: str, *, hdu: int | str | None = None, rows: int | None = None
) -> Iterator[dict[str, MaskedColumn]]:
    """Yield the columns of a table block after block, so that a long one need not fit into memory.

    Parameters
    ----------
    path, names, what, hdu
        As for `read_columns`.
    rows
        Of a block at most; all at once when None.

    Raises
    ------
    InputError
        See `read_columns`.
    """
    blocks: Iterator[dict[str, MaskedColumn]] | None = None
    while True:
        with _told(path, what):
            blocks = blocks or reader_of(Path(path))(Path(path), names, hdu, rows)
            block = next(blocks, None)
        if block is None:
            return
        yield block


@contextmanager
def _told(path: str | Path, what: str) -> Iterator[None]:
    """Say in a line what is wrong with a table that is read."""
    try:
        with warnings.catch_warnings():
            # On headers, and on files that may be cut short, which are errors where a column is.
            warnings.simplefilter("ignore", AstropyWarning)
            yield
    except InputError as error:
        expected = "" if "expected" in str(error) else f"; expected a table of {what}"
        raise InputError(f"{error}{expected}") from error
    # On files that are cut short, damaged or of another format the libraries raise errors of every kind.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); expected a table of {what}, as {FORMATS}") from error


def read_shear_catalogue(
    path: str | Path,
    columns: Sequence[str] | None = None,
    *,
    survey: str | None = None,
    flip_g1: bool | None = None,
    flip_g2: bool | None = None,
    response: float | None = None,
    sky: bool = True,
    hdu: int | str | None = None,
    drop_bad: bool = False,
    warn: Callable[[str], None] = warn_of_catalogue,
) -> dict[str, Float64]:
    """Return the columns of a catalogue, named as `lensdask.massmap.bin_catalogue` takes them.

    Galaxies without a value in one of the columns are left out, with a warning, and so are those of weight 0.

    Parameters
    ----------
    path
        FITS, LDAC, Parquet, HDF5, ECSV or CSV.
    columns
        Names in the file, upper or lower case alike: of the two positions and the two components of the shear, then, if
        there are, of the weight, and of the measurement error of a component. Those of the survey when not given, or
        ra, dec, g1, g2 and weight.
    survey
        One of `lensdask.data.catalogues.surveys.SURVEYS`, whose columns and signs are known.
    flip_g1, flip_g2
        Whether the sign of a component is reversed, so that g1 > 0 lies east to west and g2 > 0 north west to south
        east. When not given, as the survey has it, or not at all.
    response
        Mean response of the ellipticities in the file, by which they and their measurement error are divided.
    sky
        Whether positions are right ascension and declination, which are returned in degrees, or x and y, in arcmin.
        What states another unit is converted.
    hdu
        Which table of the file; see `lensdask.data.tables.read_columns`.
    drop_bad
        Leave out galaxies that are not finite, which are an error otherwise.
    warn
        Gets a line on galaxies that are left out; by default a Python warning.

    Raises
    ------
    InputError
        The file cannot be read or lacks a column, too few columns or too many are named, a unit cannot be converted,
        values are not finite, no galaxy is left, or nothing says which signs the shear of a survey has.
    """
    settings: dict[str, Any] = {"survey": survey, "flip_g1": flip_g1, "flip_g2": flip_g2, "response": response}
    (rows,) = ShearCatalogue(path, columns, **settings, sky=sky, hdu=hdu, drop_bad=drop_bad, rows=None, warn=warn)
    return rows


_RESPONSES = (0.01, 10.0)
"""Least and largest mean response: no shape measures less of the shear, or more."""


class ShearCatalogue:
    """A catalogue on the disk, block after block, as often as it is asked for: it need not fit into memory.

    Blocks are what `read_shear_catalogue` returns, of some rows each. That rows were left out is said at the end of the
    first pass, and what is wrong with rows at its end, with the numbers of the whole catalogue.

    Parameters
    ----------
    path, columns, survey, flip_g1, flip_g2, response, sky, hdu, drop_bad, warn
        As for `read_shear_catalogue`.
    rows
        Of a block at most; all at once when None.

    Raises
    ------
    InputError
        See `read_shear_catalogue`.
    """

    def __init__(
        self,
        path: str | Path,
        columns: Sequence[str] | None = None,
        *,
        survey: str | None = None,
        flip_g1: bool | None = None,
        flip_g2: bool | None = None,
        response: float | None = None,
        sky: bool = True,
        hdu: int | str | None = None,
        drop_bad: bool = False,
        rows: int | None = BLOCK_ROWS,
        warn: Callable[[str], None] = warn_of_catalogue,
    ) -> None:
        known = None if survey is None else find_survey(survey)
        columns = columns or (known.columns if known else _COLUMNS)
        if not 4 <= len(columns) <= len(_ROLES):
            raise InputError(
                f"columns: {','.join(columns)}; expected the names of {', '.join(_ROLES)}, the first four at least"
            )
        if twice := [name for name in columns if list(columns).count(name) > 1]:
            raise InputError(f"columns: {','.join(columns)}; expected {twice[0]} once")
        factors = dict(zip(("g1", "g2"), signs_of(survey, flip_g1, flip_g2), strict=True)) | {"measurement_error": 1.0}
        if response is not None:
            check_number("response", response, least=_RESPONSES[0], most=_RESPONSES[1], meaning="a mean response")
            factors = {role: factor * (1 / response) for role, factor in factors.items()}
        self._path, self._columns, self._factors = path, columns, factors
        self._unit = "deg" if sky else "arcmin"
        self._hdu = known.hdu if hdu is None and known and is_hdf5(Path(path)) else hdu
        self._drop_bad, self._rows, self._warn = drop_bad, rows, warn
        undivided = known.response if known and response is None else ""
        self._doubt = undivided and f"ellipticities, taken for reduced shear; divide them by {undivided} (response)"
        self.used: int | None = None
        """Galaxies that are not left out, known after a pass."""

    def __iter__(self) -> Iterator[dict[str, Float64]]:
        """Yield the blocks."""
        usable = UsableRows(drop_bad=self._drop_bad)
        what = 'galaxies, its columns named as in columns="ra,dec,g1,g2"'
        for found in column_blocks(self._path, self._columns, what, hdu=self._hdu, rows=self._rows):
            with self._named():
                rows = usable.among(self._numbers(found))
            yield self._to_shear(rows)
        with self._named():
            line = usable.line()
        if self.used is None:
            for said in filter(None, (line, self._doubt)):
                self._warn(f"{self._path}: {said}")
        self.used = usable.used

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Begin errors with the file."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{self._path}: {error}") from error

    def _numbers(self, found: Mapping[str, MaskedColumn]) -> dict[str, Any]:
        """Return the columns of a block in the unit that is expected, by what they are."""
        return {
            # Only the ratios of weights count, whatever their unit.
            role: as_numbers(
                name, found[name].value if role == "weight" else found[name], self._unit if role in ("x", "y") else ""
            )
            for role, name in zip(_ROLES, self._columns, strict=False)
        }

    def _to_shear(self, rows: dict[str, Float64]) -> dict[str, Float64]:
        factors = self._factors
        return {role: column * factors[role] if role in factors else column for role, column in rows.items()}
