"""Correlated elliptical noise biases neither m nor c, if the renoise has its correlation function turned by 90°."""

import numpy as np
import pytest

from lensdask.random import Stream
from lensdask.shear.noise import draw_image_noise, draw_noise, draw_renoise
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import Observation, draw_psf, draw_stamps, noise_of

G = 0.02
POSES, REALISATIONS, AT_ONCE = 16, 6000, 500
OBSERVATION = Observation(size=32, noise_sigma=0.15, noise_fwhm=0.6, noise_e1=0.6)
METHODS = ("turned", "not turned", "white")
SEED = 6


def faint_stamps() -> np.ndarray:
    """Return a disc of magnitude 26 and half-light radius 0.3 arcsec in eight orthogonal pairs, without noise."""
    row = np.zeros(POSES, mock_galaxies(1, np.arange(1)).dtype)
    row["fluxnorm_disk"], row["i_ab"] = 1, 26
    row["a_d"], row["b_d"] = 0.3 / np.sqrt(0.7), 0.3 * np.sqrt(0.7)
    return draw_stamps(row, np.arange(POSES), OBSERVATION, 4)


def renoise_of(method: str, ids: np.ndarray) -> np.ndarray:
    if method == "white":
        return draw_noise(ids, OBSERVATION.size, OBSERVATION.noise_sigma, SEED, Stream.RENOISE)
    turned = draw_renoise(ids, OBSERVATION.size, noise_of(OBSERVATION), SEED)
    return turned if method == "turned" else np.ascontiguousarray(np.rot90(turned, axes=(1, 2)))


def block_of(stamps: np.ndarray, noise: np.ndarray, renoise: np.ndarray, moments: object) -> np.ndarray:
    """Return the sums of e(+g) - e(-g), e(+g) + e(-g) and R(+g) + R(-g), shape (component, 3)."""
    shapes = [fpfs_shapes(stamps[:, v] + noise, moments, renoise) for v in range(4)]
    rows = []
    for i in range(2):
        plus, minus = shapes[2 * i], shapes[2 * i + 1]
        rows.append(
            [(plus[i] - minus[i]).sum(), (plus[i] + minus[i]).sum(), (plus[2 + 3 * i] + minus[2 + 3 * i]).sum()]
        )
    return np.array(rows)


def bias_of(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (m, c) of both components and their errors, shape (component, 2), by the delta method."""
    difference, total, response = np.moveaxis(blocks, -1, 0)
    values = np.stack([difference.sum(0) / (G * response.sum(0)) - 1, total.sum(0) / response.sum(0)], axis=-1)
    scatter = np.stack([(difference - G * (1 + values[:, 0]) * response) / G, total - values[:, 1] * response], axis=-1)
    return values, np.sqrt((scatter**2).sum(axis=0)) / np.abs(response.sum(0))[:, None]


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    moments = make_moments(draw_psf(OBSERVATION), pixel_scale=OBSERVATION.pixel_scale)
    stamps, law = faint_stamps(), noise_of(OBSERVATION)
    blocks: dict[str, list[np.ndarray]] = {method: [] for method in METHODS}
    for start in range(0, POSES * REALISATIONS, AT_ONCE):
        ids = np.arange(start, start + AT_ONCE)
        noise = draw_image_noise(ids, OBSERVATION.size, law, SEED)
        for method in METHODS:
            blocks[method].append(block_of(stamps[ids % POSES], noise, renoise_of(method, ids), moments))
    results = {method: bias_of(np.array(table)) for method, table in blocks.items()}
    for method, (value, error) in results.items():
        for i in range(2):
            m, c = (f"{100 * v:+.2f} ± {100 * s:.2f} %" for v, s in zip(value[i], error[i], strict=True))
            print(f"\n{method:12s} m{i + 1} = {m}   c{i + 1} = {c}", end="")
    return results


@pytest.mark.science
def test_test_is_sharp_enough(measured) -> None:
    assert (measured["turned"][1][:, 0] < 0.01).all()


@pytest.mark.science
def test_turned_renoise_is_unbiased(measured) -> None:
    values, errors = measured["turned"]
    assert (np.abs(values) < 3.5 * errors).all()


@pytest.mark.science
def test_renoise_that_is_not_turned_leaves_an_additive_bias(measured) -> None:
    values, errors = measured["not turned"]
    assert abs(values[0, 1]) > 6 * errors[0, 1]


@pytest.mark.science
def test_white_renoise_biases_both(measured) -> None:
    values, errors = measured["white"]
    assert (values[:, 0] < -4 * errors[:, 0]).all()
    assert abs(values[0, 1]) > 4 * errors[0, 1]
