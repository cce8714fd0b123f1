"""The signs of the renoise: plus in the values, minus in the responses. Any other choice biases the shear."""

import numpy as np
import pytest

from lensdask.conventions import LSST_Y10_NOISE
from lensdask.random import Stream
from lensdask.shear.noise import draw_noise
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import Observation, draw_psf, draw_stamps

G = 0.02
POSES, REALISATIONS, AT_ONCE = 16, 6000, 500
METHODS = ("opposite signs", "same sign", "no renoise")


def faint_galaxy() -> np.ndarray:
    """Return the row of a disc of magnitude 26 and half-light radius 0.3 arcsec, S/N about 5."""
    row = np.zeros(1, mock_galaxies(1, np.arange(1)).dtype)
    row["fluxnorm_disk"], row["i_ab"] = 1, 26
    row["a_d"], row["b_d"] = 0.3 / np.sqrt(0.7), 0.3 * np.sqrt(0.7)
    return row


def shapes_of(method: str, images: np.ndarray, renoise: np.ndarray, moments: object) -> np.ndarray:
    """Measure with the signs as they are, as printed (equations 3 and 14), or without renoise."""
    if method == "opposite signs":
        return fpfs_shapes(images, moments, renoise)
    # The PSF is round, so that the turned one is the same: renoise with one sign is more noise in the image.
    return fpfs_shapes(images + renoise if method == "same sign" else images, moments)


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[float, float]]:
    """Return m and its error for each method: eight orthogonal pairs, each with 6000 pairs of noise images.

    A noise realisation is common to the sheared versions of a galaxy, and those are one unit of the error.
    """
    observation = Observation(shear=G)
    ids = np.arange(POSES)
    stamps = draw_stamps(np.repeat(faint_galaxy(), POSES), ids, observation, 4)
    psf = draw_psf(observation)
    moments = make_moments(psf, pixel_scale=observation.pixel_scale)
    sums: dict[str, list[np.ndarray]] = {method: [] for method in METHODS}
    for start in range(0, POSES * REALISATIONS, AT_ONCE):
        block = np.arange(start, start + AT_ONCE)
        noise, renoise = (
            draw_noise(block, observation.size, LSST_Y10_NOISE, 4, s) for s in (Stream.NOISE, Stream.RENOISE)
        )
        for method in METHODS:
            total = np.zeros(2)
            for i in range(2):
                plus, minus = (
                    shapes_of(method, stamps[block % POSES, v] + noise, renoise, moments) for v in (2 * i, 2 * i + 1)
                )
                total += [(plus[i] - minus[i]).sum(), G * (plus[2 + 3 * i] + minus[2 + 3 * i]).sum()]
            sums[method].append(total)
    results = {}
    for method, blocks in sums.items():
        table = np.array(blocks)
        signal, response = table.sum(axis=0)
        m = signal / response - 1
        scatter = table[:, 0] - (1 + m) * table[:, 1]
        results[method] = (m, float(np.sqrt((scatter**2).sum()) / response))
        print(f"\n{method:15s} m = {100 * m:+6.2f} ± {100 * results[method][1]:.2f} %", end="")
    return results


@pytest.mark.science
def test_test_is_sharp_enough(measured) -> None:
    assert all(0 < error < 0.025 for _, error in measured.values())


@pytest.mark.science
def test_opposite_signs_are_unbiased(measured) -> None:
    m, error = measured["opposite signs"]
    assert abs(m) < 3 * error


@pytest.mark.science
@pytest.mark.parametrize("method", METHODS[1:])
def test_other_choices_are_biased(measured, method) -> None:
    m, error = measured[method]
    assert m < -5 * error
