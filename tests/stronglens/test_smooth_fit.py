"""Smooth lenses fitted to images: derivatives, what is found, and what is left."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import lensdask
from lensdask.compute import RunOptions
from lensdask.data import load_weights
from lensdask.errors import InputError
from lensdask.stronglens import fit_run, read_recipe, simulate, simulate_run, train
from lensdask.stronglens.fitting.fit import fit_smooth
from lensdask.stronglens.fitting.run import kept_residuals
from lensdask.stronglens.fitting.smooth import (
    PARAMETERS,
    smooth_images,
    smooth_images_and_derivatives,
    vector_of,
)
from lensdask.stronglens.simulation.imaging import lensed_images, noise_variance, noisy
from lensdask.stronglens.simulation.lenses import draw_lenses
from lensdask.stronglens.simulation.presets import PRESETS, SURVEYS

EUCLID, PHYSICAL = SURVEYS["euclid"], PRESETS["physical"]
QUIET = RunOptions(show_progress=False)


def drawn(count, seed=1):
    return draw_lenses(np.arange(count), PHYSICAL, EUCLID, seed)


@pytest.fixture(scope="module")
def seen():
    """Return smooth lenses, their images without noise, and with it."""
    lenses = drawn(24)
    images = lensed_images(lenses, EUCLID, 64, np.zeros(1, np.float32))
    return lenses, images, noisy(images, EUCLID, np.arange(24), 3)


def test_images_are_those_of_the_simulator():
    lenses = drawn(4)
    made = smooth_images(torch.from_numpy(vector_of(lenses)), EUCLID, 32).numpy()
    expected = lensed_images(lenses, EUCLID, 32, np.zeros(1))
    np.testing.assert_allclose(made, expected, atol=1e-9 * expected.max())


@pytest.mark.parametrize("name", PARAMETERS)
def test_derivatives_are_those_of_differences(name):
    vector, step = torch.from_numpy(vector_of(drawn(4))), 1e-5
    moved = torch.zeros(len(PARAMETERS), dtype=torch.float64)
    moved[PARAMETERS.index(name)] = step
    more, less = (smooth_images(vector + sign * moved, EUCLID, 32) for sign in (1, -1))
    _, derivatives = smooth_images_and_derivatives(vector, EUCLID, 32)
    error = derivatives[PARAMETERS.index(name)] - (more - less) / (2 * step)
    # Of the lens's ellipticity and of the index they are differences themselves.
    assert error.abs().max() < 1e-3 * (more - less).abs().max() / (2 * step)


def test_fits_of_smooth_lenses_leave_the_noise(seen):
    lenses, images, data = seen
    found = fit_smooth(data, EUCLID)
    truth = ((data - images) ** 2 / noise_variance(images, EUCLID)).sum((1, 2))
    # Twelve numbers are fitted to the noise: what is left is less by a chi-squared of 12, never more.
    gained = truth - found.chi2
    assert gained.min() > -1
    assert abs(gained.mean() - 12) < 4 * np.sqrt(2 * 12 / len(gained)) + 1
    assert abs(found.residual.std() - 1) < 0.02
    theta_e = found.parameters[:, PARAMETERS.index("theta_e")]
    assert np.abs(theta_e / lenses.macro.theta_e - 1).max() < 0.02


def test_a_lens_is_fitted_the_same_with_any_others(seen):
    whole, part = fit_smooth(seen[2], EUCLID), fit_smooth(seen[2][19:21], EUCLID)
    np.testing.assert_array_equal(part.residual, whole.residual[19:21])
    np.testing.assert_array_equal(part.parameters, whole.parameters[19:21])


def test_substructure_is_left_over():
    lenses = simulate(images=18, signal="as-coded", seed=4)
    chi2 = fit_smooth(lenses["image"].values, EUCLID).chi2
    none, cdm, vortex = (chi2[lenses["label"].values == label] for label in range(3))
    assert none.max() < 64**2 + 4 * np.sqrt(2) * 64
    assert np.median(cdm) > 5000 > np.median(vortex) > none.max()


def test_hopeless_images_are_fitted_without_harm():
    empty, negative = np.zeros((1, 64, 64), np.float32), np.full((1, 64, 64), -5.0, np.float32)
    assert np.isfinite(fit_smooth(np.concatenate([empty, negative]), EUCLID).residual).all()


def test_trainings_with_kept_fits_and_without_are_the_same(tmp_path):
    lenses, fits = tmp_path / "lenses.zarr", tmp_path / "fits.zarr"
    simulate_run(lenses, images=36, size=32, options=QUIET)
    fit_run(lenses, fits, chunk=20, options=QUIET)
    recipe = replace(read_recipe("lens-tiny"), inputs=("image", "residual"))
    assert recipe.network.maps == 2
    paths = [tmp_path / f"{name}.safetensors" for name in ("kept", "fitted")]
    for path, given in zip(paths, (fits, None), strict=True):
        train(path, recipe, lenses=lenses, fits=given, device="cpu")
    kept, fitted = map(load_weights, paths)
    assert all(torch.equal(kept[name], fitted[name]) for name in kept)


def test_fits_of_other_lenses_are_refused(tmp_path):
    for seed in range(2):
        simulate_run(tmp_path / f"{seed}.zarr", images=4, size=16, seed=seed, options=QUIET)
    fit_run(tmp_path / "0.zarr", tmp_path / "fits.zarr", options=QUIET)
    with pytest.raises(InputError, match="fits of other lenses"):
        kept_residuals(tmp_path / "fits.zarr", lensdask.open(tmp_path / "1.zarr"))
    with pytest.raises(InputError, match=r"survey: pixels of 0\.08 arcsec; expected 0\.101"):
        fit_run(tmp_path / "0.zarr", tmp_path / "more.zarr", survey="hst", options=QUIET)
    assert not (tmp_path / "more.zarr").exists()


def test_no_inputs_are_refused():
    with pytest.raises(InputError, match="inputs: sky; expected some of image, residual"):
        replace(read_recipe("lens-tiny"), inputs=("sky",))
