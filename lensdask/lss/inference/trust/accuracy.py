"""How well the likelihood describes the summaries: differences of means and scatters, eqs. (C1) and (C2)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.lss.inference.likelihood import Likelihood
from lensdask.lss.inference.summaries import Summaries

__all__ = ["Accuracy", "measure_accuracy"]

Float64 = npt.NDArray[np.float64]

_DRAWS = 100
"""Draws of the likelihood at each θ, for its mean and scatter."""

_GROUP = 100
"""Samples of a group where no two have the same parameters."""

_REPEATED = 10
"""Samples of the same parameters that make a group of their own."""

_MOST = 2000


class Accuracy(NamedTuple):
    """Differences between the likelihood and simulations, for each group of samples.

    Parameters
    ----------
    mean
        Δ_μ, the mean of the likelihood minus that of the samples over their scatter, shape (group, parameter).
    scatter
        Δ_σ, the scatter of the likelihood over that of the samples, minus 1, shape (group, parameter).
    group
        Samples in a group, on average. With n samples of a perfect likelihood Δ_μ scatters by 1/√n, Δ_σ by 1/√(2n).
    """

    mean: Float64
    scatter: Float64
    group: float


def measure_accuracy(likelihood: Likelihood, summaries: Summaries, seed: int = 0) -> Accuracy:
    """Return Δ_μ and Δ_σ on samples that the likelihood was not trained with.

    A group is a set of samples of the same parameters, as in the paper. Where there are no ten of any, residuals are
    divided by the scatter of the likelihood at their own parameters, and groups are neighbours in each parameter in
    turn.

    Parameters
    ----------
    likelihood
        The likelihood.
    summaries
        Samples; some thousands are used at the most.
    seed
        Of the draws from the likelihood.
    """
    some = summaries.rows(np.arange(len(summaries.theta))[:: max(1, len(summaries.theta) // _MOST)])
    numbers = summaries.groups()
    counts = np.bincount(numbers)
    repeated = np.flatnonzero(counts >= _REPEATED)
    repeated = repeated[:: max(1, len(repeated) * _REPEATED // _MOST)]
    if len(repeated):
        rows = [np.flatnonzero(numbers == number) for number in repeated]
        some = summaries.rows(np.concatenate(rows))
        groups = np.split(np.arange(len(some.theta)), np.cumsum([len(one) for one in rows])[:-1])
    else:
        orders = np.argsort(some.theta, axis=0).T
        groups = [part for order in orders for part in np.array_split(order, max(1, len(order) // _GROUP))]
    residual = _standard_residuals(likelihood, some, seed)
    means = np.array([residual[rows].mean(axis=0) for rows in groups])
    scatters = np.array([residual[rows].std(axis=0, ddof=1) for rows in groups])
    return Accuracy(-means / scatters, 1 / scatters - 1, float(np.mean([len(rows) for rows in groups])))


def _standard_residuals(likelihood: Likelihood, summaries: Summaries, seed: int) -> Float64:
    """Return the summaries minus the mean of the likelihood over its scatter, shape (sample, parameter)."""
    theta, back = np.unique(summaries.theta, axis=0, return_inverse=True)
    drawn = likelihood.sample(np.repeat(theta, _DRAWS, axis=0), seed).reshape(len(theta), _DRAWS, -1)
    mean, scatter = (values[back.reshape(-1)] for values in (drawn.mean(axis=1), drawn.std(axis=1, ddof=1)))
    return np.asarray((summaries.summary - mean) / scatter)
