"""Null tests of a catalogue, as a file of numbers."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from astropy.table import Table

from lensdask.compute import Row, row, write_json
from lensdask.errors import InputError
from lensdask.shear.coadds.catalogue import FORMATS
from lensdask.shear.nulls.correlations import shear_correlation
from lensdask.shear.nulls.samples import mean_shear, psf_leakage, shear_in_bins, star_response

__all__ = ["measure_nulls", "read_catalogue_table"]


class Nulls(NamedTuple):
    """What was measured of a catalogue.

    Parameters
    ----------
    result
        Content of ``result.json``: ``rows`` with what was measured, and ``galaxies``.
    binned
        Tables of `shear_in_bins`, by column.
    modes
        Table of `shear_correlation`; none where places are unknown.
    """

    result: dict[str, Any]
    binned: dict[str, Table]
    modes: Table | None


def read_catalogue_table(path: Path) -> Table:
    """Return a table that `lensdask.shear.to_catalogue` wrote.

    Raises
    ------
    InputError
        It cannot be read.
    """
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: expected a name that ends in {', '.join(FORMATS)}")
    try:
        return Table.read(path, format=FORMATS[path.suffix])
    except (OSError, ValueError) as error:
        detail = str(error).splitlines()[0]
        raise InputError(f"{path}: {detail}; expected a catalogue of lensdask shear catalogue") from error


def measure_nulls(
    table: Table,
    out_dir: Path,
    *,
    columns: Sequence[str] = (),
    stars: Table | None = None,
    bins: int = 10,
    patches: int = 20,
    overwrite: bool = False,
) -> Nulls:
    """Measure what should be zero in a catalogue, and write ``result.json``.

    Parameters
    ----------
    table
        Of `lensdask.shear.to_catalogue`.
    out_dir
        Directory of the results, made if it is not there.
    columns
        Columns in bins of which the mean shear is measured; ``psf_e1`` and ``psf_e2``, if there, also give α.
    stars
        Stars measured as galaxies are, for their response.
    bins
        Of a column.
    patches
        Of the jackknife of B modes.
    overwrite
        Replace earlier results.

    Raises
    ------
    InputError
        Something cannot be measured, or the directory has results already.
    """
    file = out_dir / "result.json"
    if file.exists() and not overwrite:
        raise InputError(f"{file}: exists; expected a new directory, or to overwrite it")
    binned = {name: shear_in_bins(table, name, bins) for name in columns}
    modes = shear_correlation(table, patches=patches) if {"ra", "dec"} <= set(table.colnames) else None
    rows = [*_of_sample(table, stars), *_of_columns(binned), *_of_modes(modes)]
    out_dir.mkdir(parents=True, exist_ok=True)
    result = {"galaxies": len(table), "rows": rows}
    write_json(file, result)
    return Nulls(result, binned, modes)


def _of_sample(table: Table, stars: Table | None) -> Iterator[Row]:
    """Yield rows about all galaxies, and the stars."""
    for i, value, error in zip((1, 2), *mean_shear(table), strict=True):
        yield row(f"mean g{i}", float(value), float(error))
    if {"psf_e1", "psf_e2"} <= set(table.colnames):
        found = psf_leakage(table)
        for name in ("alpha1", "alpha2", "c1", "c2"):
            yield row(f"PSF leakage {name}", found[name], found[f"{name}_error"])
    if stars is not None:
        yield row("response of stars", *star_response(stars))


def _of_columns(binned: dict[str, Table]) -> Iterator[Row]:
    for name, found in binned.items():
        for i in (1, 2):
            yield row(f"slope of g{i} with {name}", found.meta[f"slope{i}"], found.meta[f"slope{i}_error"])


def _of_modes(modes: Table | None) -> Iterator[Row]:
    for one in modes or ():
        for kind, column in (("E", "map2"), ("B", "mx2")):
            found = float(one[column]), float(one["map2_error"])
            yield row(f"{kind} modes: variance of the aperture mass", *found, x=float(one["theta"]))
