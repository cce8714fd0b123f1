"""Many posteriors at once: the affine-invariant stretch move of Goodman & Weare (2010) over (mock, walker).

emcee runs the same move for one posterior. Here a step asks for the likelihood of all mocks in one call, which is what
makes 200 chains affordable. The random numbers of a mock are its own, so that its chain does not depend on the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lensdask.compute import torch_settings
from lensdask.errors import InputError, check_number
from lensdask.lss.inference.likelihood import Likelihood
from lensdask.lss.inference.prior import Prior
from lensdask.random import Stream, generator

__all__ = ["EnsembleSettings", "log_posterior", "sample_posteriors", "stretch_chains"]

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Report = Callable[[int, int], None]
"""Called with the number of steps done and that of all."""

_STRETCH = 2.0
"""Scale a of the move, as in emcee."""

_BLOCK = 64
"""Steps whose random numbers are drawn together."""


@dataclass(frozen=True)
class EnsembleSettings:
    """Length of the chains of mocks: enough for ranks and widths, not for contours."""

    walkers: int = 32
    """Walkers of each mock, an even number."""
    burn_in: int = 500
    """Steps that are not kept: walkers begin in the whole prior."""
    steps: int = 500
    """Steps that are kept."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        check_number("ensemble walkers", self.walkers, least=4, whole=True)
        check_number("ensemble burn_in", self.burn_in, least=0, whole=True)
        check_number("ensemble steps", self.steps, least=1, whole=True)
        if self.walkers % 2:
            raise InputError(f"ensemble walkers: {self.walkers}; expected an even number")


def stretch_chains(
    log_density: Callable[[Float64], Float64],
    start: Float64,
    rngs: list[np.random.Generator],
    settings: EnsembleSettings,
    report: Report | None = None,
) -> Float32:
    """Run one ensemble of walkers for each of many densities.

    Parameters
    ----------
    log_density
        From (mock, some walkers, parameter) to (mock, some walkers); -inf where there is nothing.
    start
        Where walkers begin, shape (mock, walker, parameter); more walkers than twice the parameters.
    rngs
        Random numbers of each mock.
    settings
        Steps to drop and to keep.
    report
        Called after each block of steps.

    Returns
    -------
    ndarray
        Shape (mock, step, walker, parameter).
    """
    mocks, walkers, parameters = start.shape
    if walkers < 2 * parameters:
        raise InputError(f"ensemble walkers: {walkers}; expected at least {2 * parameters}, twice the parameters")
    theta, half = start.copy(), walkers // 2
    density = log_density(theta)
    total = settings.burn_in + settings.steps
    kept = np.empty((mocks, settings.steps, walkers, parameters), dtype=np.float32)
    for step in range(total):
        if step % _BLOCK == 0:
            random = np.stack([rng.random((_BLOCK, 2, 3, half)) for rng in rngs])
        for side in range(2):
            _move(theta, density, log_density, random[:, step % _BLOCK, side], slice(side * half, (side + 1) * half))
        if step >= settings.burn_in:
            kept[:, step - settings.burn_in] = theta
        if report is not None and (step + 1 == total or (step + 1) % _BLOCK == 0):
            report(step + 1, total)
    return kept


def _move(
    theta: Float64, density: Float64, log_density: Callable[[Float64], Float64], random: Float64, moved: slice
) -> None:
    """Stretch one half of the walkers towards the other half, in place (eqs. 7 and 9 of Goodman & Weare 2010)."""
    count, parameters = random.shape[-1], theta.shape[-1]
    others = theta[:, slice(count, None) if moved.start == 0 else slice(0, count)]
    stretch = ((_STRETCH - 1) * random[:, 0] + 1) ** 2 / _STRETCH
    partner = np.minimum((random[:, 1] * count).astype(np.int64), count - 1)
    anchor = np.take_along_axis(others, partner[..., None], axis=1)
    proposed = anchor + stretch[..., None] * (theta[:, moved] - anchor)
    found = log_density(proposed)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = (parameters - 1) * np.log(stretch) + found - density[:, moved]
        # From where there is nothing every step is a gain.
        accepted = (np.log(random[:, 2]) < gain) | (np.isneginf(density[:, moved]) & ~np.isneginf(found))
    theta[:, moved] = np.where(accepted[..., None], proposed, theta[:, moved])
    density[:, moved] = np.where(accepted, found, density[:, moved])


@torch_settings()
def sample_posteriors(
    likelihood: Likelihood,
    prior: Prior,
    observations: npt.ArrayLike,
    *,
    seed: int = 0,
    settings: EnsembleSettings | None = None,
    report: Report | None = None,
) -> Float32:
    """Draw from the posteriors of many observations at once; walkers begin in the prior.

    Parameters
    ----------
    likelihood
        Of the summaries.
    prior
        Of the same parameters.
    observations
        Summaries, shape (mock, parameter), inside of the training range or not far outside.
    seed
        The mock in row i has stream `Stream.CHAIN` and id i + 1.
    settings
        Walkers and steps.
    report
        Called after each block of steps.

    Returns
    -------
    ndarray
        Shape (mock, step, walker, parameter), float32.
    """
    wanted, chosen = np.asarray(observations, dtype=np.float64), settings or EnsembleSettings()
    rngs = [generator(seed, Stream.CHAIN, 1 + i) for i in range(len(wanted))]
    start = np.stack([prior.sample(chosen.walkers, rng) for rng in rngs])
    return stretch_chains(log_posterior(likelihood, prior, wanted), start, rngs, chosen, report)


def log_posterior(likelihood: Likelihood, prior: Prior, observed: Float64) -> Callable[[Float64], Float64]:
    """Return log p(θ | observed) up to a constant as a function of θ, shape (..., walker, parameter).

    Parameters
    ----------
    likelihood, prior
        Of the same parameters.
    observed
        Summaries, shape (..., parameter).
    """
    log_likelihood = likelihood.given(observed)

    def log_density(theta: Float64) -> Float64:
        before = prior.log_density(theta)
        # Outside of the prior the network answers too, but with nothing that it has learned.
        return np.where(np.isneginf(before), -np.inf, before + log_likelihood(theta))

    return log_density
