"""Sums of measured shapes over blocks of galaxies, and the means that follow from totals of them.

Equations 16 to 18 and 20 are ratios of such totals, with the weights w of a selection::

    R_ij = <w de_i/dg_j> + <e_i dw/dg_j>                   the second term is the selection response
    shape noise = Std(e_i) / R_ii                          of the selected galaxies, weighted

Means run over all galaxies, selected or not: their number is common to all shears, while the number of those
selected depends on the shear. Equation 18 as printed lacks the weight in the first term of R.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError
from lensdask.shear.shapes.measurement import COLUMNS
from lensdask.stats import block_sums

__all__ = [
    "SUMS",
    "Means",
    "Weighing",
    "check_selected",
    "enough_selected",
    "means_of",
    "shape_noise",
    "shape_sums",
    "weights_with_response",
]

Float64 = npt.NDArray[np.float64]

SUMS = (
    *("galaxies", "selected", "weight", "e1", "e2", "e1²", "e2²"),
    *("de1_dg1", "de1_dg2", "de2_dg1", "de2_dg2"),
    *("e1_dw_dg1", "e1_dw_dg2", "e2_dw_dg1", "e2_dw_dg2"),
)
"""What is summed over the galaxies of a block: two counts, then weighted sums."""

_CHANCE = 1e-6
"""Tolerated chance that a resampling of the blocks holds no selected galaxy."""


class Weighing(Protocol):
    """A weight of galaxies that follows what is measured of them: a cut, or a function of the flux."""

    def weights(self, table: Float64) -> tuple[Float64, Float64]:
        """Return weights, shape (...), and their shear responses, shape (..., 2), of a table, shape (..., column)."""


def shape_sums(table: Float64, galaxies_per_block: int, *weighings: Weighing | None) -> Float64:
    """Return block sums of measured shapes.

    Parameters
    ----------
    table
        Shape (galaxy, ..., column), columns as in `lensdask.shear.shapes.measurement.COLUMNS`, then any others. Its
        weights multiply the others.
    galaxies_per_block
        Length of a block.
    weighings
        Cuts and other weights, whose product counts; None counts as 1.

    Returns
    -------
    Float64
        Shape (block, ..., statistic), statistics as in `SUMS`.
    """
    column = dict(zip(COLUMNS, np.moveaxis(table, -1, 0), strict=False))
    e1, e2, one = column["e1"], column["e2"], np.ones(table.shape[:-1])
    w, dw_dg = weights_with_response(table, *weighings)
    analytic = [w * column[name] for name in SUMS[7:11]]
    of_cut = [e * dw_dg[..., j] for e in (e1, e2) for j in (0, 1)]
    values = [one, w > 0, w, w * e1, w * e2, w * e1**2, w * e2**2, *analytic, *of_cut]
    return block_sums(np.stack(values, axis=-1), galaxies_per_block)


def weights_with_response(table: Float64, *weighings: Weighing | None) -> tuple[Float64, Float64]:
    """Return the weights of galaxies, shape (...), and their shear responses, shape (..., 2).

    Parameters
    ----------
    table, weighings
        As for `shape_sums`.
    """
    w = table[..., COLUMNS.index("weight")]
    dw_dg = np.zeros((*table.shape[:-1], 2))
    for weighing in filter(None, weighings):
        w_other, dw_other = weighing.weights(table)
        w, dw_dg = w * w_other, dw_dg * w_other[..., None] + w[..., None] * dw_other
    return w, dw_dg


@dataclass(frozen=True)
class Means:
    """What totals, shape (..., statistic), amount to."""

    e: Float64
    """<w e> over all galaxies, shape (..., 2)."""
    R: Float64
    """d<w e_i>/dg_i over all galaxies, shape (..., 2)."""
    noise: Float64
    """Std(e_i) of selected galaxies, shape (..., 2)."""
    response: Float64
    """R_ij per unit of weight, shape (..., 2, 2)."""
    selection_response: Float64
    """The part of it that the cut has."""
    share: Float64
    """Mean weight, shape (..., 1)."""


def means_of(totals: Float64, *, corrected: bool = True) -> Means:
    """Return the means of totals.

    Parameters
    ----------
    totals
        Shape (..., statistic), statistics as in `SUMS`.
    corrected
        Whether the response contains that of the cut.
    """
    galaxies, weight = totals[..., 0:1], totals[..., 2:3]
    mean = totals[..., 3:] / weight
    analytic, of_cut = mean[..., 4:8], mean[..., 8:12]
    response = analytic + of_cut if corrected else analytic
    share = weight / galaxies
    return Means(
        e=mean[..., 0:2] * share,
        R=response[..., [0, 3]] * share,
        noise=np.sqrt(np.maximum(mean[..., 2:4] - mean[..., 0:2] ** 2, 0.0)),
        response=response.reshape(*response.shape[:-1], 2, 2),
        selection_response=of_cut.reshape(*of_cut.shape[:-1], 2, 2),
        share=share,
    )


def shape_noise(totals: Float64, *, corrected: bool = True) -> Float64:
    """Return Std(e_i) / R_ii of the selected galaxies, averaged over shears (equation 20).

    With weights that are not 0 or 1 it is the weighted spread of the shapes, not the error that a galaxy leaves in the
    mean shear: that is the calibration's error.

    Parameters
    ----------
    totals
        Shape (..., shear, statistic), statistics as in `SUMS`.
    corrected
        Whether the response contains that of the cut.

    Returns
    -------
    Float64
        Shape (..., 2).
    """
    mean = means_of(totals, corrected=corrected)
    R = (mean.R / mean.share).mean(axis=-2)
    return np.asarray(np.sqrt((mean.noise**2).mean(axis=-2)) / R)


def enough_selected(sums: Float64) -> bool:
    """Whether sums, shape (block, ..., statistic), are of enough selected galaxies for a bootstrap error.

    Parameters
    ----------
    sums
        Statistics as in `SUMS`.
    """
    filled = _filled_blocks(sums)
    return bool((1 - filled / len(sums)) ** len(sums) <= _CHANCE)


def check_selected(sums: Float64) -> None:
    """Refuse sums, shape (block, ..., statistic), of too few selected galaxies for an error.

    Raises
    ------
    InputError
        Galaxies of too few blocks are selected.
    """
    if not enough_selected(sums):
        selected = sums[..., 1].reshape(len(sums), -1)
        kept, count = selected.mean(axis=1).sum(), sums[..., 0].sum() / selected.shape[1]
        raise InputError(
            f"selection: {kept:.0f} of {count:.0f} galaxies are kept, in {_filled_blocks(sums)} of {len(sums)} blocks; "
            "expected enough of them for a bootstrap: more galaxies, or a wider cut"
        )


def _filled_blocks(sums: Float64) -> int:
    """Return in how many blocks every shear has selected galaxies."""
    return int((sums[..., 1].reshape(len(sums), -1) > 0).all(axis=1).sum())
