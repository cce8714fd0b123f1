"""Multiplicative and additive bias of an estimator, and the shear that shapes carry.

Per shear version and block of galaxies only sums are kept (`lensdask.shear.calibration.shape_sums`). From the totals
follow, with the weights w of a cut and means over all galaxies, selected or not (equations 22 and 23)::

    m = (<w e+> - <w e->) / (g (R+ + R-)) - 1              c = (<w e+> + <w e->) / (R+ + R-)

each component by its own response, and the shear of a sample, where both components are unknown, by the whole matrix::

    g_i = sum_j (R^-1)_ij <w e_j>

Both members of an orthogonal pair and all shears of a galaxy lie in one block, so they are resampled together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.errors import InputError, check_choice
from lensdask.shear.calibration.dataset_sums import galaxies_per_block, sums_of_dataset
from lensdask.shear.calibration.detection import DetectionWeights, detection_columns
from lensdask.shear.calibration.selection import Selection
from lensdask.shear.calibration.shape_sums import SUMS, check_selected, means_of, shape_noise, shape_sums
from lensdask.shear.calibration.weights import FluxWeights, optimal_weights
from lensdask.shear.simulation.observation import four_shears
from lensdask.stats import bootstrap_error, delta_error

__all__ = [
    "BIAS_QUANTITIES",
    "Bias",
    "Calibration",
    "Weights",
    "bias",
    "bias_of_sums",
    "bias_of_totals",
    "calibrate",
    "calibrations",
    "shear_amplitude",
    "weights_of",
]

Float64 = npt.NDArray[np.float64]

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
    response: Float64
    """Response R_ij = d<e_i>/dg_j by which it was calibrated, per unit of weight, mean of the shears, shape (2, 2)."""
    selection_response: Float64
    """The part of it that the cut has; without correction it is not in the response."""
    galaxies: int
    """Galaxies simulated."""
    selected: float
    """Galaxies of weight above 0, mean of the four shears."""
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
    """Response R_ij = d<e_i>/dg_j per unit of weight, that of the cut included, shape (2, 2)."""
    selection_response: Float64
    """The part of it that the cut has, shape (2, 2)."""
    shape_noise: Float64
    """Std(e_i) / R_ii of both components."""
    galaxies: int
    """Galaxies measured."""
    selected: int
    """Galaxies of weight above 0."""


def bias_of_totals(totals: Float64, g: float, corrected: bool) -> Float64:
    """Return the biases that totals amount to (equations 20, 22 and 23).

    Parameters
    ----------
    totals
        Shape (..., 4 * statistic): four shears, statistics as in `lensdask.shear.calibration.shape_sums.SUMS`.
    g
        Amplitude of the shears.
    corrected
        Whether the response contains that of the cut.

    Returns
    -------
    Float64
        Shape (..., 6), in the order of `BIAS_QUANTITIES`.
    """
    totals = totals.reshape(*totals.shape[:-1], 4, len(SUMS))
    mean = means_of(totals, corrected=corrected)
    # Component i is tested by the shear versions 2i (+g) and 2i + 1 (-g).
    plus, minus = (0, 2), (1, 3)
    component = (0, 1)
    e_plus, e_minus = mean.e[..., plus, component], mean.e[..., minus, component]
    R_sum = mean.R[..., plus, component] + mean.R[..., minus, component]
    noise = shape_noise(totals, corrected=corrected)
    return np.concatenate([(e_plus - e_minus) / (g * R_sum) - 1, (e_plus + e_minus) / R_sum, noise], axis=-1)


def bias_of_sums(sums: Float64, g: float, *, seed: int, replicas: int = 1000, corrected: bool = True) -> Bias:
    """Return the biases that block sums amount to.

    Parameters
    ----------
    sums
        Shape (block, 4, statistic), from `shape_sums` on galaxies under the four shears.
    g
        Amplitude of the shears.
    seed
        Seed of the bootstrap: sums of the same galaxies are resampled alike.
    replicas
        Number of resamplings; 20 repeats the paper's choice.
    corrected
        Whether the response contains that of the cut; without it the bias is that of an analysis that cuts and forgets.

    Raises
    ------
    InputError
        Too few galaxies, or too few that are selected, for an error.
    """
    check_selected(sums)
    table = sums.reshape(len(sums), -1)

    def statistic(totals: Float64) -> Float64:
        return bias_of_totals(totals, g, corrected)

    total = sums.sum(axis=0)
    mean = means_of(total, corrected=corrected)
    return Bias(
        values=statistic(table.sum(axis=0)),
        errors=bootstrap_error(table, statistic, seed=seed, replicas=replicas),
        delta_errors=delta_error(table, statistic),
        response=mean.response.mean(axis=0),
        selection_response=mean.selection_response.mean(axis=0),
        galaxies=int(total[0, 0]),
        selected=float(total[:, 1].mean()),
        blocks=len(table),
    )


Weights = FluxWeights | Literal["optimal"] | None
"""Weights beside those of the shapes: a function of the flux, the best one, or none."""


def weights_of(shapes: xr.Dataset, weights: Weights) -> FluxWeights | None:
    """Return weights, those that are best for shapes where these are asked for.

    Raises
    ------
    InputError
        Others are asked for by name, or there are too few galaxies.
    """
    if isinstance(weights, str):
        check_choice("weights", weights, ("optimal",))
        return optimal_weights(shapes)
    return weights


def _sums_of_selections(
    shapes: xr.Dataset, selections: Sequence[Selection | None], weights: Weights = None
) -> list[Float64]:
    """Return block sums for each selection, all of them in one pass; optimal weights take another one before."""
    weighing, detected = weights_of(shapes, weights), detection_columns(shapes)
    detection = DetectionWeights() if detected else None

    def sums(table: Float64, length: int) -> Float64:
        return np.stack([shape_sums(table, length, selection, weighing, detection) for selection in selections], axis=1)

    packed = sums_of_dataset(shapes, galaxies_per_block(shapes), sums, detected)
    return [np.ascontiguousarray(packed[:, i]) for i in range(len(selections))]


def shear_amplitude(shapes: xr.Dataset) -> float:
    """Return the amplitude g of shapes measured under the four shears (±g, 0), (0, ±g).

    Parameters
    ----------
    shapes
        Dataset of the shapes schema.

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
    return g


