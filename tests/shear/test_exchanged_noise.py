"""Exchanged noise: each galaxy by itself has noise like any other, but the noise of m cancels in a pair."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lensdask
from lensdask.data import SHAPES
from lensdask.errors import InputError
from lensdask.shear import Observation, RunOptions, measure_run, run_bias, simulate_run
from lensdask.shear.calibration.estimate import BIAS_QUANTITIES, bias_of_sums, shape_sums
from lensdask.shear.imaging import imaging_of_observation
from lensdask.shear.noise import Noise, draw_image_noise, draw_renoise, gaussian_correlation
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.shapes.measurement import measure_stamps
from lensdask.shear.shapes.resmooth import make_resmoother, resmooth
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import draw_psf, draw_stamps, four_shears
from lensdask.shear.simulation.simulated import observed_stamps

G = 0.02
QUIET = RunOptions(show_progress=False)
PSFS = {"round": {}, "elliptical": {"psf_e1": 0.1, "psf_e2": -0.05}}
OPPOSITE = [1, 0, 3, 2]
"""The shear version with the opposite shear."""


def turned(images: np.ndarray) -> np.ndarray:
    """Turn as the second galaxy of a pair is turned, from x to y."""
    return np.rot90(images, axes=(-1, -2))


@pytest.fixture(scope="module", params=["white", "correlated"])
def law(request) -> Noise:
    correlation = gaussian_correlation(8, 0.2, 0.3, 0.4, 0.2) if request.param == "correlated" else None
    return Noise(0.5, correlation, "exchanged")


@pytest.mark.parametrize("member", [0, 1])
def test_each_member_has_noise_like_any_other(law, member) -> None:
    # All moments of the 64 pixels of image noise and the 64 of renoise, over galaxies that are one member of a pair.
    ids = np.arange(member, 16_000, 2)
    drawn = np.concatenate([draw(ids, 8, law, 3).reshape(len(ids), -1) for draw in (draw_image_noise, draw_renoise)], 1)
    C = np.zeros((8, 8)) if law.correlation is None else law.correlation
    if law.correlation is None:
        C[0, 0] = 1
    lag = (np.arange(8)[:, None] - np.arange(8)) % 8
    # Covariance of pixels (y, x) and (v, u) is C[y - v, x - u]; of the renoise C[x - u, v - y].
    image = C[lag[:, None, :, None], lag[None, :, None, :]].reshape(64, 64)
    second = C[lag[None, :, None, :], lag.T[:, None, :, None]].reshape(64, 64)
    expected = 0.25 * np.block([[image, np.zeros((64, 64))], [np.zeros((64, 64)), second]])
    scatter = 0.25 / np.sqrt(len(ids))
    assert np.abs(drawn.mean(axis=0)).max() < 5 * 0.5 / np.sqrt(len(ids))
    assert np.abs(np.cov(drawn.T) - expected).max() < 6 * np.sqrt(2) * scatter
    kurtosis = (drawn**4).mean(axis=0) / 0.5**4
    assert np.abs(kurtosis - 3).max() < 6 * np.sqrt(96 / len(ids))


def test_the_first_member_keeps_its_noise_and_any_order_of_ids_does() -> None:
    ids = np.array([7, 0, 1, 12, 13])
    own, pairs = Noise(1.0), Noise(1.0, of_pairs="exchanged")
    for draw, other in ((draw_image_noise, draw_renoise), (draw_renoise, draw_image_noise)):
        noise = draw(ids, 16, pairs, 5)
        np.testing.assert_array_equal(noise[[1, 3]], draw(ids[[1, 3]], 16, own, 5))
        np.testing.assert_array_equal(noise[[0, 2, 4]], turned(other(ids[[0, 2, 4]] - 1, 16, own, 5)))
        np.testing.assert_array_equal(noise[2:3], draw(ids[2:3], 16, pairs, 5))


def pairs_of(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return catalogue rows and ids of pairs."""
    return np.repeat(mock_galaxies(seed, np.arange(count)), 2), np.arange(2 * count)


