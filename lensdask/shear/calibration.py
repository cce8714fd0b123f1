"""Multiplicative and additive bias of an estimator, and the shear that shapes carry.

Per shear version and block of galaxies only sums are kept. From the totals follow (equations 20, 22 and 23)::

    m = (<e+> - <e->) / (g (<R+> + <R->)) - 1        c = (<e+> + <e->) / (<R+> + <R->)
    shape noise = Std(e_i) / <R_ii>

Both members of an orthogonal pair and all shears of a galaxy lie in one block, so they are resampled together.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.errors import InputError
from lensdask.shear.measurement import COLUMNS
from lensdask.shear.simulate import four_shears
from lensdask.stats import block_length, block_sums, bootstrap_error, delta_error

__all__ = [
    "BIAS_QUANTITIES",
    "Bias",
    "Calibration",
    "bias",
    "bias_of_sums",
    "calibrate",
    "shape_sums",
]

Float64 = npt.NDArray[np.float64]

SUMS = ("weight", "e1", "e2", "e1²", "e2²", "de1_dg1", "de1_dg2", "de2_dg1", "de2_dg2")
"""What is summed over the galaxies of a block, each weighted."""

BIAS_QUANTITIES = ("m1", "m2", "c1", "c2", "shape_noise_1", "shape_noise_2")
"""Results of a bias test, in order."""


@dataclass(frozen=True)
class Bias:
    """Result of a bias test; arrays in the order of `BIAS_QUANTITIES`."""

    values: Float64
    """Measured values."""
    errors: Float64
    """Bootstrap errors over blocks."""
    delta_errors: Float64
    """Errors by the delta method, which should agree."""
    blocks: int
    """Number of blocks."""


@dataclass(frozen=True)
class Calibration:
    """Mean shear of a sample of galaxies."""

    g: Float64
    """Calibrated shear (g1, g2)."""
    errors: Float64
    """Bootstrap errors."""
    delta_errors: Float64
    """Errors by the delta method."""
    response: Float64
    """Mean response matrix R_ij = <de_i / dg_j>, shape (2, 2)."""
    shape_noise: Float64
    """Std(e_i) / <R_ii> of both components."""
    galaxies: int
    """Galaxies in the sample."""


def shape_sums(table: Float64, galaxies_per_block: int) -> Float64:
    """Return block sums of measured shapes.

    Parameters
    ----------
    table
        Shape (galaxy, ..., column), columns as in `lensdask.shear.measurement.COLUMNS`.
    galaxies_per_block
        Length of a block.

    Returns
    -------
    Float64
        Shape (block, ..., statistic), statistics as in `SUMS`.
    """
    column = dict(zip(COLUMNS, np.moveaxis(table, -1, 0), strict=True))
    w, e1, e2 = column["weight"], column["e1"], column["e2"]
    responses = [w * column[name] for name in SUMS[5:]]
    return block_sums(np.stack([w, w * e1, w * e2, w * e1**2, w * e2**2, *responses], axis=-1), galaxies_per_block)


def _means(totals: Float64) -> tuple[Float64, Float64, Float64, Float64]:
    """Return mean e, variance of e, and mean R, each with the component last, and the full R."""
    mean = totals[..., 1:] / totals[..., :1]
    e, squares = mean[..., 0:2], mean[..., 2:4]
    matrix = mean[..., 4:].reshape(*mean.shape[:-1], 2, 2)
    return e, squares - e**2, np.stack([matrix[..., 0, 0], matrix[..., 1, 1]], axis=-1), matrix


def _bias_of_totals(totals: Float64, g: float) -> Float64:
    """Return `BIAS_QUANTITIES`, shape (..., 6), of totals, shape (..., 4 * statistic)."""
    e, variance, R, _ = _means(totals.reshape(*totals.shape[:-1], 4, len(SUMS)))
    # Component i is tested by the shear versions 2i (+g) and 2i + 1 (-g).
    plus, minus = (0, 2), (1, 3)
    component = (0, 1)
    e_plus, e_minus = e[..., plus, component], e[..., minus, component]
    R_sum = R[..., plus, component] + R[..., minus, component]
    noise = np.sqrt(variance.mean(axis=-2)) / R.mean(axis=-2)
    return np.concatenate([(e_plus - e_minus) / (g * R_sum) - 1, (e_plus + e_minus) / R_sum, noise], axis=-1)


def bias_of_sums(sums: Float64, g: float, *, seed: int, replicas: int = 1000) -> Bias:
    """Return the biases that block sums amount to.

    Parameters
    ----------
    sums
        Shape (block, 4, statistic), from `shape_sums` on galaxies under the four shears.
    g
        Amplitude of the shears.
    seed
        Seed of the bootstrap.
    replicas
        Number of resamplings; 20 repeats the paper's choice.
    """
    table = sums.reshape(len(sums), -1)

    def statistic(totals: Float64) -> Float64:
        return _bias_of_totals(totals, g)

    return Bias(
        values=statistic(table.sum(axis=0)),
        errors=bootstrap_error(table, statistic, seed=seed, replicas=replicas),
        delta_errors=delta_error(table, statistic),
        blocks=len(table),
    )


def _packed(shapes: xr.Dataset) -> Float64:
    # All columns at once: a lazy dataset would be measured anew for each of them.
    loaded = shapes[list(COLUMNS)].compute()
    table = np.stack([np.asarray(loaded[name].values, dtype=np.float64) for name in COLUMNS], axis=-1)
    broken = ~np.isfinite(table.reshape(len(table), -1)).all(axis=1)
    if broken.any():
        raise InputError(f"shapes: {broken.sum()} of {len(table)} galaxies are not finite; drop them or resume the run")
    return table


def _sums_of_dataset(shapes: xr.Dataset, galaxies_per_block: int) -> Float64:
    """Return block sums, loading a bounded number of galaxies at a time."""
    step = max(1, 2**18 // galaxies_per_block) * galaxies_per_block
    parts = [
        shape_sums(_packed(shapes.isel(galaxy=slice(start, start + step))), galaxies_per_block)
        for start in range(0, shapes.sizes["galaxy"], step)
    ]
    return np.concatenate(parts)


def bias(shapes: xr.Dataset, *, seed: int = 0, replicas: int = 1000) -> Bias:
    """Return m, c and shape noise of shapes measured under the four shears (±g, 0), (0, ±g).

    Parameters
    ----------
    shapes
        Dataset of the shapes schema with a ``shear`` dimension, orthogonal pairs side by side.
    seed, replicas
        Of the bootstrap.

    Raises
    ------
    InputError
        The shapes are not those of four sheared versions.
    """
    if shapes.sizes.get("shear") != 4:
        raise InputError("shapes: no dimension 'shear' of length 4; expected simulated shapes, or use calibrate")
    g = float(shapes["g1"].values[0])
    if not np.array_equal(np.stack([shapes["g1"].values, shapes["g2"].values], axis=-1), four_shears(g)):
        raise InputError("shapes: the shears are not (+g, 0), (-g, 0), (0, +g), (0, -g), in this order")
    ids = shapes["galaxy"].values
    if len(ids) % 2 or (ids[::2] % 2).any() or (ids[1::2] != ids[::2] + 1).any():
        raise InputError("shapes: galaxies are not in orthogonal pairs 2p, 2p + 1; expected whole pairs side by side")
    pairs_per_block = block_length(shapes.sizes["galaxy"] // 2)
    return bias_of_sums(_sums_of_dataset(shapes, 2 * pairs_per_block), g, seed=seed, replicas=replicas)


def calibrate(shapes: xr.Dataset, *, seed: int = 0, replicas: int = 1000) -> Calibration:
    """Return the shear that a sample of galaxies carries, ``g_i = <e_i> / <R_ii>``.

    Parameters
    ----------
    shapes
        Dataset of the shapes schema, without a ``shear`` dimension; pick one with ``shapes.isel(shear=0)``.
    seed, replicas
        Of the bootstrap.

    Raises
    ------
    InputError
        The shapes have several shears, or there are fewer than two galaxies.
    """
    if "shear" in shapes.dims:
        raise InputError("shapes: dimension 'shear'; expected one shear, pick it with isel, or use bias")
    count = shapes.sizes["galaxy"]
    if count < 2:
        raise InputError(f"shapes: {count} galaxies; expected at least 2")
    table = _sums_of_dataset(shapes, block_length(count))

    def statistic(totals: Float64) -> Float64:
        e, _, R, _ = _means(totals)
        return e / R

    total = table.sum(axis=0)
    _, variance, R, matrix = _means(total)
    return Calibration(
        g=statistic(total),
        errors=bootstrap_error(table, statistic, seed=seed, replicas=replicas),
        delta_errors=delta_error(table, statistic),
        response=matrix,
        shape_noise=np.sqrt(variance) / R,
        galaxies=count,
    )
