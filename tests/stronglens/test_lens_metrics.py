"""Metrics are what they say: against sums written out, closed forms, and calibrated toys."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from lensdask.errors import InputError
from lensdask.stronglens.evaluation.metrics import (
    accuracy,
    bootstrap_interval,
    calibration_error,
    expected_calibration_error,
    fit_calibration,
    macro_auc,
    mass_errors,
    mean_nll,
)


@pytest.fixture
def random():
    return np.random.default_rng(3)


def toy(random, count, scale=1.0):
    """Return logits, and labels drawn from the probabilities of `scale` times them."""
    logits = 1.5 * random.standard_normal((count, 3))
    cumulative = softmax(scale * logits, axis=1).cumsum(1)
    return logits, (random.random(count)[:, None] >= cumulative).sum(1).clip(0, 2)


def test_accuracy_and_likelihood_by_hand():
    probability, label = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.6, 0.4, 0.0]]), np.array([0, 2, 1])
    assert accuracy(probability, label) == pytest.approx(2 / 3)
    assert mean_nll(probability, label) == pytest.approx(-math.log(0.5 * 0.8 * 0.4) / 3)
    assert math.isfinite(mean_nll(probability, np.array([0, 2, 2])))


def test_area_is_the_share_of_ordered_pairs(random):
    probability = softmax(random.standard_normal((60, 3)), axis=1).round(1)  # with ties
    label = random.integers(3, size=60)
    areas = []
    for number in range(3):
        inside, outside = probability[label == number, number], probability[label != number, number]
        difference = inside[:, None] - outside[None, :]
        areas.append((difference > 0).mean() + (difference == 0).mean() / 2)
    assert macro_auc(probability, label) == pytest.approx(np.mean(areas))


def test_area_of_the_best_and_of_none():
    label = np.array([0, 1, 2, 0, 1, 2])
    assert macro_auc(np.eye(3)[label], label) == 1
    assert macro_auc(np.full((6, 3), 1 / 3), label) == 0.5
    with pytest.raises(InputError, match="class 2"):
        macro_auc(np.full((2, 3), 1 / 3), np.array([0, 1]))


def test_calibration_error_by_hand():
    probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.45, 0.55]])
    label = np.array([0, 1, 1, 0])
    # Bins of two: confidences 0.55, 0.6 with one right, 0.8, 0.9 with one right.
    assert calibration_error(probability, label, 2) == pytest.approx(0.5 * (0.575 - 0.5) + 0.5 * (0.85 - 0.5))
    with pytest.raises(InputError, match="bins"):
        calibration_error(probability, label, 5)


def test_a_calibrated_network_has_the_error_of_chance(random):
    logits, label = toy(random, 6000)
    probability = softmax(logits, axis=1)
    expected = expected_calibration_error(probability, seed=1, replicas=50)
    assert 0.005 < expected < 0.02
    assert calibration_error(probability, label) < 2 * expected
    assert calibration_error(softmax(3 * logits, axis=1), label) > 5 * expected


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
def test_temperature_and_offsets_are_found(random, scale):
    logits, label = toy(random, 6000, scale)
    shift = np.array([1.0, -0.4, -0.6])
    # softmax(toy) has temperature 1 / scale and no offsets; move the logits so that they need some.
    temperature, offsets = fit_calibration(logits - shift / scale, label)
    assert temperature == pytest.approx(1 / scale, rel=0.08)
    np.testing.assert_allclose(offsets, shift, atol=0.15)
    assert offsets.sum() == pytest.approx(0, abs=1e-5)
    assert calibration_error(softmax((logits - shift / scale) / temperature + offsets, axis=1), label) < 0.02


def test_the_fit_is_where_the_likelihood_is_largest(random):
    logits, label = toy(random, 2000)
    temperature, offsets = fit_calibration(logits, label)

    def cost(t, b):
        return mean_nll(softmax(logits / t + b, axis=1), label) + (b**2).sum() / 2 / len(label)

    best = cost(temperature, offsets)
    for t, b in ((1.01, 0), (0.99, 0), (1, np.array([0.02, 0, 0])), (1, np.array([0, -0.02, 0.01]))):
        assert cost(t * temperature, offsets + b) > best


def test_temperatures_end_where_networks_are_always_right():
    temperature, offsets = fit_calibration(np.eye(3), np.arange(3))
    # The likelihood hardly changes any more beyond.
    assert 0.01 <= temperature < 0.05
    np.testing.assert_allclose(offsets, 0, atol=1e-6)


def test_interval_of_a_mean(random):
    values = random.standard_normal(400)
    low, high = bootstrap_interval(lambda rows: values[rows].mean(), 400, seed=1)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert (low, high) == bootstrap_interval(lambda rows: values[rows].mean(), 400, seed=1)


def test_errors_of_masses_by_bin():
    true = np.array([-24.0, -23.6, -23.0, -22.0, -21.0])
    errors = mass_errors(true + np.array([0.1, -0.3, 0.5, 0.7, 9.0]), true, np.array([-24.0, -23.5, -23.2, -22.0]))
    assert errors.lenses.tolist() == [2, 0, 2]
    np.testing.assert_allclose(errors.rmse, [math.sqrt((0.01 + 0.09) / 2), math.nan, math.sqrt((0.25 + 0.49) / 2)])
    np.testing.assert_allclose(errors.mae, [0.2, math.nan, 0.6])


def test_errors_of_the_constant_prediction():
    true = np.linspace(-24, -22, 20001)
    errors = mass_errors(np.full_like(true, -23), true, np.array([-24.0, -22.0]))
    assert errors.rmse == pytest.approx(1 / math.sqrt(3), rel=1e-3)
    assert errors.mae == pytest.approx(0.5, rel=1e-3)
