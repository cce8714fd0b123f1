import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.stats import MINIMUM_BLOCKS, block_length, block_sums, bootstrap_error, delta_error


def ratio(totals: np.ndarray) -> np.ndarray:
    """Ratio of two means from (sum of x, sum of y)."""
    return totals[..., :1] / totals[..., 1:2]


def sample(rng: np.random.Generator, units: int) -> np.ndarray:
    """Correlated (x, y) with means (1, 2): y shares half of the scatter of x."""
    x = rng.normal(size=units)
    y = 0.5 * x + rng.normal(scale=0.6, size=units)
    return np.stack([1 + 0.8 * x, 2 + y], axis=1)


def analytic_error(units: int) -> float:
    """Error of the ratio of means of `sample`: linear, so good to 1/units."""
    variance_x, variance_y, covariance = 0.64, 0.25 + 0.36, 0.4
    r = 0.5
    return float(np.sqrt((variance_x - 2 * r * covariance + r**2 * variance_y) / units) / 2)


@settings(deadline=None)
@given(units=st.integers(1, 50), length=st.integers(1, 60), width=st.integers(1, 3))
def test_block_sums_are_sums_over_blocks(units: int, length: int, width: int) -> None:
    values = np.random.default_rng(units).normal(size=(units, width)).astype(np.float32)
    expected = [values[s : s + length].astype(np.float64).sum(axis=0) for s in range(0, units, length)]
    result = block_sums(values, length)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-13)


def test_block_sums_add_in_double_precision() -> None:
    # In single precision 2^24 + 1 = 2^24: the ones would be lost.
    values = np.concatenate([[2.0**24], np.ones(1000)]).astype(np.float32)
    assert block_sums(values, len(values)) == 2**24 + 1000


@settings(deadline=None)
@given(units=st.integers(1, 10**9))
def test_blocks_are_as_long_as_400_of_them_allow(units: int) -> None:
    length = block_length(units)
    blocks = -(-units // length)
    assert blocks >= min(units, MINIMUM_BLOCKS)
    assert 1 <= length <= 1024
    # No shorter than needed: one unit more in each block would leave too few blocks.
    assert length == 1024 or units // (length + 1) < MINIMUM_BLOCKS


def test_errors_of_a_ratio_of_means_agree_with_theory_and_simulations() -> None:
    units, length, surveys = 2000, 5, 400
    rng = np.random.default_rng(11)
    tables = [block_sums(sample(rng, units), length) for _ in range(surveys)]
    values = np.array([ratio(t.sum(axis=0))[0] for t in tables])
    scatter, truth = values.std(ddof=1), analytic_error(units)
    relative = 1 / np.sqrt(2 * surveys)  # of a standard deviation from that many simulations
    assert scatter == pytest.approx(truth, rel=4 * relative)

    delta = np.array([delta_error(t, ratio)[0] for t in tables[:100]])
    boot = np.array([bootstrap_error(t, ratio, seed=i, replicas=200)[0] for i, t in enumerate(tables[:100])])
    blocks = units // length
    # One table knows its error to 1/sqrt(2 blocks), and a bootstrap of r replicas adds 1/sqrt(2 r).
    spread_delta, spread_boot = np.sqrt(1 / (2 * blocks)), np.sqrt(1 / (2 * blocks) + 1 / (2 * 200))
    assert delta.mean() == pytest.approx(truth, rel=4 * spread_delta / 10)
    assert boot.mean() == pytest.approx(truth, rel=4 * spread_boot / 10)
    assert delta.std() / truth == pytest.approx(spread_delta, rel=0.35)
    assert boot.std() / truth == pytest.approx(spread_boot, rel=0.35)


def test_correlated_units_in_one_block_are_counted_once() -> None:
    # Four copies of each unit: errors from blocks of four are those of the distinct units, from singles half of that.
    rng = np.random.default_rng(2)
    copies = np.repeat(sample(rng, 4000), 4, axis=0)
    truth, mc = analytic_error(4000), 1 / np.sqrt(2 * 4000)
    assert delta_error(block_sums(copies, 4), ratio)[0] == pytest.approx(truth, rel=4 * mc)
    assert delta_error(block_sums(copies, 1), ratio)[0] == pytest.approx(truth / 2, rel=4 * mc)


def test_delta_error_of_a_mean_is_exact() -> None:
    rng = np.random.default_rng(5)
    table = np.stack([rng.normal(size=37), np.ones(37)], axis=1)  # the second total has no scatter
    expected = table[:, 0].std(ddof=1) / np.sqrt(37)
    assert delta_error(table, ratio)[0] == pytest.approx(expected, rel=1e-12)


def test_delta_error_has_one_entry_for_each_number_of_the_statistic() -> None:
    table = np.random.default_rng(6).normal(size=(50, 3))
    np.testing.assert_allclose(delta_error(table, lambda t: t), table.std(axis=0, ddof=1) * np.sqrt(50), rtol=1e-12)


@pytest.mark.parametrize("replicas", [20, 50, 130])
def test_any_number_of_replicas(replicas: int) -> None:
    # 20 is the paper's number, with an error of 16 % on the error; 130 leaves a part of a batch over.
    units = 4000
    table = block_sums(sample(np.random.default_rng(7), units), 10)
    errors = np.array([bootstrap_error(table, ratio, seed=s, replicas=replicas)[0] for s in range(60)])
    expected = delta_error(table, ratio)[0]
    relative = 1 / np.sqrt(2 * (replicas - 1))
    assert errors.mean() == pytest.approx(expected, rel=4 * relative / np.sqrt(60) + 1 / 400)
    assert errors.std() / expected == pytest.approx(relative, rel=0.4)


def test_bootstrap_depends_on_the_seed_alone() -> None:
    table = block_sums(sample(np.random.default_rng(7), 500), 1)
    one, again, other = (bootstrap_error(table, ratio, seed=s, replicas=100) for s in (1, 1, 2))
    assert one == again
    assert one != other
