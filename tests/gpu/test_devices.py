"""The same numbers on a GPU as on the CPU. Not run where there is none: pytest -m gpu --require-gpu."""

import numpy as np
import pytest

from lensdask.random import Stream
from lensdask.shear import Imaging, Observation, draw_psf, draw_stamps, find_estimator, measure_stamps, mock_galaxies
from lensdask.shear.noise import draw_noise
from lensdask.shear.shapes.resmooth import Grid, make_resmoother, resmooth

pytestmark = pytest.mark.gpu

IDS = np.arange(32)


@pytest.fixture(scope="module")
def stamps():
    observation = Observation()
    images = draw_stamps(np.repeat(mock_galaxies(3, IDS[: len(IDS) // 2]), 2), IDS, observation, 3)[:, 0]
    return images + draw_noise(IDS, observation.size, observation.noise_sigma, 3, Stream.NOISE)


@pytest.mark.parametrize("name", ["d4cnn", "fpfs"])
def test_shapes_agree(cuda, stamps, name):
    observation = Observation()
    imaging = Imaging(draw_psf(observation), observation.pixel_scale, observation.noise_sigma)
    here, there = (
        measure_stamps(stamps, IDS, imaging, find_estimator(name), seed=0, device=device) for device in ("cpu", cuda)
    )
    np.testing.assert_allclose(there, here, rtol=1e-4, atol=2e-5)


@pytest.mark.usefixtures("cuda")
def test_resmoothing_agrees_with_cupy(stamps):
    cupy = pytest.importorskip("cupy")
    resmoother = make_resmoother(draw_psf(Observation()), pixel_scale=0.2, grid=Grid(32, 0.4))
    here = resmooth(stamps.astype(np.float64), resmoother)
    there = resmooth(cupy.asarray(stamps.astype(np.float64)), resmoother)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(cupy.asnumpy(b), a, rtol=1e-9, atol=1e-9)
