"""Whether posteriors are right on average: ranks of the truth, coverage of intervals, and TARP.

If mocks are made at parameters drawn from the prior, the rank of the truth among the draws of its posterior is uniform
for each parameter (simulation-based calibration, Talts et al. 2018), and so is the share of draws closer than the truth
to any reference point that does not know the truth (TARP, Lemos et al. 2023).

A posterior that is shifted lies nearer to the reference points on one side and further from those on the other: over
all of them the shares look nearly uniform. So TARP here asks for more, which is as true of right posteriors: that the
shares do not depend on the direction in which the reference point lies, seen from the summary.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre
from scipy.stats import binomtest, chi2

from lensdask.errors import InputError

__all__ = ["LEVELS", "Coverage", "independence", "measure_coverage", "sbc_ranks", "tarp_fractions", "uniformity"]

Float64 = npt.NDArray[np.float64]

LEVELS = (0.68, 0.95)
"""Masses of the intervals, between quantiles of equal tails."""

_ORDER = 4
_LEAST = 20


def uniformity(fractions: npt.ArrayLike) -> float:
    """Return the probability that uniform numbers look less uniform than these: Neyman's smooth test.

    The statistic is the sum over Legendre polynomials of degree 1 to 4, orthonormal on [0, 1], of n times their squared
    means. It is χ² with four degrees of freedom, and sees shifts and widths sooner than histograms do.

    Parameters
    ----------
    fractions
        Independent, from 0 to 1, shape (n,).

    Raises
    ------
    InputError
        They are fewer than 20.
    """
    values = np.asarray(fractions, dtype=np.float64)
    if len(values) < _LEAST:
        raise InputError(f"coverage: {len(values)} mocks; expected at least {_LEAST}")
    norms = np.sqrt(2 * np.arange(1, _ORDER + 1) + 1)
    means = norms * [legendre.legval(2 * values - 1, row).mean() for row in np.eye(_ORDER + 1)[1:]]
    return float(chi2.sf(len(values) * (means**2).sum(), _ORDER))


def independence(fractions: npt.ArrayLike, directions: npt.ArrayLike) -> float:
    """Return the probability that uniform numbers look more as if they depended on directions than these do.

    It is the score test of a slope: n times the squared means of √3 (2 u - 1) times the directions less their mean, in
    coordinates in which these have unit covariance. It is χ² with as many degrees of freedom as dimensions.

    Parameters
    ----------
    fractions
        Independent, from 0 to 1, shape (n,).
    directions
        What they must not depend on, shape (n, dimension).
    """
    centred = np.asarray(directions, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    slope = (np.sqrt(3) * (2 * np.asarray(fractions, dtype=np.float64) - 1)) @ centred
    spread = centred.T @ centred
    # Directions that never change, as with a single parameter at an end of its prior, test nothing.
    rank = int(np.linalg.matrix_rank(spread))
    return float(chi2.sf(slope @ np.linalg.pinv(spread) @ slope, rank)) if rank else 1.0


def sbc_ranks(draws: npt.ArrayLike, truth: npt.ArrayLike, rng: np.random.Generator) -> Float64:
    """Return the rank of the truth among draws of its posterior, as a fraction.

    Parameters
    ----------
    draws
        Shape (mock, draw, parameter).
    truth
        Shape (mock, parameter).
    rng
        The rank is one of draw + 1 numbers; a random number within its step makes it uniform.

    Returns
    -------
    ndarray
        Shape (mock, parameter), 0 to 1.
    """
    values, known = np.asarray(draws), np.asarray(truth, dtype=np.float64)
    below = (values < known[:, None]).sum(axis=1)
    return np.asarray((below + rng.random(known.shape)) / (values.shape[1] + 1))


def tarp_fractions(
    draws: npt.ArrayLike,
    truth: npt.ArrayLike,
    references: npt.ArrayLike,
    scale: npt.ArrayLike,
    rng: np.random.Generator,
) -> Float64:
    """Return the share of draws that are closer to a reference point than the truth is.

    Parameters
    ----------
    draws
        Shape (mock, draw, parameter).
    truth
        Shape (mock, parameter).
    references
        Points that depend on nothing, or on the observation only, shape (mock, parameter).
    scale
        Unit of each parameter in the distance, shape (parameter,).
    rng
        As in `sbc_ranks`.

    Returns
    -------
    ndarray
        Shape (mock,), 0 to 1.
    """
    unit = np.asarray(scale, dtype=np.float64)
    centre = np.asarray(references, dtype=np.float64)
    distance = (((np.asarray(draws) - centre[:, None]) / unit) ** 2).sum(axis=-1)
    own = (((np.asarray(truth) - centre) / unit) ** 2).sum(axis=-1)
    closer = (distance < own[:, None]).sum(axis=1)
    return np.asarray((closer + rng.random(len(own))) / (distance.shape[1] + 1))


@dataclass(frozen=True)
class Coverage:
    """What mocks say of a likelihood; all p-values are uniform if it is right."""

    names: tuple[str, ...]
    """Parameters, in order."""
    ranks: Float64
    """Of `sbc_ranks`, shape (mock, parameter)."""
    tarp: Float64
    """Shares of TARP with reference points from the prior, shape (mock,)."""
    tarp_directions: Float64
    """From the observed summary to these points, unit vectors in the units of the distance, shape (mock, parameter)."""
    tarp_about_summary: Float64
    """Shares of TARP with the observed summary for a reference point, shape (mock,)."""

    def inside(self, level: float) -> npt.NDArray[np.int64]:
        """Return how many truths lie between the quantiles of a level, shape (parameter,)."""
        return np.asarray((np.abs(self.ranks - 0.5) < level / 2).sum(axis=0))

    def p_values(self) -> dict[str, float]:
        """Return the p-values of the tests by name."""
        found = {f"ranks of {name}": uniformity(u) for name, u in zip(self.names, self.ranks.T, strict=True)}
        found |= {"TARP": self.tarp_p, "TARP about the summary": uniformity(self.tarp_about_summary)}
        for level in LEVELS:
            for name, count in zip(self.names, self.inside(level), strict=True):
                test = binomtest(int(count), len(self.ranks), level)
                found[f"{level:.0%} interval of {name}"] = float(test.pvalue)
        return found

    @property
    def sbc_p(self) -> float:
        """p-value of the ranks of all parameters: the least, times their number (Bonferroni)."""
        return min(1.0, len(self.names) * min(uniformity(u) for u in self.ranks.T))

    @property
    def tarp_p(self) -> float:
        """p-value of TARP: that its shares are uniform, and the same in all directions, which are independent tests."""
        least = min(uniformity(self.tarp), independence(self.tarp, self.tarp_directions))
        return least * (2 - least)


def measure_coverage(
    names: tuple[str, ...],
    draws: npt.ArrayLike,
    truth: npt.ArrayLike,
    observed: npt.ArrayLike,
    references: npt.ArrayLike,
    rng: np.random.Generator,
) -> Coverage:
    """Compare posteriors of mocks with the parameters that these were made with.

    Parameters
    ----------
    names
        Parameters, in order.
    draws
        Shape (mock, draw, parameter); nearly independent.
    truth
        Shape (mock, parameter), drawn from the prior.
    observed
        The summaries, shape (mock, parameter).
    references
        Points drawn from the prior for TARP, shape (mock, parameter).
    rng
        Of the ranks.
    """
    values = np.asarray(draws)
    # The same for all mocks, so that no truth decides it.
    scale = np.sqrt(values.astype(np.float64).var(axis=1).mean(axis=0))
    away = (np.asarray(references) - np.asarray(observed)) / scale
    return Coverage(
        names,
        sbc_ranks(values, truth, rng),
        tarp_fractions(values, truth, references, scale, rng),
        away / np.linalg.norm(away, axis=1, keepdims=True),
        tarp_fractions(values, truth, observed, scale, rng),
    )
