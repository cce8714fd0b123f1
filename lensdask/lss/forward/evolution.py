"""How alignment and bias change with redshift: one effective value for each bin, eqs. 8 and 9."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError
from lensdask.lss.parameters import BINS

__all__ = ["PIVOT", "Redshifts", "evolution", "mean_redshift"]

Float64 = npt.NDArray[np.float64]

PIVOT = 0.7
"""Redshift at which alignment and bias have their amplitudes."""


class Redshifts(NamedTuple):
    """Redshifts of the galaxies, n(z).

    Parameters
    ----------
    redshift
        Increasing, shape (redshift,).
    n
        Galaxies per unit of redshift in each bin, of any norm, shape (bin, redshift).
    """

    redshift: npt.ArrayLike
    n: npt.ArrayLike


def evolution(eta: npt.ArrayLike, galaxies: Redshifts) -> Float64:
    """Return the mean of ((1 + z) / (1 + z₀))^η over the galaxies of each bin, z₀ = 0.7.

    Parameters
    ----------
    eta
        Shape (sample,).
    galaxies
        Their redshifts, integrated by trapezoids.

    Returns
    -------
    ndarray
        Shape (sample, bin).

    Raises
    ------
    InputError
        n(z) is no distribution.
    """
    redshift, share = _shares(galaxies)
    power = np.asarray(eta, dtype=np.float64)[:, None] * np.log((1 + redshift) / (1 + PIVOT))
    return np.exp(power) @ share.T


def mean_redshift(galaxies: Redshifts) -> Float64:
    """Return the mean redshift of each bin, shape (bin,)."""
    redshift, share = _shares(galaxies)
    return share @ redshift


def _shares(galaxies: Redshifts) -> tuple[Float64, Float64]:
    """Return redshifts, and the share of the galaxies of each bin at each, shape (bin, redshift)."""
    redshift, n = (np.asarray(values, dtype=np.float64) for values in galaxies)
    if redshift.ndim != 1 or len(redshift) < 2 or n.shape != (BINS, len(redshift)):
        raise InputError(f"n(z): shapes {redshift.shape}, {n.shape}; expected (redshift,), ({BINS}, redshift)")
    step = np.diff(redshift)
    if not ((step > 0).all() and redshift[0] > -1 and np.isfinite(redshift[-1])):
        raise InputError("redshifts of n(z): not increasing; expected increasing redshifts above -1")
    if not ((n >= 0).all() and np.isfinite(n).all() and n.any(axis=1).all()):
        raise InputError("n(z): a bin is negative, not finite or zero everywhere; expected a distribution")
    weight = n * (np.append(step, 0) + np.append(0, step)) / 2
    return redshift, weight / weight.sum(axis=1, keepdims=True)
