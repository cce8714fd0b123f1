"""Columns of a catalogue as plain numbers: in a known unit, without what is missing, and checked.

What states its unit is converted, be it a Quantity, an angle of a SkyCoord or a column of a table; what states none is
taken to have the unit that is expected. A value is **missing** where its column says so: behind the mask of a masked
array, NA in pandas, an empty cell, the number that stands for none in a FITS table. Rows with a missing value are left
out. Values that are not finite without being declared missing are another matter: something went wrong there.
"""

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError

__all__ = [
    "CatalogueWarning",
    "UsableRows",
    "as_numbers",
    "is_masked",
    "number_in_unit",
    "stated_factor",
    "warn_of_catalogue",
]

Float64 = npt.NDArray[np.float64]
Masked = np.ma.MaskedArray[Any, np.dtype[Any]]


class CatalogueWarning(UserWarning):
    """Rows of a catalogue were left out, or what it says is hard to believe."""


def warn_of_catalogue(line: str) -> None:
    """Warn of a catalogue in Python."""
    warnings.warn(line, CatalogueWarning, stacklevel=4)


def as_numbers(name: str, values: Any, unit: str = "") -> Masked:
    """Return a column as numbers in double precision, masked where it has none.

    Parameters
    ----------
    name
        What errors call it.
    values
        Array, masked array, Quantity, column of a table, Series of pandas, or a list; None is a missing value.
    unit
        Unit of what is returned, as Astropy writes it: ``deg``, ``arcmin``, or nothing for a pure number.

    Returns
    -------
    MaskedArray
        In the byte order of this machine. NaN is masked in a Series of pandas alone, where it stands for NA.

    Raises
    ------
    InputError
        Text, complex numbers or positions on the sky, or numbers of a unit that cannot be converted.
    """
    numbers = _masked(name, values)
    factor = _factor(name, _stated_unit(values), unit)
    return numbers if factor == 1 else numbers * factor


def number_in_unit(name: str, value: Any, unit: str) -> Any:
    """Return a Quantity as a number of a unit, and anything else as it is.

    Raises
    ------
    InputError
        It has a unit that cannot be converted.
    """
    if getattr(value, "unit", None) is None or np.ndim(value):
        return value
    return float(value.value) * _factor(name, value.unit, unit)


def is_masked(values: Any) -> bool:
    """Return whether values have a mask, be it NumPy's or Astropy's, whatever is behind it."""
    return isinstance(values, np.ma.MaskedArray) or (hasattr(values, "unmasked") and hasattr(values, "mask"))


def stated_factor(name: str, values: Any, unit: str) -> float:
    """Return by what values are multiplied to be in a unit; 1 where they state none, or that they have none.

    A unit per pixel, such as arcsec / pix, is taken without the pixel.

    Raises
    ------
    InputError
        They state a unit that cannot be converted.
    """
    stated = _stated_unit(values)
    if stated is None:
        return 1.0
    from astropy import units

    if stated == units.dimensionless_unscaled:
        return 1.0
    whole = None if isinstance(stated, units.UnrecognizedUnit) else stated * units.pix
    return _factor(name, whole if whole is not None and whole.is_equivalent(units.Unit(unit)) else stated, unit)


def _masked(name: str, values: Any) -> Masked:
    """Return values and where they are missing, without their unit."""
    if hasattr(values, "represent_as"):
        raise InputError(f"{name}: positions on the sky; expected one angle of them, such as sky.ra or sky.dec")
    missing: Any = np.ma.nomask
    if type(values).__module__.partition(".")[0] == "pandas":
        missing = np.asarray(values.isna())
        is_real = getattr(values, "dtype", np.dtype(object)).kind in "biuf"
        values = values.to_numpy(dtype=np.float64, na_value=np.nan) if is_real else np.asarray(values)
    elif hasattr(values, "unmasked"):
        values, missing = values.unmasked, np.asarray(values.mask)
    elif isinstance(values, np.ma.MaskedArray):
        values, missing = values.data, np.ma.getmask(values)
    values = _plain(name, getattr(values, "value", values) if hasattr(values, "unit") else values)
    if values.dtype == object:
        values, missing = _of_objects(values, missing)
    if values.dtype.kind not in "biuf":
        kind = {"c": "complex numbers", "U": "text", "S": "text"}.get(values.dtype.kind, f"of type {values.dtype}")
        raise InputError(f"{name}: {kind}; expected one real number for each row")
    return np.ma.MaskedArray(np.asarray(values, dtype=np.float64), missing)


def _plain(name: str, values: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name}: rows of different lengths; expected one real number for each row") from error


