"""Images of every class and preset are those of lenstronomy."""

from dataclasses import replace

import numpy as np
import pytest
from lens_oracle import imaging_of, lenses_of

from lensdask.stronglens.simulation.imaging import lensed_images
from lensdask.stronglens.simulation.presets import CLASSES, PRESETS, SURVEYS, Signal

POINTS = {"deeplensesim": "as-coded", "physical": Signal(fraction=5e-4, vortex="points")}
"""lenstronomy has no line; and one subhalo after another takes it long."""


def differences(name, preset, ids, signal):
    """Return the largest difference over the peak: double precision without and with PSF, single precision with it."""
    sharp = replace(SURVEYS["euclid"], psf_fwhm=0.0)
    lenses, found = lenses_of(name, preset, "euclid", ids, signal), []
    for survey, precision in ((sharp, np.float64), (SURVEYS["euclid"], np.float64), (SURVEYS["hst"], np.float32)):
        expected = np.stack([imaging_of(lenses, i, survey)() for i in range(len(ids))])
        images = lensed_images(lenses, survey, 64, np.zeros(1, precision))
        assert images.dtype == precision
        found.append(abs(images - expected).max() / expected.max())
    return found


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", CLASSES)
def test_images(name, preset):
    pytest.importorskip("lenstronomy")
    sharp, blurred, single = differences(name, preset, np.arange(2), POINTS[preset])
    assert sharp < 1e-8
    assert blurred < 3e-5
    assert single < 3e-5


@pytest.mark.science
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", CLASSES)
def test_many_images(name, preset):
    pytest.importorskip("lenstronomy")
    signal = Signal(vortex="points") if preset == "physical" else "as-coded"
    sharp, blurred, single = differences(name, preset, np.arange(64), signal)
    print(f"{preset}, {name}: {sharp:.1e} of the peak, with PSF {blurred:.1e}, in single precision {single:.1e}")
    assert sharp < 1e-8
    assert max(blurred, single) < 3e-5


def test_cameras():
    """The numbers of Euclid are those of an older version; pixels, PSF and read noise have not changed."""
    pytest.importorskip("lenstronomy")
    from lenstronomy.SimulationAPI.ObservationConfig.Euclid import Euclid
    from lenstronomy.SimulationAPI.ObservationConfig.HST import HST

    names = {"pixel_scale": "pixel_scale", "seeing": "psf_fwhm", "read_noise": "read_noise"}
    more = {"magnitude_zero_point": "zero_point", "sky_brightness": "sky", "exposure_time": "exposure"}
    euclid = Euclid(band="VIS", psf_type="GAUSSIAN", coadd_years=6).kwargs_single_band()
    hst = HST(band="WFC3_F160W", psf_type="GAUSSIAN").kwargs_single_band()
    for theirs, ours in names.items():
        assert euclid[theirs] == getattr(SURVEYS["euclid"], ours)
    for theirs, ours in (names | more).items():
        assert hst[theirs] == getattr(SURVEYS["hst"], ours)
