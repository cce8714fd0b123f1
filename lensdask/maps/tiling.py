"""A catalogue too wide for one tangent plane, cut into the fields of the sky (see `lensdask.maps.skyfields`).

The fields do not depend on the catalogue, but on their size and overlap alone: catalogues of one survey have the same
fields, with the same ids.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.conventions import ARCMIN
from lensdask.data import SHEAR_MAPS
from lensdask.data.catalogues.columns import number_in_unit, warn_of_catalogue
from lensdask.errors import InputError, check_number
from lensdask.maps.fields import ShearMaps, checked_pixel_scale, shear_dataset
from lensdask.maps.galaxies import Facts, Galaxies, Rows, checked_rows, doubt_of_density, facts_of, on_plane
from lensdask.maps.pixelisation import PixelSums, checked_shape, pixels_of, require_pixels
from lensdask.maps.skyfields import SkyFields, around, sky_fields

__all__ = ["tile_blocks", "tile_catalogue"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def tile_catalogue(
    ra: npt.ArrayLike,
    dec: npt.ArrayLike,
    g1: npt.ArrayLike,
    g2: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    pixel_scale: float,
    shape: tuple[int, int],
    overlap: float = 0.0,
    sigma_e: float | None = None,
    measurement_error: npt.ArrayLike | None = None,
    drop_bad: bool = False,
    source: str | None = None,
    warn: Callable[[str], None] = warn_of_catalogue,
) -> xr.Dataset:
    """Cut a catalogue of any part of the sky into fields, and average the shear of galaxies in their pixels.

    Each field is what `bin_catalogue` makes of the galaxies on its grid: a tangent plane about a centre of its own,
    north up and east to the left, the shear turned to its own axes. A field is there if a galaxy is in the part of the
    sky that is its own; the other galaxies on its grid are counted in it too.

    Parameters
    ----------
    ra, dec
        Degrees, shape (galaxy,).
    g1, g2, weight, measurement_error, drop_bad, source, warn
        As for `bin_catalogue`.
    pixel_scale
        Side of the square pixels, arcmin or a Quantity.
    shape
        Pixels of each field along y and x, of 20 degrees at most.
    overlap
        Arcmin that neighbouring fields share at least, up to half of a side: half of it may be trimmed from every edge
        of the mass maps, and no gap is left between them.
    sigma_e
        As for `bin_catalogue`; when not given, the dispersion of the whole catalogue.

    Returns
    -------
    Dataset
        Of the schema ``shear_maps``: ``field`` is the number of the field among those of the whole sky, ``ra`` and
        ``dec`` its centre; the attribute ``density`` is the mean over the footprints of all fields.

    Raises
    ------
    InputError
        See `bin_catalogue`; or fields that are too large, or overlap by too much.
    """
    places: dict[str, Any] = {"sky": True, "positions": ("ra", "dec")}
    rows = checked_rows(ra, dec, g1, g2, weight, measurement_error, **places, drop_bad=drop_bad, warn=warn)
    settings: dict[str, Any] = {"overlap": overlap, "sigma_e": sigma_e, "source": source, "warn": warn}
    return tile_blocks([rows], pixel_scale=pixel_scale, shape=shape, **settings)


def tile_blocks(
    blocks: Iterable[Rows],
    *,
    pixel_scale: float,
    shape: tuple[int, int],
    overlap: float = 0.0,
    sigma_e: float | None = None,
    source: str | None = None,
    warn: Callable[[str], None] = warn_of_catalogue,
) -> xr.Dataset:
    """Average the shear of galaxies that need not fit into memory in the pixels of all their fields of the sky.

    The maps, which do fit, are those of `tile_catalogue` to the bit, whatever the sizes of the blocks.

    Parameters
    ----------
    blocks
        A `lensdask.data.tables.ShearCatalogue`, or a list of the columns of some galaxies each, their positions, x and
        y, in degrees; it is gone through three times.
    pixel_scale, shape, overlap, sigma_e, source, warn
        As for `tile_catalogue`.

    Returns
    -------
    Dataset
        As of `tile_catalogue`.

    Raises
    ------
    InputError
        See `tile_catalogue`.
    """
    pixel_scale = checked_pixel_scale(pixel_scale)
    grid = checked_shape(shape)
    sky = _sky(grid, pixel_scale, number_in_unit("overlap", overlap, "arcmin"))
    facts = facts_of(blocks, sigma_e, sky=True)
    ids, maps, counts = _fields(sky, blocks, facts, grid, pixel_scale)
    total = counts.sum(dtype=np.float64)
    density = float(total / (maps.mask.sum(dtype=np.int64) * pixel_scale**2))
    if doubt := doubt_of_density(total, density):
        warn(doubt)
    dataset = shear_dataset(
        maps,
        count=counts,
        pixel_scale=pixel_scale,
        density=density,
        sigma_e=facts.sigma_e,
        source=source,
    )
    centres = np.array([sky.centre(number) for number in ids])
    placed = dataset.assign_coords(field=ids, ra=("field", centres[:, 0]), dec=("field", centres[:, 1]))
    return SHEAR_MAPS.described(placed)


_WIDEST = 20.0
"""Degrees on a side, where the scale of a tangent plane has grown by 3 per cent towards the edge."""


def _sky(shape: tuple[int, int], pixel_scale: float, overlap: float) -> SkyFields:
    sides = [pixels * pixel_scale for pixels in shape]
    if max(sides) > _WIDEST * 60:
        raise InputError(f"shape: fields of {max(sides) / 60:.3g} degrees; expected {_WIDEST:g} at most")
    check_number("overlap", overlap, least=0, most=min(sides) / 2, meaning="half of a side in arcmin")
    return sky_fields(*((side - overlap) * ARCMIN for side in sides))


class _Sorted(NamedTuple):
    """Galaxies of a block, and their order by row of fields and by right ascension in each row."""

    galaxies: Galaxies
    order: Int64
    ra: Float64
    """In that order, from 0 to below 360 degrees."""
    bounds: Int64
    """Where each row begins and the last ends in that order."""

    def near(self, sky: SkyFields, centre: tuple[float, float], height: float, width: float) -> Int64:
        """Return the galaxies, ascending, among which all those of a rectangle about a centre are."""
        low, high, offset = around(centre, height, width)
        first, last = sky.row(np.array([low, high]))
        # Right ascension ends at 360; a field about a pole has all of it.
        spans = [(centre[0] + turn - offset, centre[0] + turn + offset) for turn in (-360, 0, 360)]
        spans = spans if offset < 180 else [(0.0, 360.0)]
        pieces = [
            self.order[slice(*(start + np.searchsorted(self.ra[start:stop], span)))]
            for start, stop in pairwise(self.bounds[first : last + 2])
            for span in spans
        ]
        # In the order of the catalogue, so that sums are those of `bin_catalogue` to the bit.
        return np.sort(np.concatenate(pieces))


def _sorted(sky: SkyFields, galaxies: Galaxies) -> _Sorted:
    ra, row = _turn(galaxies.x), sky.row(galaxies.y)
    order = np.lexsort((ra, row))
    bounds = np.searchsorted(row[order], np.arange(len(sky.dec) + 1))
    return _Sorted(galaxies, order, ra[order], bounds)


def _turn(ra: Float64) -> Float64:
    """Return right ascension from 0 to below 360 degrees."""
    turned = ra % 360
    # The remainder of a tiny negative number is rounded to 360.
    turned[turned == 360] = 0
    return turned


def _fields(
    sky: SkyFields, blocks: Iterable[Rows], facts: Facts, shape: tuple[int, int], pixel_scale: float
) -> tuple[Int64, ShearMaps, npt.NDArray[np.float32]]:
    """Return ids, maps and counts of the fields."""
    # Those that have a galaxy in their own part.
    found = [np.unique(sky.number(_turn(rows["x"]), sky.row(rows["y"]))) for rows in blocks]
    numbers = np.unique(np.concatenate(found))
    sizes = len(numbers), *shape
    require_pixels(sizes, "shape: {} fields of {} x {} pixels")
    sums = {int(number): PixelSums(shape) for number in numbers}
    for rows in blocks:
        _add(sums, sky, _sorted(sky, facts.galaxies(rows)), pixel_scale)
    # As they are stored: a survey has thousands of fields.
    kinds = dict.fromkeys(ShearMaps._fields, np.float32) | {"mask": np.int8}
    made, counts = ShearMaps(**{name: np.zeros(sizes, kind) for name, kind in kinds.items()}), np.zeros(sizes, "f4")
    for place, number in enumerate(numbers):
        maps, counts[place] = sums.pop(int(number)).means()
        for all_fields, one in zip(made, maps, strict=True):
            all_fields[place] = one
    # Galaxies whose mean shear is 1 or more are known of no pixel.
    known = made.weight.any(axis=(1, 2))
    if known.all() or not known.any():
        return numbers, made, counts
    return numbers[known], ShearMaps(*(maps[known] for maps in made)), counts[known]


def _add(sums: Mapping[int, PixelSums], sky: SkyFields, block: _Sorted, pixel_scale: float) -> None:
    """Add the galaxies of a block to the fields on whose grids they are."""
    for number, field in sums.items():
        centre = sky.centre(number)
        height, width = (side * pixel_scale * ARCMIN for side in field.shape)
        near = block.near(sky, centre, height, width)
        if len(near):
            galaxies = on_plane(block.galaxies.among(near), centre)
            pixel, inside = pixels_of(galaxies, field.shape, pixel_scale)
            field.add(galaxies.among(inside), pixel[inside])
