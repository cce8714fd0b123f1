"""A network behind another resmoothing kernel than that of its training: the response is that of this kernel."""

from functools import cache

import numpy as np
import pytest

from lensdask.errors import InputError
from lensdask.shear import Observation, draw_stamps, find_estimator, measure_stamps, mock_galaxies
from lensdask.shear.imaging import imaging_of_observation

IDS = np.arange(0, 48, 2)
STEP = 0.005


@cache
def measured(estimator):
    """Return columns of noiseless galaxies under g1 = -STEP, 0, +STEP, shape (galaxy, shear, column)."""
    observation = Observation(noise_sigma=0.0)
    shears = np.array([[-STEP, 0.0], [0.0, 0.0], [STEP, 0.0]])
    stamps = draw_stamps(mock_galaxies(3, IDS), IDS, observation, 3, shears)
    imaging = imaging_of_observation(observation, IDS, 3)
    return measure_stamps(stamps, IDS, imaging, find_estimator(estimator), seed=3)


@pytest.mark.parametrize("estimator", ["d4cnn:0.765", "d4cnn:0.935"])
def test_response_is_the_finite_difference(estimator):
    columns = measured(estimator)
    difference = (columns[:, 2, 0] - columns[:, 0, 0]) / (2 * STEP)
    response = columns[:, 1, 2]
    # Galaxies of GalSim's default accuracy, third-order shear.
    np.testing.assert_allclose(response, difference, atol=5e-3 * np.abs(difference).max())
    assert np.mean(response) == pytest.approx(np.mean(difference), rel=1e-3)


def test_width_of_the_training_is_the_default():
    np.testing.assert_array_equal(measured("d4cnn:0.85"), measured("d4cnn"))
    assert np.abs(measured("d4cnn:0.935") - measured("d4cnn")).max() > 1e-3


@pytest.mark.parametrize("name", ["d4cnn:wide", "d4cnn:", "d4cnn:-1", "d4cnn:inf", "d4cnn:nan", "d4cnn:0", "d4cnn:1e9"])
def test_bad_width(name):
    with pytest.raises(InputError, match="expected NETWORK:FWHM"):
        find_estimator(name)


def test_path_may_have_a_colon():
    with pytest.raises(InputError, match=r"a:1/b\.json cannot be read"):
        find_estimator("a:1/b.safetensors")