def bias(
    shapes: xr.Dataset,
    selection: Selection | None = None,
    *,
    weights: Weights = None,
    seed: int = 0,
    replicas: int = 1000,
) -> Bias:
    """Return m, c and shape noise of shapes measured under the four shears (±g, 0), (0, ±g).

    Parameters
    ----------
    shapes
        Dataset of the shapes schema with a ``shear`` dimension, orthogonal pairs side by side.
    selection
        Cut, corrected for; none keeps all galaxies.
    weights
        As for `calibrate`.
    seed, replicas
        Of the bootstrap.

    Raises
    ------
    InputError
        The shapes are not those of four sheared versions.
    """
    g = shear_amplitude(shapes)
    (sums,) = _sums_of_selections(shapes, [selection], weights)
    return bias_of_sums(sums, g, seed=seed, replicas=replicas)


def calibrate(
    shapes: xr.Dataset,
    selection: Selection | None = None,
    *,
    weights: Weights = None,
    seed: int = 0,
    replicas: int = 1000,
) -> Calibration:
    """Return the shear that a sample of galaxies carries, ``g = R^-1 <w e>`` with the whole response matrix.

    Cut with a selection rather than before: a sample that was cut without its selection response is biased. Where
    shapes have the columns of `lensdask.shear.detect`, the weights of the detections and their response count.

    Parameters
    ----------
    shapes
        Dataset of the shapes schema, without a ``shear`` dimension; pick one with ``shapes.isel(shear=0)``.
    selection
        Cut, corrected for; none keeps all galaxies.
    weights
        Weights that multiply those of the shapes, corrected for too: a smooth function of the flux, "optimal" for the
        one of least error (`lensdask.shear.calibration.weights`), or none.
    seed, replicas
        Of the bootstrap.

    Raises
    ------
    InputError
        The shapes have several shears, there are fewer than two galaxies, or their response has no inverse.
    """
    return calibrations(shapes, [selection], weights=weights, seed=seed, replicas=replicas)[0]


def calibrations(
    shapes: xr.Dataset,
    selections: Sequence[Selection | None],
    *,
    weights: Weights = None,
    seed: int = 0,
    replicas: int = 1000,
) -> list[Calibration]:
    """Return the shear under each of several cuts, as `calibrate`; a lazy dataset is measured once for all.

    Parameters
    ----------
    shapes
        As for `calibrate`.
    selections
        Cuts; None keeps all galaxies.
    weights
        As for `calibrate`.
    seed, replicas
        Of the bootstrap.

    Raises
    ------
    InputError
        As for `calibrate`.
    """
    if "shear" in shapes.dims:
        raise InputError("shapes: dimension 'shear'; expected one shear, pick it with isel, or use bias")
    count = shapes.sizes["galaxy"]
    if count < 2:
        raise InputError(f"shapes: {count} galaxies; expected at least 2")
    tables = _sums_of_selections(shapes, selections, weights)
    return [_calibration(table, seed=seed, replicas=replicas) for table in tables]


def _calibration(sums: Float64, *, seed: int, replicas: int) -> Calibration:
    """Return the shear that block sums, shape (block, statistic), amount to."""
    check_selected(sums)
    total = sums.sum(axis=0)
    mean = means_of(total)
    return Calibration(
        g=_shear_of_totals(total),
        errors=bootstrap_error(sums, _shear_of_totals, seed=seed, replicas=replicas),
        delta_errors=delta_error(sums, _shear_of_totals),
        response=mean.response,
        selection_response=mean.selection_response,
        shape_noise=shape_noise(total[None]),
        galaxies=int(total[0]),
        selected=int(total[1]),
    )


def _shear_of_totals(totals: Float64) -> Float64:
    """Return the shear, shape (..., 2), that totals, shape (..., statistic), amount to."""
    mean = means_of(totals)
    try:
        return np.asarray(np.linalg.solve(mean.response, (mean.e / mean.share)[..., None])[..., 0])
    except np.linalg.LinAlgError as error:
        raise InputError(
            "shapes: the mean response has no inverse; expected galaxies whose shapes respond to shear"
        ) from error
