"""A neighbour as bright as the galaxy, 3 arcsec away: what it does to response, shape noise and m."""

import numpy as np
import pytest
from blended_scenes import FOUR_SHEARS, OBSERVATION, measured, multiplicative_bias, response_and_noise, scenes

ESTIMATORS = ("fpfs", "d4cnn", "d4cnn-wide")


@pytest.fixture(scope="module")
def noiseless():
    """Return m and its errors without noise, by estimator and neighbour."""
    found = {}
    for neighbour in ("none", "shared", "still"):
        stamps = scenes(600, 24.5, neighbour, FOUR_SHEARS)
        for estimator in ESTIMATORS:
            m, error = found[estimator, neighbour] = multiplicative_bias(measured(stamps, estimator, 0.0))
            numbers = ", ".join(f"m{i + 1} = {m[i]:+.1e} ± {error[i]:.0e}" for i in (0, 1))
            print(f"{estimator}, 1200 galaxies i < 24.5, no noise, neighbour {neighbour}: {numbers}")
    return found


@pytest.mark.science
def test_m_of_the_wide_network(noiseless):
    for neighbour in ("none", "shared"):
        m, error = noiseless["d4cnn-wide", neighbour]
        assert (np.abs(m) < 1e-3 + 2 * error).all()
    m, error = noiseless["d4cnn-wide", "still"]
    fpfs, _ = noiseless["fpfs", "still"]
    assert np.abs(m.mean()) < 1.5 * np.abs(fpfs.mean()) + 2 * np.hypot(*error) / 2
    assert (noiseless["d4cnn", "still"][0] > 0.1).all()


@pytest.mark.science
def test_response_and_shape_noise_with_a_neighbour():
    loss = {}
    alone, beside = (scenes(2000, 25.3, neighbour, [(0.0, 0.0)]) for neighbour in ("none", "shared"))
    for estimator in ESTIMATORS:
        found = [response_and_noise(measured(stamps, estimator, OBSERVATION.noise_sigma)) for stamps in (alone, beside)]
        (R, noise), (their_R, their_noise) = (values for values, _ in found)
        loss[estimator] = their_R / R, their_noise / noise
        print(
            f"{estimator}, 4000 galaxies i < 25.3, year-10 noise: <R> {R:.3f}, {their_R:.3f} with a neighbour; "
            f"shape noise {noise:.4f} ± {found[0][1][1]:.4f}, {their_noise:.4f} ± {found[1][1][1]:.4f} with it"
        )
    response, noise = loss["d4cnn-wide"]
    assert response > 0.9
    assert noise < 1.1
    response, noise = loss["d4cnn"]
    assert response < 0.7
    assert noise > 1.3
