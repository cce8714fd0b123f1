"""Whether the components of a shear have the signs that maps take them for.

Mass is concentrated in haloes, so the E mode of the convergence has a tail to high values, and there is no B mode. With
both signs reversed, as in a catalogue with the other sign of g1 whose g2 was flipped instead, the map is that of the
negative mass and looks as good, but for its skewness. With one reversed the E mode is smeared and half of it becomes B
mode: both have the same variance, as noise has, so that this is not told; a map by each pair of signs shows which has
the larger E mode. Nothing is seen where noise hides the mass.
"""

from collections.abc import Callable, Iterator
from math import pi, sqrt

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.arrays import Array
from lensdask.data.catalogues.columns import warn_of_catalogue
from lensdask.maps.fields import known_shear, shear_maps
from lensdask.massmap.classical.ks93 import kaiser_squires

__all__ = ["check_signs"]

_SIGNIFICANT = 5.0
"""Standard deviations of what noise alone gives, from which on a moment of the maps is told."""

_SMOOTHING = 1.5
"""Standard deviation of the Gaussian, arcmin: clusters survive it, and of the noise of galaxies little does."""

_LOOKED_AT, _SIDE = 8, 1024
"""Fields, and pixels of their sides, at most: more tell no more and take long."""


def check_signs(maps: xr.Dataset, warn: Callable[[str], None] = warn_of_catalogue) -> None:
    """Warn where the shear of a catalogue must have other signs: a Kaiser-Squires map tells.

    Parameters
    ----------
    maps
        Dataset of the schema ``shear_maps``; some of its fields are looked at.
    warn
        Gets a line for each suspicion; by default a Python warning.
    """
    for line in _suspicions(maps):
        warn(line)


def _middle(maps: xr.Dataset) -> xr.Dataset:
    """Return the middle of large fields."""
    starts = {dim: max(maps.sizes[dim] - _SIDE, 0) // 2 for dim in ("y", "x")}
    return maps.isel({dim: slice(start, start + _SIDE) for dim, start in starts.items()})


def _deviations(maps: Array, inside: Array) -> npt.NDArray[np.float64]:
    """Return the pixels of some fields inside their masks, less the mean of their field."""
    fields = zip(maps, inside, strict=True)
    return np.concatenate([field[seen] - field[seen].mean() for field, seen in fields if seen.any()])


def _suspicions(maps: xr.Dataset) -> Iterator[str]:
    pixel_scale = float(maps.attrs["pixel_scale"])
    smoothing = max(_SMOOTHING, 2 * pixel_scale)
    step = -(-maps.sizes["field"] // _LOOKED_AT)
    known = known_shear(shear_maps(_middle(maps.isel(field=slice(None, None, step)))))
    options = {"pixel_scale": pixel_scale, "smoothing": smoothing, "padding": 1.5}
    modes = kaiser_squires(known.g1, known.g2, weight=known.weight, **options)
    e, b = (_deviations(mode, known.mask != 0) for mode in modes)
    # Of smoothed noise, whose correlation is exp(-r² / 4 smoothing²): the variance of the skewness is 6 / N times the
    # sum of its third power over N pixels, and that of ln(variance) 2 / N times the sum of its square. The first is
    # 2 / cells, the second 1 / cells, and once more for the B mode.
    cells = e.size * pixel_scale**2 / (4 * pi * smoothing**2)
    power_e, power_b = np.mean(e**2), np.mean(b**2)
    if not power_e > 0:
        return
    skewness, error = np.mean(e**3) / power_e**1.5, sqrt(2 / cells)
    if skewness < -_SIGNIFICANT * error:
        yield (
            f"the E mode has a skewness of {skewness:.2g} ± {error:.1g}, where mass makes it positive: both signs of "
            "the shear may be reversed: flip_g1=True, flip_g2=True"
        )
    if np.log(power_b / power_e) > _SIGNIFICANT * sqrt(2 / cells):
        yield (
            f"the B mode has {power_b / power_e:.2g} times the variance of the E mode: the signs or the order of the "
            "components of the shear may be wrong: flip_g1=True or flip_g2=True"
        )
