"""Weights that are a smooth function of the flux, with their shear response, and the best such function.

The mean shear ``<w e> / <w R>`` of galaxies with responses R and spreads σ has the least error where w = R / σ². Faint
galaxies respond less and scatter more, so that weights take some per cent off the error of shapes that the flux has not
weighed already. Shear changes the flux, and with it the weight; that response belongs into R as that of a cut does::

    d<w e_i> / dg_j = <w de_i/dg_j> + <e_i dw/dF dF/dg_j>
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.interpolate import CubicSpline

from lensdask.errors import InputError
from lensdask.shear.calibration.dataset_sums import galaxies_per_block, sums_of_dataset
from lensdask.shear.shapes.measurement import COLUMNS

__all__ = ["FluxWeights", "optimal_weights"]

Float64 = npt.NDArray[np.float64]

UNIT = 10.0
"""Flux at zero point 30 below which bins of `optimal_weights` are linear in flux, and logarithmic above."""
EDGES = np.arange(-4.0, 16.25, 0.25)
"""Edges of their bins in asinh(flux / `UNIT`)."""
FEWEST = 200
"""Galaxies of a bin at least; neighbours are joined until they have as many."""


@dataclass(frozen=True)
class FluxWeights:
    """A weight w(F): a cubic spline in asinh(F / `UNIT`), constant beyond its ends."""

    places: tuple[float, ...]
    """Increasing values of asinh(F / `UNIT`)."""
    values: tuple[float, ...]
    """Weights there."""

    def __post_init__(self) -> None:
        """Refuse what is no function."""
        values = np.asarray(self.values, dtype=np.float64)
        places = np.asarray(self.places, dtype=np.float64)
        if len(places) < 2 or len(places) != len(values) or not np.isfinite([*places, *values]).all():
            raise InputError(f"weights: {len(places)} places, {len(values)} values; expected two or more finite pairs")
        if (np.diff(places) <= 0).any() or (values < 0).any():
            raise InputError("weights: expected places that rise, and values of at least 0")

    @cached_property
    def _spline(self) -> CubicSpline:
        # Slopes of 0 at the ends go over into the constants beyond.
        return CubicSpline(self.places, self.values, bc_type="clamped")

    def weights(self, table: Float64) -> tuple[Float64, Float64]:
        """Return the weights of galaxies and their shear responses.

        Parameters
        ----------
        table
            Shape (..., column), columns as in `lensdask.shear.shapes.measurement.COLUMNS`.

        Returns
        -------
        w, dw_dg
            Shapes (...) and (..., 2).
        """
        flux, *dflux_dg = (table[..., COLUMNS.index(name)] for name in ("flux", "dflux_dg1", "dflux_dg2"))
        place = np.clip(np.arcsinh(flux / UNIT), self.places[0], self.places[-1])
        slope = self._spline(place, 1) / np.hypot(flux, UNIT)
        return self._spline(place), np.stack([slope * d for d in dflux_dg], axis=-1)


def optimal_weights(shapes: xr.Dataset) -> FluxWeights:
    """Return the function of the flux that leaves the least error of the mean shear, R / σ² in bins of flux.

    Parameters
    ----------
    shapes
        Dataset of the shapes schema, in memory or lazy, of at least some hundred galaxies.

    Raises
    ------
    InputError
        There are too few galaxies for two bins.
    """
    sums = sums_of_dataset(shapes, galaxies_per_block(shapes), _sums_in_bins).sum(axis=0)
    count, weight, flux, response, square = _joined(sums).T
    if len(count) < 2:
        raise InputError(
            f"weights: {sums[:, 0].sum():.0f} galaxies; expected {2 * FEWEST} or more for optimal weights, "
            "of more than one flux"
        )
    best = np.maximum(response, 0.0) / np.maximum(square, np.finfo(float).tiny)
    return FluxWeights(tuple((flux / weight).tolist()), tuple((best / best.max()).tolist()))


def _sums_in_bins(table: Float64, length: int) -> Float64:
    """Return count, weight, and weighted asinh flux, response and |e|² in bins of flux, shape (block, bin, 5)."""
    column = dict(zip(COLUMNS, np.moveaxis(table, -1, 0), strict=True))
    w, place = column["weight"], np.arcsinh(column["flux"] / UNIT)
    square, response = column["e1"] ** 2 + column["e2"] ** 2, column["de1_dg1"] + column["de2_dg2"]
    bins, blocks = len(EDGES) + 1, -(-len(table) // length)
    block = np.arange(len(table)).reshape(-1, *[1] * (place.ndim - 1)) // length
    number = (block * bins + np.searchsorted(EDGES, place)).ravel()
    values = [np.ones_like(w), w, w * place, w * response, w * square]
    sums = [np.bincount(number, value.ravel(), minlength=blocks * bins) for value in values]
    return np.stack(sums, axis=-1).astype(np.float64).reshape(blocks, bins, -1)


def _joined(sums: Float64) -> Float64:
    """Join neighbouring bins, shape (bin, 5), until each has enough galaxies."""
    joined: list[Float64] = []
    gathered = np.zeros(sums.shape[-1])
    for row in sums:
        gathered = gathered + row
        if gathered[0] >= FEWEST:
            joined.append(gathered)
            gathered = np.zeros_like(gathered)
    if joined:
        joined[-1] = joined[-1] + gathered
    return np.array(joined).reshape(-1, sums.shape[-1])
