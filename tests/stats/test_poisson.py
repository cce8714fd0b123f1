import numpy as np
import pytest
from forward_tiles import LIBRARIES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lensdask.arrays import to_numpy
from lensdask.errors import InputError
from lensdask.random import Stream, words
from lensdask.stats.poisson import HIGHEST, anscombe_counts, poisson_counts

IDS = np.array([17])


@settings(deadline=None, max_examples=30)
@given(mean=st.floats(0, 127.9), seed=st.integers(0, 2**63 - 1))
def test_counts_invert_the_distribution_function(mean: float, seed: int) -> None:
    counts = poisson_counts(np.full((1, 2000), mean), IDS, seed)[0]
    chance = (words(IDS, 2000, seed, Stream.COUNTS)[0] + 0.5) * 2.0**-32
    np.testing.assert_array_equal(counts, stats.poisson.ppf(chance, mean))


@pytest.mark.parametrize("mean", [0.05, 0.3, 1.0, 5.5, 54.9, 127.3, 128.0, 200.3, 500.0, 30000.7])
def test_moments(mean: float) -> None:
    n = 200_000
    counts = poisson_counts(np.full((1, n), mean), IDS, 3)[0]
    sigma = (mean / n) ** 0.5
    assert abs(counts.mean() - mean) < 4 * sigma
    assert abs(counts.var() - mean) < 4 * ((mean + 2 * mean**2) / n) ** 0.5
    # The error of the third moment, from those of Poisson's distribution up to the sixth.
    third = ((counts - mean) ** 3).mean()
    sixth = 15 * mean**3 + 25 * mean**2 + mean
    assert abs(third - mean) < 4 * ((sixth - mean**2) / n) ** 0.5


@pytest.mark.parametrize("mean", [0.05, 0.7, 3.1, 9.9, 140.2])
def test_distribution(mean: float) -> None:
    counts = poisson_counts(np.full((1, 100_000), mean), IDS, 4)[0].astype(int)
    low, high = stats.poisson.ppf([1e-3, 1 - 1e-3], mean).astype(int)
    inside = np.arange(low, high + 1)
    seen = np.bincount(np.clip(counts, low, high + 1), minlength=high + 2)[low:]
    chance = stats.poisson.pmf(inside, mean)
    chance[0] = stats.poisson.cdf(low, mean)
    chance = np.append(chance, 1 - chance.sum())
    assert stats.chisquare(seen, chance * 100_000).pvalue > 1e-3


@pytest.mark.parametrize("type_", [np.float32, np.float64])
def test_libraries_agree(type_: type) -> None:
    mean = np.random.default_rng(0).gamma(1.0, 60.0, (2, 4, 3, 16, 16)).astype(type_)
    ids = np.array([17, 2**40])
    one, two = (poisson_counts(to(mean), ids, 5) for to in LIBRARIES.values())
    assert one.dtype == type_
    np.testing.assert_array_equal(to_numpy(two), one)
    np.testing.assert_array_equal(poisson_counts(mean[1:], ids[1:], 5), one[1:])
    assert (poisson_counts(mean, ids, 5, Stream.PHOTONS) != one).any()


def test_counts_of_sample_17_are_the_same_for_ever() -> None:
    mean = np.array([[0.5, 3.0, 3.0, 54.9, 54.9, 54.9, 300.0, 2000.0]])
    assert poisson_counts(mean, IDS, 5).tolist() == [[0, 2, 1, 78, 54, 62, 297, 2008]]


def test_counts_grow_with_their_mean() -> None:
    mean = np.random.default_rng(0).uniform(0, 120, (1, 20000))
    assert (poisson_counts(mean, IDS, 5) <= poisson_counts(mean + 0.07, IDS, 5)).all()


def test_parts_of_large_counts_are_independent() -> None:
    mean = np.tile(np.array([128.0 * 1.5, 0.5, 128 * 6 + 1.0]), 100_000)[None]
    counts = poisson_counts(mean, IDS, 5).reshape(-1, 3)
    assert abs(np.corrcoef(counts.T)[np.triu_indices(3, 1)]).max() < 4 / 100_000**0.5


@pytest.mark.parametrize("mean", [-1.0, np.nan, np.inf, float(HIGHEST)])
def test_impossible_means_are_refused(mean: float) -> None:
    with pytest.raises(InputError, match="mean counts"):
        poisson_counts(np.full((1, 4), mean), IDS, 1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_anscombe_has_the_known_bias(library: str) -> None:
    for mean, expected in ((0.1, 0.152), (1.0, 1.139), (5.0, 5.25), (55.0, 55.26)):
        counts = to_numpy(anscombe_counts(LIBRARIES[library](np.full((1, 400_000), mean)), IDS, 6))
        np.testing.assert_array_equal(counts, np.round(counts))
        assert counts.min() >= 0
        assert counts.mean() == pytest.approx(expected, abs=0.012 + 5 * (mean / 400_000) ** 0.5)