def _of_objects(values: npt.NDArray[Any], missing: Any) -> tuple[npt.NDArray[Any], Any]:
    """Return numbers among which some are None or NA, as lists and columns of mixed type have them."""
    import pandas as pd

    missing = np.ma.mask_or(missing, np.asarray(pd.isna(values)))
    kept = np.where(missing, 0.0, values)
    # Python would read numbers written as text.
    is_text = any(isinstance(value, str | bytes) for value in kept.flat)
    try:
        return (kept.astype(str) if is_text else kept.astype(np.float64)), missing
    except (TypeError, ValueError):
        return values, missing


def _stated_unit(values: Any) -> Any:
    """Return the unit that a column states, None if it states none."""
    stated = getattr(values, "unit", None)
    if stated is None and isinstance(attributes := getattr(values, "attrs", None), Mapping):
        stated = attributes.get("units")
    if stated is None:
        return None
    from astropy import units

    if not isinstance(stated, str | units.UnrecognizedUnit):
        return stated
    text = str(stated).strip()
    # As it is written, or as many tables write them: degrees, Hours, RADIANS.
    readings = [units.Unit(reading, parse_strict="silent") for reading in (text, text.lower().rstrip("s"))]
    known = (reading for reading in readings if not isinstance(reading, units.UnrecognizedUnit))
    return next(known, readings[0]) if text else None


def _factor(name: str, stated: Any, unit: str) -> float:
    """Return by what numbers of a stated unit are multiplied."""
    if stated is None:
        return 1.0
    from astropy import units

    # A shear "in ellipticity" is a pure number; an angle in a unit that nobody knows is not usable.
    if isinstance(stated, units.UnrecognizedUnit) and not unit:
        return 1.0
    wanted = units.Unit(unit)
    # Right ascensions in hours are angles.
    found = units.hourangle if stated == units.hour and wanted.physical_type == "angle" else stated
    try:
        return float(found.to(wanted))
    except (ValueError, AttributeError, TypeError) as error:
        expected = f"{unit}, or what converts to it" if unit else "a pure number"
        raise InputError(f"{name}: in {stated}; expected {expected}") from error


class UsableRows:
    """The rows of a catalogue that have numbers in all columns, block after block, and what is left out.

    Rows whose weight is 0 are left out, too: nobody looks at what they hold, and nobody counts them.

    Parameters
    ----------
    drop_bad
        Leave out rows that are not finite, which are an error otherwise.
    """

    def __init__(self, *, drop_bad: bool = False) -> None:
        self._drop_bad = drop_bad
        self._rows = 0
        # Those of a block, by column, and how many lack any.
        self._lost: dict[str, Counter[str]] = {_MISSING: Counter(), _BAD: Counter()}
        self._any: Counter[str] = Counter()
        self.used = 0
        """Rows that are not left out."""

    def among(self, columns: Mapping[str, Masked]) -> dict[str, Float64]:
        """Return the usable rows of a block.

        Parameters
        ----------
        columns
            From `as_numbers`, all of one shape (galaxy,); the one named ``weight``, if there is one, is the weight.
        """
        weight = columns.get("weight")
        count = len(next(iter(columns.values())))
        looked_at = np.ones(count, dtype=bool) if weight is None else np.asarray(weight.filled(np.nan) != 0)
        missing = {name: looked_at & np.ma.getmaskarray(column) for name, column in columns.items()}
        kept = looked_at & ~self._counted(_MISSING, missing)
        bad = {name: kept & ~np.isfinite(column.data) for name, column in columns.items()}
        kept &= ~self._counted(_BAD, bad)
        self._rows += count
        self.used += int(np.count_nonzero(kept))
        return {name: column.data if kept.all() else column.data[kept] for name, column in columns.items()}

    def _counted(self, why: str, columns: Mapping[str, npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_]:
        """Return the rows that any column lacks, and count them."""
        lost = np.asarray(np.logical_or.reduce(list(columns.values())))
        self._lost[why].update({name: int(np.count_nonzero(rows)) for name, rows in columns.items()})
        self._any[why] += int(np.count_nonzero(lost))
        return lost

    def line(self) -> str:
        """Return in words which rows were left out, nothing where these were of weight 0 alone.

        Raises
        ------
        InputError
            Rows are not finite, or none is left, or there was none.
        """
        if not self._rows:
            raise InputError("no rows; expected some galaxies")
        if not self._drop_bad:
            self._refuse_bad()
        parts = [
            f"{self._any[why]} {why} ({', '.join(name for name, number in columns.items() if number)})"
            for why, columns in self._lost.items()
            if self._any[why]
        ]
        if not parts:
            return ""
        line = f"dropped {self._any.total()} of {self._rows} galaxies: {', '.join(parts)}"
        if not self.used:
            raise InputError(f"{line}; expected some galaxies that have all values")
        return line

    def _refuse_bad(self) -> None:
        for name, broken in self._lost[_BAD].items():
            if broken:
                raise InputError(
                    f"{name}: not finite for {broken} of {self._rows} galaxies; expected numbers, or to drop such "
                    "galaxies with drop_bad=True"
                )


_MISSING, _BAD = "with a missing value", "not finite"
