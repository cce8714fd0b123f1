"""Mocks at parameters drawn from the prior: their posteriors, all at once, and whether these cover the truth."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError, check_number
from lensdask.lss.inference.chains import autocorrelation_time, split_r_hat
from lensdask.lss.inference.ensemble import EnsembleSettings, sample_posteriors
from lensdask.lss.inference.likelihood import Likelihood
from lensdask.lss.inference.prior import Prior
from lensdask.lss.inference.summaries import Summaries
from lensdask.lss.inference.trust.coverage import Coverage, measure_coverage
from lensdask.random import Stream, generator

__all__ = ["MockPosteriors", "choose_mocks", "run_mocks"]

Float64 = npt.NDArray[np.float64]

_LEAST = 20
_LOOKED_AT = 20
"""Mocks whose autocorrelation time is measured."""


@dataclass(frozen=True)
class MockPosteriors:
    """Posteriors of mocks in numbers."""

    coverage: Coverage
    """Ranks, TARP and intervals."""
    mean: Float64
    """Shape (mock, parameter)."""
    scatter: Float64
    """Standard deviations, shape (mock, parameter)."""
    r_hat: Float64
    """Largest split R̂ of each mock, shape (mock,)."""
    times: float
    """Steps over the longest autocorrelation time, the median of some mocks."""
    left_out: int
    """Mocks too far outside of the training range for a posterior."""


def choose_mocks(summaries: Summaries, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Choose samples for mocks, no two of the same parameters.

    Parameters
    ----------
    summaries
        Samples.
    count
        How many.
    seed
        Of the choice.

    Returns
    -------
    ndarray
        Rows, shape (count,).

    Raises
    ------
    InputError
        There are fewer sets of parameters.
    """
    check_number("mocks", count, least=_LEAST, whole=True, meaning="or 0 for none")
    first = np.unique(summaries.groups(), return_index=True)[1]
    if len(first) < count:
        raise InputError(f"mocks: {count}; expected at most {len(first)}, the parameter sets of {summaries.where}")
    return generator(seed, Stream.CHAIN, 2**62 + 1).choice(first, count, replace=False)


def run_mocks(
    likelihood: Likelihood,
    prior: Prior,
    mocks: Summaries,
    *,
    seed: int = 0,
    settings: EnsembleSettings | None = None,
    report: Callable[[int, int], None] | None = None,
) -> MockPosteriors:
    """Sample the posteriors of mocks and compare them with the truth.

    Parameters
    ----------
    likelihood
        Of the same compressor.
    prior
        From which the parameters of the mocks were drawn.
    mocks
        Summaries at these parameters that the likelihood has not seen.
    seed
        Of chains and ranks.
    settings
        Length of the chains.
    report
        Called after each block of steps with those done and all.

    Raises
    ------
    InputError
        Fewer than 20 mocks have a posterior.
    """
    inside = np.isfinite(likelihood.log_prob(mocks.summary, mocks.theta))
    if inside.sum() < _LEAST:
        raise InputError(
            f"{mocks.where}: {int(inside.sum())} of {len(inside)} mocks near the training range; "
            f"expected at least {_LEAST}"
        )
    used, rng = mocks.rows(inside), generator(seed, Stream.CHAIN, 2**62 + 2)
    theta = sample_posteriors(likelihood, prior, used.summary, seed=seed, settings=settings, report=report)
    chains = np.swapaxes(theta, 1, 2)
    times = [chains.shape[2] / autocorrelation_time(one).max() for one in chains[:_LOOKED_AT]]
    draws = theta.reshape(len(theta), -1, theta.shape[-1])
    references = prior.sample(len(draws), rng)
    return MockPosteriors(
        measure_coverage(likelihood.names, draws, used.theta, used.summary, references, rng),
        draws.mean(axis=1, dtype=np.float64),
        draws.std(axis=1, dtype=np.float64),
        np.array([split_r_hat(one).max() for one in chains]),
        float(np.median(times)),
        int((~inside).sum()),
    )