@pytest.mark.parametrize("psf", PSFS)
def test_resmoothed_images_of_a_pair_are_turned_with_their_noise(psf) -> None:
    observation = Observation(noise="exchanged", **PSFS[psf])
    rows, ids = pairs_of(4)
    galaxies = draw_stamps(rows, ids, observation, 1).astype(float)
    imaging = imaging_of_observation(observation, ids, 1)
    noise, second = (draw(ids, 64, imaging.noise, 1).astype(float) for draw in (draw_image_noise, draw_renoise))
    resmoother = make_resmoother(imaging.psf, pixel_scale=0.2)
    # Version 0, shear (+g, 0), of the first members, and version 1 of the second ones.
    images = np.where(ids[:, None, None] % 2, galaxies[:, 1], galaxies[:, 0])
    full, alone = resmooth(images + noise, resmoother, second), resmooth(noise, resmoother, second)
    scale = full.value.std()
    # The galaxies are drawn in single precision, and the rim of the stamp cuts the wings of an elliptical PSF.
    np.testing.assert_allclose(full.value[1::2], turned(full.value[::2]), rtol=0, atol=2e-3 * scale)
    middle = (slice(None), slice(16, 48), slice(16, 48))
    difference = (full.value[1::2] - turned(full.value[::2]))[middle]
    assert np.abs(difference).max() < 1e-4 * scale
    np.testing.assert_allclose(alone.value[1::2], turned(alone.value[::2]), rtol=0, atol=1e-11 * scale)
    # Under a turn g changes sign, and so do the responses; here the noise of the response changes sign once more.
    for found in (alone.dg1, alone.dg2):
        np.testing.assert_allclose(found[1::2], turned(found[::2]), rtol=0, atol=1e-10 * np.abs(found).max())


@pytest.mark.parametrize("psf", PSFS)
@pytest.mark.parametrize("estimator", ["fpfs", "d4cnn"])
def test_ellipticities_of_a_pair_are_opposite(psf, estimator) -> None:
    observation = Observation(noise="exchanged", **PSFS[psf])
    rows, ids = pairs_of(8)
    images = observed_stamps(rows, ids, observation, 1)
    imaging = imaging_of_observation(observation, ids, 1)
    table = measure_stamps(images, ids, imaging, find_estimator(estimator), seed=1)
    first, second = table[::2], table[1::2, OPPOSITE]
    assert np.abs(first[..., :2]).mean() > 0.01
    np.testing.assert_allclose(second[..., :2], -first[..., :2], rtol=0, atol=2e-6)


def test_without_symmetry_of_the_psf_pairs_do_not_cancel(skew_psf) -> None:
    # The identity asks that half a turn leaves the PSF; the law of the noise of each galaxy does not.
    law, ids = Noise(0.594, of_pairs="exchanged"), np.arange(8)
    noise, second = draw_image_noise(ids, 64, law, 1), draw_renoise(ids, 64, law, 1)
    value = resmooth(noise, make_resmoother(skew_psf / skew_psf.sum(), pixel_scale=0.2), second).value
    assert np.abs(value[1::2] - turned(value[::2])).max() > 0.1 * value.std()


def test_mean_response_of_a_pair_is_the_derivative_of_the_noisy_ellipticity() -> None:
    # Oracle: render the first galaxy under g + h and g - h, with the same two noise images.
    observation, h = Observation(noise="exchanged"), 2e-3
    rows, ids = pairs_of(6)
    psf = draw_psf(observation)
    moments = make_moments(psf, pixel_scale=0.2)
    law = imaging_of_observation(observation, ids, 1).noise
    noise, second = (draw(ids, 64, law, 1) for draw in (draw_image_noise, draw_renoise))

    def shapes(shears: np.ndarray, members: slice) -> list[np.ndarray]:
        images = draw_stamps(rows[members], ids[members], observation, 1, shears) + noise[members, None]
        return [fpfs_shapes(images[:, v], moments, second[members]) for v in range(len(shears))]

    first, other = slice(0, None, 2), slice(1, None, 2)
    for i, direction in enumerate(np.eye(2)):
        up, down, here = shapes(np.array([G + h, G - h, G])[:, None] * direction, first)
        opposite = shapes(np.array([[-G]]) * direction, other)[0]
        derivative = (up[i] - down[i]) / (2 * h)
        R, R_opposite = here[2 + 3 * i], opposite[2 + 3 * i]
        assert np.abs(R - derivative).mean() > 0.1  # noise that a single response has
        np.testing.assert_allclose((R + R_opposite) / 2, derivative, rtol=2e-3, atol=2e-4)


def bias_of(images, ids, imaging, galaxies_per_block: int = 2):
    table = measure_stamps(images, ids, imaging, find_estimator("fpfs"), seed=2)
    return bias_of_sums(shape_sums(table, galaxies_per_block), G, seed=0, replicas=200)


@pytest.fixture(scope="module")
def faint() -> np.ndarray:
    """Return noiseless stamps, small ones, of 4 pairs of a galaxy of magnitude 26 under the four shears."""
    row = np.zeros(8, mock_galaxies(1, np.arange(1)).dtype)
    row["fluxnorm_disk"], row["i_ab"] = 1, 26
    row["a_d"], row["b_d"] = 0.3 / np.sqrt(0.7), 0.3 * np.sqrt(0.7)
    return draw_stamps(row, np.arange(8), Observation(size=32), 4)


