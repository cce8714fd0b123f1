"""Both samplers on distributions that are known, and against each other; what other packages read of a chain."""

import numpy as np
import pytest
from lss_toy import PRIOR, log_likelihood, observe

import lensdask
from lensdask.data import LSS_CHAINS, write
from lensdask.errors import InputError
from lensdask.lss.inference.chains import (
    ChainSettings,
    autocorrelation_time,
    chain_dataset,
    run_chain,
    split_r_hat,
)
from lensdask.lss.inference.ensemble import EnsembleSettings, log_posterior, sample_posteriors, stretch_chains
from lensdask.lss.inference.prior import make_prior
from lensdask.random import Stream, generator

NAMES = ("a_ia", "eta_ia", "eta_b")
MEAN = np.array([1.0, 2.0, -0.5])
COVARIANCE = np.array([[0.25, 0.1, 0.0], [0.1, 0.16, -0.05], [0.0, -0.05, 0.09]])
BOX = make_prior(NAMES)


def normal(theta):
    """Return the log density of a normal distribution, well inside of the box."""
    residual = theta - MEAN
    return -0.5 * np.einsum("...i,ij,...j", residual, np.linalg.inv(COVARIANCE), residual)


def inside(theta):
    return BOX.log_density(theta) + normal(theta)


@pytest.fixture(scope="module")
def chain():
    return run_chain(inside, BOX, settings=ChainSettings(walkers=64, steps=6000))


def test_emcee_on_a_normal_distribution(chain):
    assert chain.long_enough
    assert chain.times >= 50
    assert chain.r_hat.max() < 1.02
    independent = len(chain.draws) / chain.autocorrelation_time
    error = np.sqrt(COVARIANCE.diagonal() / independent)
    assert (np.abs(chain.draws.mean(axis=0) - MEAN) < 4 * error).all()
    np.testing.assert_allclose(np.cov(chain.draws.T), COVARIANCE, atol=0.015)


def test_emcee_is_the_same_twice():
    short = ChainSettings(walkers=64, steps=600)
    first, again = (run_chain(inside, BOX, seed=1, settings=short) for _ in range(2))
    np.testing.assert_array_equal(first.theta, again.theta)
    assert not np.array_equal(first.theta, run_chain(inside, BOX, settings=short).theta)


def test_a_chain_that_is_too_short_says_so():
    with pytest.raises(InputError, match=r"chain: 334 steps are .* autocorrelation times; expected 500.*steps=500"):
        run_chain(inside, BOX, settings=ChainSettings(walkers=64, steps=500, times=500))
    short = run_chain(inside, BOX, settings=ChainSettings(walkers=64, steps=1000))
    assert not short.long_enough
    with pytest.raises(InputError, match="chain walkers: 4; expected at least 6, twice the parameters"):
        run_chain(inside, BOX, settings=ChainSettings(walkers=4))


def run_mocks_of_normals(offsets, settings):
    rngs = [generator(0, Stream.CHAIN, i) for i in range(len(offsets))]
    start = np.stack([BOX.sample(settings.walkers, rng) for rng in rngs])
    return stretch_chains(lambda t: inside(t - offsets[:, None]), start, rngs, settings)


def test_many_ensembles_at_once_on_normal_distributions():
    offsets = np.zeros((20, 3))
    offsets[:, 0] = np.linspace(-1, 1, 20)
    found = run_mocks_of_normals(offsets, EnsembleSettings(walkers=32, burn_in=200, steps=400))
    assert found.shape == (20, 400, 32, 3)
    draws = found.reshape(20, -1, 3)
    # Twenty ensembles of 32 walkers and 400 steps, with an autocorrelation time of about 45.
    pull = (draws.mean(axis=1) - MEAN - offsets) / np.sqrt(COVARIANCE.diagonal() * 45 / 12_800)
    assert np.sqrt((pull**2).mean()) < 1.2
    np.testing.assert_allclose(draws.std(axis=1).mean(axis=0), np.sqrt(COVARIANCE.diagonal()), rtol=0.03)


def test_the_chain_of_a_mock_does_not_depend_on_the_others():
    offsets, short = np.zeros((3, 3)), EnsembleSettings(walkers=8, burn_in=10, steps=70)
    np.testing.assert_array_equal(run_mocks_of_normals(offsets, short)[:2], run_mocks_of_normals(offsets[:2], short))


