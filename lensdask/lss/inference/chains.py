"""The chain of one observation: emcee, with walkers drawn from the prior, until it is long enough.

A chain is a dataset of the schema ``lss_chains``. ArviZ reads it once it is in memory and has its names,

    arviz.summary(chains[["theta"]].load().assign_coords(parameter=chains.attrs["parameters"]))

and GetDist from arrays, one for each walker:

    getdist.MCSamples(samples=list(chains["theta"].values), names=chains.attrs["parameters"])
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import emcee
import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.compute import torch_settings
from lensdask.data import LSS_CHAINS, common_attributes
from lensdask.errors import InputError, check_number
from lensdask.lss.inference.prior import Prior
from lensdask.random import Stream, generator

__all__ = ["Chain", "ChainSettings", "autocorrelation_time", "chain_dataset", "run_chain", "split_r_hat"]

Float64 = npt.NDArray[np.float64]

_LEAST = 500
"""Steps below which not even the autocorrelation time can be measured."""

_BURN_IN = 3
"""One third of all steps is not kept."""


@dataclass(frozen=True)
class ChainSettings:
    """How long the chain of an observation becomes."""

    walkers: int = 128
    """Walkers."""
    steps: int = 20_000
    """Steps at the most."""
    times: float = 50.0
    """Autocorrelation times after which it is long enough."""
    block: int = 500
    """Steps between looks at it."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        check_number("chain walkers", self.walkers, least=4, whole=True)
        check_number("chain steps", self.steps, least=_LEAST, whole=True)
        check_number("chain times", self.times, above=0)
        check_number("chain block", self.block, least=10, whole=True)


@dataclass(frozen=True)
class Chain:
    """What a sampler has drawn, without the burn-in."""

    theta: Float64
    """Shape (walker, step, parameter)."""
    log_posterior: Float64
    """Up to a constant, shape (walker, step)."""
    autocorrelation_time: Float64
    """Steps, shape (parameter,)."""
    r_hat: Float64
    """Split R̂ of each parameter, shape (parameter,)."""
    acceptance: float
    """Share of the steps that were accepted."""
    long_enough: bool
    """Whether it has the autocorrelation times that were asked for."""

    @property
    def draws(self) -> Float64:
        """All draws in one row, shape (draw, parameter)."""
        return self.theta.reshape(-1, self.theta.shape[-1])

    @property
    def times(self) -> float:
        """Steps over the longest autocorrelation time."""
        return float(self.theta.shape[1] / self.autocorrelation_time.max())


