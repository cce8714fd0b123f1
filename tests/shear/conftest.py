"""Fixtures of the shear tests: galaxies drawn once, and functions that draw more."""

from collections.abc import Callable
from functools import cache

import galsim
import numpy as np
import pytest

from lensdask.shear.imaging import Imaging
from lensdask.shear.shapes.estimator import Estimator
from lensdask.shear.shapes.measurement import measure_stamps
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import Observation, draw_psf, draw_stamps

SIZE, SCALE = 64, 0.2

TIGHT = galsim.GSParams(folding_threshold=1e-4, maxk_threshold=1e-5, kvalue_accuracy=1e-7)
"""Accuracy of the rendering where pixels are compared to 1e-5: GalSim's defaults are good to 1e-3."""

Draw = Callable[[galsim.GSObject], np.ndarray]


@pytest.fixture(scope="session")
def tight() -> galsim.GSParams:
    return TIGHT


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draw a profile on a 64 x 64 stamp in double precision."""

    def drawn(profile: galsim.GSObject) -> np.ndarray:
        return profile.drawImage(nx=SIZE, ny=SIZE, scale=SCALE, dtype=np.float64).array

    return drawn


@pytest.fixture(scope="session")
def skew_psf(draw: Draw) -> np.ndarray:
    """PSF without any symmetry."""
    core = galsim.Moffat(fwhm=0.7, beta=3).shear(e1=0.1, e2=0.05)
    return draw(0.7 * core + 0.3 * core.shift(0.15, 0.25))


@pytest.fixture(scope="session")
def galaxies_under_shear(draw: Draw) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Re-render fifty bulge-and-disc galaxies under any shear: stamps (50, 64, 64) and PSF."""
    rng = np.random.default_rng(50)
    rows = rng.uniform([1.5, 0.2, 0.0, 0.3, 0, -0.1, -0.1], [3.5, 0.5, 0.6, 1.0, np.pi, 0.1, 0.1], (50, 7))

    @cache
    def rendered(g1: float, g2: float, e1: float, e2: float) -> tuple[np.ndarray, np.ndarray]:
        psf = galsim.Moffat(fwhm=0.8, beta=2.5, gsparams=TIGHT).shear(e1=e1, e2=e2)
        stamps = []
        for log_flux, size, bulge, q, angle, dx, dy in rows:
            disc = galsim.Exponential(half_light_radius=size, flux=1 - bulge, gsparams=TIGHT)
            core = galsim.DeVaucouleurs(half_light_radius=0.7 * size, flux=bulge, gsparams=TIGHT)
            galaxy = (disc.shear(q=q, beta=angle * galsim.radians) + core) * 10**log_flux
            stamps.append(draw(galsim.Convolve(galaxy.shift(dx, dy).shear(g1=g1, g2=g2), psf)))
        return np.array(stamps), draw(psf)

    return rendered


@pytest.fixture(scope="session")
def noiseless_table() -> Callable[..., np.ndarray]:
    """Measure 200 orthogonal pairs of noiseless galaxies, ids 0 to 399, under the four shears.

    The galaxies are those of the mock of seed 1 unless other rows, one per pair, are given.
    """
    ids = np.arange(400)
    mock = mock_galaxies(1, np.arange(200))

    @cache
    def stamps_of(observation: Observation, own: bytes | None) -> np.ndarray:
        rows = mock if own is None else np.frombuffer(own, mock.dtype)
        return draw_stamps(np.repeat(rows, 2), ids, observation, 1)

    def measured(chosen: Estimator, rows: np.ndarray | None = None, **settings: object) -> np.ndarray:
        observation = Observation(noise_sigma=0.0, **settings)
        stamps = stamps_of(observation, None if rows is None else rows.tobytes())
        imaging = Imaging(draw_psf(observation), observation.pixel_scale, 0.0)
        return measure_stamps(stamps, ids, imaging, chosen, seed=1)

    return measured
