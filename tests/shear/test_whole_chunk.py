"""A whole chunk with all arrays in torch, as on a GPU, gives the table of the CPU."""

import numpy as np
import pytest
import torch

from lensdask.arrays import to_torch
from lensdask.shear.imaging import imaging_of_observation
from lensdask.shear.shapes import columns, measurement
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.simulation import simulated
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import Observation
from lensdask.shear.simulation.render import render_stamps
from lensdask.shear.simulation.simulated import galaxy_source
from lensdask.shear.tasks import MeasureBias

OBSERVATIONS = {
    "independent": Observation(),
    "exchanged": Observation(noise="exchanged"),
    "correlated": Observation(noise="exchanged", noise_fwhm=0.5, noise_e1=0.2),
    "several PSFs": Observation(psfs=3, psf_scatter=0.05),
    "noiseless": Observation(noise_sigma=0.0),
    "galsim": Observation(renderer="galsim"),
}


@pytest.fixture
def all_torch(monkeypatch):
    """Hold on the CPU in torch what a GPU holds in torch."""

    def render(*arguments, device):  # noqa: ARG001  what is asked for
        return render_stamps(*arguments, device="cpu")

    def held(array, device):
        return to_torch(array, device)

    def use():
        for module in (simulated, measurement):
            monkeypatch.setattr(module, "held_on", held)
        monkeypatch.setattr(simulated, "render_stamps", render)

    return use


@pytest.mark.parametrize("name", OBSERVATIONS)
@pytest.mark.parametrize("estimator", ["fpfs", "fpfs:0.70,25", "d4cnn"])
def test_the_table_is_that_of_the_cpu(all_torch, name, estimator):
    task = MeasureBias(OBSERVATIONS[name], galaxy_source(None, 25.3), 2, find_estimator(estimator), None, 2)
    expected, sums = task(4, 10, "cpu")
    all_torch()
    found, found_sums = task(4, 10, "cpu")
    for column, values in expected.items():
        largest = max(1.0, np.abs(values).max())
        np.testing.assert_allclose(found[column], values, rtol=1e-5, atol=1e-5 * largest, err_msg=column)
    np.testing.assert_allclose(found_sums["shapes"], sums["shapes"], rtol=1e-3, atol=1e-3)


def test_measuring_keeps_full_precision(monkeypatch):
    seen = []
    backend = torch.backends.cudnn
    monkeypatch.setattr(columns, "shapes_with_response", lambda *_: seen.append(backend.allow_tf32) or 1 / 0)
    task = MeasureBias(Observation(), galaxy_source(None, 25.3), 2, find_estimator("d4cnn"), None, 2)
    before = backend.allow_tf32
    with pytest.raises(ZeroDivisionError):
        task(0, 2, "cpu")
    assert seen == [False]
    assert backend.allow_tf32 == before


def test_rounding_leaves_no_additive_bias():
    # Products must not all err to one side, as those in single precision do with the kernels of some processors: c is
    # 5e-8 then, and 1e-7 with torch's.
    observation, ids = Observation(noise_sigma=0.0), np.arange(200)
    images = render_stamps(mock_galaxies(0, ids // 2), ids, observation, 0)
    imaging = imaging_of_observation(observation, ids, 0)
    found = measurement.measure_stamps(images, ids, imaging, find_estimator("fpfs"), seed=0)
    exact = fpfs_shapes(images.reshape(-1, 64, 64).astype(float), make_moments(imaging.psf, pixel_scale=0.2))
    assert np.abs((found.reshape(-1, 10)[:, :2].T - exact[:2]).mean(axis=1)).max() < 1e-8