def autocorrelation_time(theta: npt.ArrayLike) -> Float64:
    """Return the integrated autocorrelation time of an ensemble, in steps (Sokal's window, as in emcee).

    Parameters
    ----------
    theta
        Shape (walker, step, parameter).

    Returns
    -------
    ndarray
        Shape (parameter,); the number of steps where nothing ever moved.
    """
    series = np.swapaxes(np.asarray(theta, dtype=np.float64), 0, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        time = emcee.autocorr.integrated_time(series, tol=0, quiet=True)
    # A chain never has more independent steps than steps.
    return np.where(np.isfinite(time), np.clip(time, 1.0, len(series)), len(series))


def split_r_hat(theta: npt.ArrayLike) -> Float64:
    """Return split R̂ (Gelman et al. 2013, eq. 11.4) of an ensemble, which is 1 where its quarters agree.

    The quarters are the first and the last half of the steps of the first and the last half of the walkers. Single
    walkers are too short for it: within a few autocorrelation times none has seen the whole posterior.

    Parameters
    ----------
    theta
        Shape (walker, step, parameter), two of each or more.

    Returns
    -------
    ndarray
        Shape (parameter,).
    """
    values = np.asarray(theta, dtype=np.float64)
    walkers, steps = values.shape[0] // 2, values.shape[1] // 2
    even = values[: 2 * walkers, : 2 * steps].reshape(2, walkers, 2, steps, -1)
    quarters = np.moveaxis(even, 2, 1).reshape(4, walkers * steps, -1)
    within = quarters.var(axis=1, ddof=1).mean(axis=0)
    between = quarters.mean(axis=1).var(axis=0, ddof=1)
    ratio = np.divide(between, within, out=np.ones_like(within), where=within > 0)
    return np.asarray(np.sqrt(1 - 1 / (walkers * steps) + ratio))


@torch_settings()
def run_chain(
    log_density: Callable[[Float64], Float64],
    prior: Prior,
    *,
    seed: int = 0,
    settings: ChainSettings | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Chain:
    """Sample a posterior with emcee until the chain is `settings.times` autocorrelation times long.

    Parameters
    ----------
    log_density
        From (walker, parameter) to (walker,); -inf outside of the prior.
    prior
        Where walkers begin.
    seed
        Stream `Stream.CHAIN`, id 0.
    settings
        Walkers and steps.
    report
        Called after each block with the steps done and those expected.

    Raises
    ------
    InputError
        Less than a fifth of the autocorrelation times came out within the steps allowed: nothing can be said of it.
    """
    chosen, rng = settings or ChainSettings(), generator(seed, Stream.CHAIN, 0)
    parameters = len(prior.names)
    if chosen.walkers < 2 * parameters:
        raise InputError(f"chain walkers: {chosen.walkers}; expected at least {2 * parameters}, twice the parameters")
    sampler = emcee.EnsembleSampler(chosen.walkers, parameters, log_density, vectorize=True)
    random = np.random.RandomState(rng.integers(2**32, size=8, dtype=np.uint32))
    state = emcee.State(prior.sample(chosen.walkers, rng), random_state=random.get_state())
    done, time = 0, np.full(parameters, np.inf)
    while done < chosen.steps and (done - done // _BURN_IN) < chosen.times * time.max():
        state = sampler.run_mcmc(state, min(chosen.block, chosen.steps - done), skip_initial_state_check=True)
        done = sampler.iteration
        theta = np.swapaxes(sampler.get_chain(discard=done // _BURN_IN), 0, 1)
        time = autocorrelation_time(theta)
        if report is not None:
            needed = chosen.times * time.max() * _BURN_IN / (_BURN_IN - 1)
            report(done, int(min(chosen.steps, max(done, needed))))
    found = Chain(
        theta,
        np.swapaxes(sampler.get_log_prob(discard=done // _BURN_IN), 0, 1),
        time,
        split_r_hat(theta),
        float(sampler.acceptance_fraction.mean()),
        bool(theta.shape[1] >= chosen.times * time.max()),
    )
    if found.times < chosen.times / 5:
        raise InputError(
            f"chain: {theta.shape[1]} steps are {found.times:.1f} autocorrelation times; expected {chosen.times:g}, "
            f"with more than steps={chosen.steps}"
        )
    return found


def chain_dataset(
    chain: Chain,
    observed: npt.ArrayLike,
    *,
    names: tuple[str, ...],
    attributes: Mapping[str, Any],
    config: Mapping[str, Any],
) -> xr.Dataset:
    """Return a chain as a dataset of the schema ``lss_chains``.

    Parameters
    ----------
    chain
        What was drawn.
    observed
        The summary, shape (parameter,).
    names
        Parameters, in order.
    attributes
        ``compressor_sha256``, ``summaries_hash``, ``seed``, and what else is to be known.
    config
        What decides the chain.
    """
    walkers, steps, _ = chain.theta.shape
    return LSS_CHAINS.described(
        xr.Dataset(
            {
                "theta": (("chain", "draw", "parameter"), chain.theta.astype(np.float32)),
                "log_posterior": (("chain", "draw"), chain.log_posterior.astype(np.float32)),
                "observation": (("parameter",), np.asarray(observed, dtype=np.float32)),
            },
            coords={"chain": np.arange(walkers), "draw": np.arange(steps)},
            attrs=common_attributes(LSS_CHAINS, config) | {"parameters": list(names), **attributes},
        )
    )
