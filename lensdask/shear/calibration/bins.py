"""Bias in bins of magnitude, or of anything else, in one pass over shapes that may exceed memory.

A bin of a measured flux is a cut with two edges, and shear carries galaxies over both. With the weight w of a bin, 1
inside and 0 outside, the response of its mean shape is that of a hard cut (equations 16 and 17), and each edge
contributes::

    d<w e_i>/dg_j = <w de_i/dg_j> + <e_i (w(F + g0 dF/dg_j) - w(F - g0 dF/dg_j))> / (2 g0)

Galaxies that leave one bin enter the next, so what an edge contributes to its two bins cancels in their sum. A
quantity that shear does not change, such as the magnitude that a galaxy was simulated with, has no second term.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.conventions import ZERO_POINT, flux_from_magnitude
from lensdask.errors import InputError
from lensdask.shear.calibration.dataset_sums import galaxies_per_block, sums_of_dataset
from lensdask.shear.calibration.estimate import BIAS_QUANTITIES, bias_of_totals, shear_amplitude
from lensdask.shear.calibration.selection import Selection
from lensdask.shear.calibration.shape_sums import SUMS, enough_selected
from lensdask.shear.shapes.measurement import COLUMNS
from lensdask.stats import bootstrap_error, delta_error

__all__ = ["bias_in_bins"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_GAMMA0 = Selection.gamma0
"""Mock shear by which galaxies are carried over the edges, as for other hard cuts."""


def bias_in_bins(
    shapes: xr.Dataset,
    edges: Sequence[float],
    *,
    by: xr.DataArray | None = None,
    seed: int = 0,
    replicas: int = 1000,
) -> xr.Dataset:
    """Return m and c in bins of galaxies measured under the four shears (±g, 0), (0, ±g).

    Chunks of a lazy dataset are loaded once and by as many workers as Dask has; only sums over blocks are kept. Biases
    of neighbouring bins of flux are correlated: both feel the galaxies at their common edge, with opposite signs.

    Parameters
    ----------
    shapes
        Dataset of the shapes schema with a ``shear`` dimension, orthogonal pairs side by side.
    edges
        Edges of the bins, rising: bin k holds ``edges[k] <= X < edges[k + 1]``.
    by
        X, dimension ``galaxy``: a quantity that shear does not change, lazy if the shapes are. The AB magnitude of the
        measured flux when none, with the selection response of the edges.
    seed, replicas
        Of the bootstrap, which resamples all bins alike.

    Returns
    -------
    Dataset
        Over ``bin``, with the coordinates ``lower`` and ``upper``: ``m1 m2 c1 c2`` and the shape noise, each with its
        bootstrap ``…_error`` and ``…_delta_error``; ``m1_uncorrected`` and ``m2_uncorrected``, of an analysis that
        forgets the selection response, with errors; ``selected``, galaxies of weight above 0, mean of the four shears;
        ``mean``, the weighted mean of X. NaN where too few galaxies are for an error.

    Raises
    ------
    InputError
        The edges do not rise, or the shapes are not those of four sheared versions of finite galaxies.
    """
    limits = _checked_edges(edges)
    g = shear_amplitude(shapes)
    length = galaxies_per_block(shapes)
    others = [] if by is None else [_checked_quantity(by, shapes)]
    sums = sums_of_dataset(shapes, length, partial(_binned_sums, edges=limits), others)
    biases = _biases(sums[..., :-1], g, seed, replicas)
    total = sums.sum(axis=(0, 2))
    with np.errstate(invalid="ignore"):
        mean = total[:, -1] / total[:, SUMS.index("weight")]
    table = {"selected": total[:, SUMS.index("selected")] / 4, "mean": mean} | biases
    return xr.Dataset(
        {name: ("bin", values) for name, values in table.items()},
        {"lower": ("bin", limits[:-1]), "upper": ("bin", limits[1:])},
        {"quantity": "magnitude" if by is None else str(by.name or "by"), "galaxies": shapes.sizes["galaxy"]},
    )


def _checked_edges(edges: Sequence[float]) -> Float64:
    limits = np.asarray(edges, dtype=np.float64)
    if limits.ndim != 1 or len(limits) < 2 or not np.isfinite(limits).all() or (np.diff(limits) <= 0).any():
        raise InputError(f"edges: {limits.tolist()}; expected two or more numbers that rise")
    return limits


def _checked_quantity(by: xr.DataArray, shapes: xr.Dataset) -> xr.DataArray:
    if by.dims != ("galaxy",):
        raise InputError(f"by: dimensions {by.dims}; expected ('galaxy',), a quantity that shear does not change")
    same_ids = "galaxy" not in by.indexes or by.indexes["galaxy"].equals(shapes.indexes["galaxy"])
    if by.sizes["galaxy"] != shapes.sizes["galaxy"] or not same_ids:
        raise InputError("by: other galaxies than those of the shapes; expected the same, in the same order")
    return by


@dataclass(frozen=True)
class _Cells:
    """Where each galaxy and shear is summed up: arrays of shape (galaxy, shear) become (block, bin, shear)."""

    edges: Float64
    """Of the bins; one more at either end takes the galaxies outside."""
    block: Int64
    """Number of the block of each galaxy, shape (galaxy, 1)."""

    def bins(self, X: Float64) -> Int64:
        return np.searchsorted(self.edges, X, side="right")

    def sums(self, bins: Int64, values: Float64, where: npt.NDArray[np.bool_] | slice = slice(None)) -> Float64:
        shape = int(self.block[-1, 0]) + 1, len(self.edges) + 1, values.shape[1]
        place = (self.block * shape[1] + bins) * shape[2] + np.arange(shape[2])
        flat = np.bincount(place[where].ravel(), values[where].ravel(), minlength=int(np.prod(shape)))
        return np.asarray(flat.reshape(shape)[:, 1:-1], dtype=np.float64)


def _binned_sums(table: Float64, length: int, *, edges: Float64) -> Float64:
    """Return sums of shapes, shape (block, bin, shear, statistic): those of `SUMS`, and of w X.

    A column after those of the shapes is X.

    One call of `numpy.bincount` serves all bins, whatever their number; a `Selection` for each would go through the
    galaxies as often as there are bins.
    """
    column = dict(zip((*COLUMNS, "by"), np.moveaxis(table, -1, 0), strict=False))
    w, e1, e2 = column["weight"], column["e1"], column["e2"]
    block = (np.arange(len(table)) // length)[:, None]
    if "by" in column:
        cells, X = _Cells(edges, block), column["by"]
        bins, of_cut = cells.bins(X), []
    else:
        # Magnitudes rise as -flux does; the flux, unlike its magnitude, may be negative.
        cells = _Cells(np.array([-flux_from_magnitude(edge) for edge in edges]), block)
        bins, X = cells.bins(-column["flux"]), _magnitude(column["flux"])
        of_cut = _edge_sums(cells, column)
    analytic = [w * column[name] for name in SUMS[7:11]]
    summed = [cells.sums(bins, v) for v in (w > 0, w, w * e1, w * e2, w * e1**2, w * e2**2, *analytic)]
    galaxies = np.bincount(block.ravel())[:, None, None] * np.ones_like(summed[0])
    nothing = [np.zeros_like(galaxies)] * 4
    # Outside the bins X may be anything.
    of_X = cells.sums(bins, w * np.where((bins > 0) & (bins < len(edges)), X, 0.0))
    return np.stack([galaxies, *summed, *(of_cut or nothing), of_X], axis=-1)


def _edge_sums(cells: _Cells, column: dict[str, Float64]) -> list[Float64]:
    """Return the sums of w e_i dw/dg_j in the order of `SUMS`: galaxies that a mock shear carries over an edge."""
    moved = []
    for j in (1, 2):
        mock = _GAMMA0 * column[f"dflux_dg{j}"]
        plus, minus = (cells.bins(-(column["flux"] + sign * mock)) for sign in (1, -1))
        moved.append((plus, minus, plus != minus))
    return [
        (cells.sums(plus, we, crossed) - cells.sums(minus, we, crossed)) / (2 * _GAMMA0)
        for we in (column["weight"] * column["e1"], column["weight"] * column["e2"])
        for plus, minus, crossed in moved
    ]


def _magnitude(flux: Float64) -> Float64:
    """Return AB magnitudes, infinite where there is no flux."""
    with np.errstate(divide="ignore"):
        return np.asarray(ZERO_POINT - 2.5 * np.log10(np.maximum(flux, 0.0)))


def _biases(sums: Float64, g: float, seed: int, replicas: int) -> dict[str, Float64]:
    """Return biases and errors by name, shape (bin,), of sums of shape (block, bin, 4, statistic)."""
    bins = sums.shape[1]
    filled = [k for k in range(bins) if enough_selected(sums[:, k])]

    def statistic(totals: Float64) -> Float64:
        per_bin = totals.reshape(*totals.shape[:-1], len(filled), -1)
        corrected, uncorrected = (bias_of_totals(per_bin, g, choice) for choice in (True, False))
        return np.concatenate([corrected, uncorrected[..., :2]], axis=-1).reshape(*totals.shape[:-1], -1)

    names = (*BIAS_QUANTITIES, "m1_uncorrected", "m2_uncorrected")
    found = np.full((3, bins, len(names)), np.nan)
    if filled:
        table = np.ascontiguousarray(sums[:, filled]).reshape(len(sums), -1)
        errors = bootstrap_error(table, statistic, seed=seed, replicas=replicas), delta_error(table, statistic)
        found[:, filled] = np.reshape([statistic(table.sum(axis=0)), *errors], (3, len(filled), len(names)))
    kinds = zip(("", "_error", "_delta_error"), found, strict=True)
    return {f"{name}{kind}": values[:, i] for kind, values in kinds for i, name in enumerate(names)}