def test_samplers_agree_on_a_learned_posterior(toy_likelihood):
    rng = np.random.default_rng(8)
    observed = observe(PRIOR.sample(2, rng), rng)
    ours = sample_posteriors(
        toy_likelihood, PRIOR, observed, settings=EnsembleSettings(walkers=32, burn_in=300, steps=500)
    )
    for one, summary in zip(ours, observed, strict=True):
        known = run_chain(log_posterior(toy_likelihood, PRIOR, summary), PRIOR, settings=ChainSettings(32, 1500))
        scatter = known.draws.std(axis=0)
        flat = one.reshape(-1, 7)
        assert (np.abs(flat.mean(axis=0) - known.draws.mean(axis=0)) / scatter).max() < 0.35
        np.testing.assert_allclose(flat.std(axis=0) / scatter, 1, atol=0.2)


def test_posteriors_on_the_toy_are_the_true_ones(toy_likelihood):
    """Reduced: few simulations, few mocks; the test of 40 000 simulations is in tests/science."""
    rng = np.random.default_rng(9)
    observed = observe(PRIOR.sample(12, rng), rng)
    settings = EnsembleSettings(walkers=32, burn_in=300, steps=300)
    learned = sample_posteriors(toy_likelihood, PRIOR, observed, settings=settings)
    rngs = [generator(1, Stream.CHAIN, i) for i in range(12)]
    start = np.stack([PRIOR.sample(32, one) for one in rngs])
    truth = log_likelihood(observed)
    exact = stretch_chains(lambda t: PRIOR.log_density(t) + truth(t), start, rngs, settings)
    ratio = learned.reshape(12, -1, 7).std(axis=1) / exact.reshape(12, -1, 7).std(axis=1)
    np.testing.assert_allclose(np.median(ratio, axis=0), 1, atol=0.1)


def test_autocorrelation_time_of_a_known_process():
    """x' = a x + noise has (1 + a) / (1 - a)."""
    rng, a = np.random.default_rng(0), 0.9
    series = np.zeros((32, 4000, 1))
    noise = rng.standard_normal(series.shape)
    for step in range(1, 4000):
        series[:, step] = a * series[:, step - 1] + noise[:, step]
    assert autocorrelation_time(series)[0] == pytest.approx(19, rel=0.1)
    assert autocorrelation_time(np.ones((4, 50, 1)))[0] == 50


def test_split_r_hat():
    rng = np.random.default_rng(0)
    still = rng.standard_normal((16, 400, 1))
    assert split_r_hat(still)[0] == pytest.approx(1, abs=0.01)
    assert split_r_hat(still + np.linspace(0, 3, 400)[None, :, None])[0] > 1.2
    assert split_r_hat(still + np.linspace(0, 3, 16)[:, None, None])[0] > 1.2


@pytest.fixture(scope="module")
def stored(chain, tmp_path_factory):
    """Return a chain that was written and read."""
    path = tmp_path_factory.mktemp("chains") / "chains.zarr"
    attributes = {"compressor_sha256": "0" * 64, "summaries_hash": "1" * 64, "seed": 0}
    write(chain_dataset(chain, MEAN, names=NAMES, attributes=attributes, config={"a": 1}), path)
    return lensdask.open(path)


def test_chain_follows_the_schema(stored, chain):
    LSS_CHAINS.validate(stored)
    assert stored["theta"].dims == ("chain", "draw", "parameter")
    np.testing.assert_allclose(stored["theta"].values, chain.theta, rtol=1e-6)
    assert tuple(stored.attrs["parameters"]) == NAMES


def test_getdist_reads_a_chain(stored):
    getdist = pytest.importorskip("getdist")
    samples = getdist.MCSamples(samples=list(stored["theta"].values), names=stored.attrs["parameters"])
    np.testing.assert_allclose(samples.getMeans(), MEAN, atol=0.05)
    np.testing.assert_allclose(np.sqrt(samples.getVars()), np.sqrt(COVARIANCE.diagonal()), rtol=0.06)


@pytest.mark.filterwarnings("ignore")
def test_arviz_reads_a_chain(stored):
    arviz = pytest.importorskip("arviz")
    named = stored[["theta"]].load().assign_coords(parameter=stored.attrs["parameters"])
    table = arviz.summary(named)
    np.testing.assert_allclose(table["mean"].astype(float), MEAN, atol=0.06)
    assert list(table.index) == [f"theta[{name}]" for name in NAMES]


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (ChainSettings, {"steps": 10}, "chain steps: 10; expected a whole number of at least 500"),
        (EnsembleSettings, {"walkers": 7}, "ensemble walkers: 7; expected an even number"),
        (EnsembleSettings, {"steps": 0}, "ensemble steps: 0; expected"),
    ],
)
def test_bad_settings(make, settings, message):
    with pytest.raises(InputError, match=message):
        make(**settings)
