"""Posteriors of a toy of seven parameters whose likelihood is known: widths within 5 %, and coverage."""

import time

import numpy as np
import pytest
from lss_toy import PRIOR, log_likelihood, observe, toy_summaries

from lensdask.lss.inference.chains import ChainSettings, run_chain
from lensdask.lss.inference.ensemble import EnsembleSettings, log_posterior, sample_posteriors, stretch_chains
from lensdask.lss.inference.training import fit_likelihood, likelihood_recipe
from lensdask.lss.inference.trust.coverage import measure_coverage
from lensdask.lss.inference.trust.novelty import Novelty
from lensdask.lss.parameters import LINEAR, PARAMETERS
from lensdask.random import Stream, generator

pytestmark = pytest.mark.science

SIMULATIONS, MOCKS = 40_000, 400
LENGTH = EnsembleSettings(walkers=32, burn_in=600, steps=600)


@pytest.fixture(scope="module")
def likelihood(tmp_path_factory):
    began = time.perf_counter()
    path = tmp_path_factory.mktemp("toy") / "likelihood.safetensors"
    found = fit_likelihood(path, toy_summaries(SIMULATIONS), likelihood_recipe("mdn", 7), device="cpu")
    print(f"\nlikelihood of {SIMULATIONS} simulations: {time.perf_counter() - began:.1f} s")
    return found


@pytest.fixture(scope="module")
def mocks(likelihood):
    """Return truths, observations, and draws of their posteriors."""
    rng = np.random.default_rng(11)
    truth = PRIOR.sample(MOCKS, rng)
    observed = observe(truth, rng)
    began = time.perf_counter()
    theta = sample_posteriors(likelihood, PRIOR, observed, settings=LENGTH)
    print(f"\n{MOCKS} posteriors of {np.prod(theta.shape[1:3])} draws: {time.perf_counter() - began:.1f} s")
    return truth, observed, theta.reshape(MOCKS, -1, 7)


def test_standard_deviations_of_the_fiducial_posterior(likelihood):
    """By emcee, on the learned likelihood and on the true one."""
    fiducial = np.array([PARAMETERS[name].fiducial for name in LINEAR])
    true = log_likelihood(fiducial)
    settings = ChainSettings(walkers=128)
    learned = run_chain(log_posterior(likelihood, PRIOR, fiducial), PRIOR, settings=settings)
    exact = run_chain(lambda t: PRIOR.log_density(t) + true(t), PRIOR, seed=1, settings=settings)
    assert learned.long_enough
    assert exact.long_enough
    ratio = learned.draws.std(axis=0) / exact.draws.std(axis=0)
    shift = (learned.draws.mean(axis=0) - exact.draws.mean(axis=0)) / exact.draws.std(axis=0)
    print(f"\nfiducial: widths over true ones {ratio.round(3)}, shifts {shift.round(3)}")
    np.testing.assert_allclose(ratio, 1, atol=0.05)


def test_standard_deviations_over_the_prior(mocks):
    _, observed, draws = mocks
    rngs = [generator(1, Stream.CHAIN, i) for i in range(MOCKS)]
    start = np.stack([PRIOR.sample(LENGTH.walkers, rng) for rng in rngs])
    true = log_likelihood(observed)
    exact = stretch_chains(lambda t: PRIOR.log_density(t) + true(t), start, rngs, LENGTH).reshape(MOCKS, -1, 7)
    ratio = draws.std(axis=1) / exact.std(axis=1)
    print(f"\nprior: widths over true ones {np.median(ratio, axis=0).round(3)}, scatter {ratio.std(axis=0).round(3)}")
    np.testing.assert_allclose(np.median(ratio, axis=0), 1, atol=0.05)


@pytest.mark.parametrize(("width", "shift"), [(1.0, 0.0), (0.75, 0.0), (1.33, 0.0), (1.0, 0.5), (1.0, -0.5)])
def test_coverage(mocks, width, shift):
    truth, observed, draws = mocks
    mean, scatter = draws.mean(axis=1, keepdims=True), draws.std(axis=1, keepdims=True)
    changed = mean + width * (draws - mean) + shift * scatter
    rng = np.random.default_rng(12)
    coverage = measure_coverage(LINEAR, changed, truth, observed, PRIOR.sample(MOCKS, rng), rng)
    p_values = coverage.p_values() | {"ranks": coverage.sbc_p}
    shown = {name: p_values[name] for name in ("ranks", "TARP", "TARP about the summary")}
    print(f"\nwidths x {width}, shift {shift}: " + ", ".join(f"{name} p = {p:.2g}" for name, p in shown.items()))
    print(
        "inside of 68 %:", (coverage.inside(0.68) / MOCKS).round(3), "95 %:", (coverage.inside(0.95) / MOCKS).round(3)
    )
    if (width, shift) == (1.0, 0.0):
        assert min(shown.values()) > 1e-3
        return
    assert shown["ranks"] < 1e-3
    assert shown["TARP"] < 1e-3
    # Distances to the summary tell widths best, and shifts hardly.
    if width != 1:
        assert shown["TARP about the summary"] < 1e-3


def test_novelty_is_uniform_on_mocks(mocks):
    from scipy.stats import kstest

    _, observed, _ = mocks
    found = Novelty(toy_summaries(SIMULATIONS).summary).p_value(observed)
    print(f"\nnovelty of mocks is uniform: p = {kstest(found, 'uniform').pvalue:.2g}")
    assert kstest(found, "uniform").pvalue > 1e-3
