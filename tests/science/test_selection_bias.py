"""A flux cut biases the shear by many per cent, and its selection response takes that away (equations 16 to 18).

All galaxies have one flux but for noise, S/N = 14, so that noise and shape decide which of them pass a cut at the
median. In a survey the effect is some ten times smaller, since few galaxies are that close to a cut.
"""

from dataclasses import replace

import numpy as np
import pytest

from lensdask.random import Stream
from lensdask.shear import Observation, Selection, draw_psf, draw_stamps, measure_stamps, mock_galaxies
from lensdask.shear.calibration.estimate import Bias, bias_of_sums
from lensdask.shear.calibration.shape_sums import shape_sums
from lensdask.shear.imaging import Imaging
from lensdask.shear.noise import draw_noise
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.measurement import COLUMNS

GALAXIES, REALISATIONS, SEED = 512, 400, 7
FLUX = COLUMNS.index("flux")
BRIGHTNESS = 103.0
"""FPFS flux of all galaxies: 14 times its noise, 7.36 with the renoise."""
CUTS = ("none", "hard", "smooth")


@pytest.fixture(scope="module")
def measured() -> dict[tuple[str, bool], Bias]:
    """Return the bias under each cut, corrected for it and not.

    256 orthogonal pairs are drawn once and get new noise each time. The response is that of these very galaxies, so
    that m does not scatter with their choice, and one noise realisation of all of them is one unit of the error.
    """
    observation = Observation()
    ids = np.arange(GALAXIES)
    rows = np.repeat(mock_galaxies(SEED, np.arange(GALAXIES // 2)), 2)
    stamps = draw_stamps(rows, ids, observation, SEED)
    imaging = Imaging(draw_psf(observation), observation.pixel_scale, observation.noise_sigma)
    noiseless = measure_stamps(stamps, ids, replace(imaging, noise_sigma=0.0), find_estimator("fpfs"), seed=SEED)
    stamps *= np.float32(BRIGHTNESS / noiseless[..., FLUX].mean(axis=1))[:, None, None, None]
    tables = []
    for first in range(0, GALAXIES * REALISATIONS, GALAXIES):
        noise = draw_noise(first + ids, observation.size, observation.noise_sigma, SEED, Stream.NOISE)
        noisy = stamps + noise[:, None]
        tables.append(measure_stamps(noisy, first + ids, imaging, find_estimator("fpfs"), seed=SEED))
    table = np.concatenate(tables)
    flux = table[..., FLUX]
    cut, scatter = float(np.median(flux)), float(flux.std())
    selections = (None, Selection(above=cut), Selection(above=cut, width=scatter))
    print(f"\nmean flux / scatter = {flux.mean() / scatter:.1f}")
    results = {}
    for name, selection in zip(CUTS, selections, strict=True):
        sums = shape_sums(table, GALAXIES, selection)
        for corrected in (True, False):
            found = bias_of_sums(sums, observation.shear, seed=SEED, corrected=corrected)
            results[name, corrected] = found
            (m1, m2), (d1, d2) = found.values[:2], found.errors[:2]
            kept = found.selected / found.galaxies
            label = f"{name:6s} cut, {'corrected' if corrected else 'uncorrected':11s}"
            print(f"{label} {kept:.1%} kept, m = {m1:+.2%} ± {d1:.2%}, {m2:+.2%} ± {d2:.2%}")
    return results


@pytest.mark.science
@pytest.mark.parametrize("cut", CUTS)
def test_corrected_bias_is_consistent_with_none(measured, cut) -> None:
    result = measured[cut, True]
    assert (np.abs(result.values[:2]) < 3 * result.errors[:2]).all()
    assert (result.errors[:2] < 0.01).all()
    assert (result.errors[:2] > 1e-4).all()


@pytest.mark.science
@pytest.mark.parametrize("cut", CUTS[1:])
def test_uncorrected_bias_is_large(measured, cut) -> None:
    result = measured[cut, False]
    assert (result.values[:2] < -0.08).all()
    assert (result.errors[:2] < 0.01).all()


@pytest.mark.science
def test_the_cuts_select_half(measured) -> None:
    assert measured["none", True].selected == GALAXIES * REALISATIONS
    assert measured["hard", True].selected / (GALAXIES * REALISATIONS) == pytest.approx(0.5, abs=0.001)
    # A smooth step counts all whom it gives any weight.
    assert 0.6 < measured["smooth", True].selected / (GALAXIES * REALISATIONS) < 0.95
