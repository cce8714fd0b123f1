"""Where the pixels of a binned catalogue lie, as told on the command line: one field, or tiles of the sky."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.data.tables import ShearCatalogue
from lensdask.errors import InputError
from lensdask.maps.fields import checked_pixel_scale
from lensdask.maps.footprints import place_on_sky, read_footprint
from lensdask.maps.pixelisation import bin_blocks
from lensdask.maps.tiling import tile_blocks

__all__ = ["Grid", "bin_table", "check_hdu", "used_galaxies"]


@dataclass(frozen=True)
class Grid:
    """Options of ``lensdask massmap bin`` about pixels.

    Parameters
    ----------
    pixel_scale
        Arcmin.
    sky
        Whether positions are right ascension and declination.
    shape, centre
        Pixels Y,X and position X,Y, two numbers with a comma between.
    mask
        File of the footprint; on the sky its header may say where its middle is.
    drop_outside
        Whether galaxies off the grid or the mask are left out.
    tiles
        Whether the catalogue is cut into fields.
    overlap
        Of these, arcmin.
    """

    pixel_scale: float
    sky: bool = True
    shape: str | None = None
    centre: str | None = None
    mask: Path | None = None
    drop_outside: bool = False
    tiles: bool = False
    overlap: float | None = None


def bin_table(galaxies: ShearCatalogue, grid: Grid, **settings: Any) -> xr.Dataset:
    """Bin a catalogue.

    Parameters
    ----------
    galaxies
        The catalogue.
    grid
        Pixels.
    settings
        `sigma_e`, `source` and `warn`, as for `lensdask.massmap.bin_catalogue`.

    Raises
    ------
    InputError
        Options contradict each other, the mask cannot be read or lies elsewhere, or see
        `lensdask.massmap.bin_catalogue` and `lensdask.massmap.tile_catalogue`.
    """
    _check(grid)
    checked_pixel_scale(grid.pixel_scale)
    settings |= {"pixel_scale": grid.pixel_scale, "shape": _pair("--shape", grid.shape, int)}
    if grid.tiles:
        return tile_blocks(galaxies, **settings, overlap=grid.overlap or 0.0)
    mask, centre = _footprint(grid)
    return bin_blocks(galaxies, **settings, sky=grid.sky, centre=centre, mask=mask, drop_outside=grid.drop_outside)


def used_galaxies(galaxies: ShearCatalogue, maps: xr.Dataset, grid: Grid) -> int:
    """Return how many galaxies of a catalogue are in its maps, each counted once however many tiles have it.

    Parameters
    ----------
    galaxies, grid
        As for `bin_table`.
    maps
        What it returned.
    """
    # Tiles cover all that has a weight, and the reader returns no others.
    return (galaxies.used or 0) if grid.tiles else int(maps["count"].values.sum(dtype=np.float64))


def _check(grid: Grid) -> None:
    """Refuse options that say nothing together."""
    if grid.tiles and not grid.sky:
        raise InputError("--tiles: with --flat; expected RA and Dec, or one field with --shape and --centre")
    if grid.tiles and grid.shape is None:
        raise InputError("--tiles: no size; expected --shape Y,X, the pixels of a tile")
    if grid.tiles and (grid.centre or grid.mask or grid.drop_outside):
        raise InputError(
            "--tiles: with --centre, --mask or --drop-outside, which are about one field; expected none of them"
        )
    if grid.overlap is not None and not grid.tiles:
        raise InputError("--overlap: without --tiles; expected both or neither")


def _footprint(grid: Grid) -> tuple[npt.NDArray[np.bool_] | None, tuple[float, float] | None]:
    """Return the mask of a field and the position of its middle, where they are given."""
    centre = _pair("--centre", grid.centre, float)
    if grid.mask is None:
        return None, centre
    mask = read_footprint(grid.mask, grid.pixel_scale)
    if grid.sky:
        centre = place_on_sky(grid.mask, grid.pixel_scale, centre)
    if centre is None:
        raise InputError("--mask: nothing says where it is; expected --centre X,Y, the position of its middle")
    return mask, centre


def check_hdu(catalogue: Path, hdu: str | None) -> None:
    """Refuse to choose a table of a file that has one.

    Parameters
    ----------
    catalogue
        Table of galaxies.
    hdu
        What was chosen, None for nothing.

    Raises
    ------
    InputError
        The file is neither FITS nor HDF5.
    """
    if hdu is None or not (catalogue.is_file() or catalogue.is_dir()):
        return  # whoever reads the file says what is wrong with it
    begin = b""
    if catalogue.is_file():
        with gzip.open(catalogue) if catalogue.suffix == ".gz" else catalogue.open("rb") as file:
            begin = file.read(6)
    if not begin.startswith((b"SIMPLE", b"\x89HDF")):
        raise InputError(f"--hdu: {hdu} of {catalogue}, neither FITS nor HDF5; expected none, as it has one table")


def _pair(option: str, text: str | None, kind: Callable[[str], Any]) -> tuple[Any, Any] | None:
    """Return the two numbers of an option."""
    if text is None:
        return None
    try:
        first, second = map(kind, text.split(","))
    except ValueError as error:
        numbers = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{option}: {text!r}; expected two {numbers} with a comma between") from error
    return first, second
