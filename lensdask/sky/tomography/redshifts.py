"""Redshift distributions of the galaxies in tomographic bins.

The default are four bins like those of the Dark Energy Survey that Kacprzak & Fluri 2022 use, of mean redshift 0.31,
0.48, 0.75 and 0.94: sums of Gaussians, fitted to within 5 % of the peak of the first bin and 1 % of that of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lensdask.data.rows import read_rows
from lensdask.errors import InputError

__all__ = ["REDSHIFTS", "STAGE3_BINS", "RedshiftBins", "read_redshift_bins", "redshift_bins"]

Float64 = npt.NDArray[np.float64]

REDSHIFTS = np.linspace(0.0, 1.75, 176)
"""Where distributions are known; they are linear between, and cut beyond 1.75 as the light cones of the paper are."""

_GAUSSIANS = (
    ((1.115, 0.157, 0.063), (1.878, 0.269, 0.095), (1.045, 0.412, 0.144)),
    ((1.440, 0.441, 0.118), (1.253, 0.564, 0.148), (0.483, 0.307, 0.091)),
    ((0.937, 0.862, 0.131), (1.824, 0.720, 0.141), (0.165, 0.531, 0.117)),
    ((1.322, 0.934, 0.194), (0.532, 1.149, 0.165), (0.302, 0.643, 0.180)),
)
"""Amplitude, mean and standard deviation of each, by bin."""

_BINS = 4


@dataclass(frozen=True)
class RedshiftBins:
    """The redshift distributions of the bins; made by `redshift_bins`."""

    density: tuple[tuple[float, ...], ...]
    """n(z) at `REDSHIFTS`, of unit integral, (bin, z)."""

    @cached_property
    def n_of_z(self) -> Float64:
        """The same as an array, shape (bin, z)."""
        return np.array(self.density, dtype=np.float64)

    @property
    def mean(self) -> Float64:
        """Mean redshift of each bin, shape (bin,)."""
        return np.asarray(np.trapezoid(self.n_of_z * REDSHIFTS, REDSHIFTS, axis=1), dtype=np.float64)


def redshift_bins(redshift: npt.ArrayLike, number: npt.ArrayLike) -> RedshiftBins:
    """Return distributions that are known at some redshifts: linear between these, 0 beyond them and beyond 1.75.

    Parameters
    ----------
    redshift
        Zero or more, increasing, shape (z,).
    number
        Galaxies per redshift in any unit, shape (4, z).

    Raises
    ------
    InputError
        The redshifts do not increase, or a distribution is negative, all zero or not finite.
    """
    z, n = np.asarray(redshift, dtype=np.float64), np.asarray(number, dtype=np.float64)
    if z.ndim != 1 or len(z) < 2 or n.shape != (_BINS, len(z)):
        raise InputError(f"n(z): shape {n.shape} at redshifts of shape {z.shape}; expected ({_BINS}, z) and (z,)")
    if not (np.isfinite(z).all() and z[0] >= 0 and (np.diff(z) > 0).all()):
        raise InputError("n(z): its redshifts; expected finite numbers, zero or more, that increase")
    for number_of_bin, one in enumerate(n, 1):
        if not (np.isfinite(one).all() and one.min() >= 0):
            raise InputError(f"n(z) of bin {number_of_bin}: least value {one.min()}; expected numbers zero or more")
    return RedshiftBins(tuple(_normalised(i, np.interp(REDSHIFTS, z, one, 0, 0)) for i, one in enumerate(n, 1)))


def _normalised(number_of_bin: int, density: Float64) -> tuple[float, ...]:
    total = float(np.trapezoid(density, REDSHIFTS))
    if total <= 0:
        raise InputError(f"n(z) of bin {number_of_bin}: no galaxies at redshifts 0 to 1.75; expected some")
    return tuple((density / total).tolist())


def read_redshift_bins(path: str | Path) -> RedshiftBins:
    """Return the distributions of a text file: in each row a redshift and n(z) of the four bins.

    Raises
    ------
    InputError
        The file cannot be read or is no table of distributions.
    """
    table = read_rows(path, 1 + _BINS, f"a redshift and n(z) of {_BINS} bins")
    try:
        return redshift_bins(table[:, 0], table[:, 1:].T)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _sum_of_gaussians(terms: Sequence[tuple[float, float, float]]) -> Float64:
    parts = [a * np.exp(-(((REDSHIFTS - mean) / sigma) ** 2) / 2) for a, mean, sigma in terms]
    return np.asarray(np.sum(parts, axis=0))


def _stage3_bins() -> RedshiftBins:
    density = np.array([_sum_of_gaussians(terms) for terms in _GAUSSIANS])
    # The tail of the first bin would reach redshift 0.
    density[0] *= 1 - np.exp(-((REDSHIFTS / 0.05) ** 2))
    return redshift_bins(REDSHIFTS, density)


STAGE3_BINS = _stage3_bins()
"""The four bins of Kacprzak & Fluri 2022."""