def noisy_bias(faint: np.ndarray, mode: str, count: int, factor: float):
    """Return the bias of FPFS that takes the noise for `factor` times what it is."""
    ids = np.arange(count)
    true = Observation(noise=mode, size=32)
    law = imaging_of_observation(true, ids, 2).noise
    wrong = replace(true, noise_sigma=factor * true.noise_sigma)
    imaging = imaging_of_observation(wrong, ids, 2)
    tables = []
    for some in np.split(ids, count // 1000):
        images = faint[some % 8] + draw_image_noise(some, 32, law, 2)[:, None]
        tables.append(shape_sums(measure_stamps(images, some, imaging, find_estimator("fpfs"), seed=2), 20))
    return bias_of_sums(np.concatenate(tables), G, seed=0, replicas=200)


@pytest.mark.parametrize("factor", [0.0, 0.5])
def test_a_wrong_noise_level_shows_as_with_independent_noise(faint, factor) -> None:
    exchanged, independent = (noisy_bias(faint, mode, 12_000, factor) for mode in ("exchanged", "independent"))
    for i in range(2):
        assert abs(exchanged.values[i]) > 5 * exchanged.errors[i]
        assert independent.errors[i] < abs(exchanged.values[i]) / 2.5
        assert abs(exchanged.values[i] - independent.values[i]) < 3 * independent.errors[i]


def test_offset_after_shear_keeps_its_bias() -> None:
    rows, ids = pairs_of(150)
    found = {}
    for sigma in (0.0, Observation().noise_sigma):
        observation = Observation(noise="exchanged", offset="after_shear", noise_sigma=sigma)
        images = observed_stamps(rows, ids, observation, 2)
        found[sigma] = bias_of(images, ids, imaging_of_observation(observation, ids, 2))
    quiet, noisy = found.values()
    assert (np.abs(quiet.values[:2] + 0.05) < 0.015).all()
    assert (np.abs(noisy.values[:2] + 0.05) < 0.015).all()
    assert (noisy.errors[:2] < 0.005).all()


def test_errors_shrink_and_the_bias_is_of_third_order() -> None:
    rows, ids = pairs_of(150)
    errors = {}
    for mode in ("independent", "exchanged"):
        observation = Observation(noise=mode)
        images = observed_stamps(rows, ids, observation, 2)
        outcome = bias_of(images, ids, imaging_of_observation(observation, ids, 2))
        errors[mode] = outcome.errors
    for name in ("m1", "m2", "c1", "c2"):
        i = BIAS_QUANTITIES.index(name)
        assert errors["exchanged"][i] < errors["independent"][i] / 100
    # m / g² is 0.78 without noise, and of that order with it.
    assert (np.abs(outcome.values[:2] / G**2 - 0.78) < 0.5).all()
    assert (np.abs(outcome.values[2:4]) < 1e-6).all()


@pytest.mark.parametrize("settings", [{}, {"noise_fwhm": 0.4, "noise_e1": 0.3}, {"psfs": 3, "psf_scatter": 0.05}])
def test_a_store_is_measured_with_the_noise_that_it_was_simulated_with(tmp_path: Path, settings) -> None:
    observation = Observation(noise="exchanged", size=32, **settings)
    simulate_run(tmp_path / "stamps.zarr", galaxies=24, observation=observation, seed=3, chunk=5, options=QUIET)
    stamps = lensdask.open(tmp_path / "stamps.zarr")
    np.testing.assert_array_equal(np.stack([stamps["g1"], stamps["g2"]], -1), four_shears(G))
    measure_run(tmp_path / "stamps.zarr", tmp_path / "shapes.zarr", estimator="fpfs", options=QUIET)
    run_bias(tmp_path / "bias", galaxies=24, estimator="fpfs", observation=observation, seed=3, options=QUIET)
    lazy = lensdask.shear.measure(stamps, "fpfs").compute(scheduler="synchronous")
    SHAPES.validate(lazy)
    found, expected = (lensdask.open(tmp_path / p).compute() for p in ("shapes.zarr", "bias/shapes.zarr"))
    for name in SHAPES.variables:
        np.testing.assert_array_equal(found[name], expected[name])
        np.testing.assert_array_equal(lazy[name], expected[name])
    pairs = found["e1"].values.reshape(12, 2, 4)
    np.testing.assert_allclose(pairs[:, 1, OPPOSITE], -pairs[:, 0], rtol=0, atol=1e-3)


def test_unknown_noise_is_refused() -> None:
    with pytest.raises(InputError, match=r"^noise: 'swapped'; expected independent or exchanged$"):
        Observation(noise="swapped")
