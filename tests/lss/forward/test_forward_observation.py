import dataclasses

import numpy as np
import pytest
from device_arrays import DeviceArray
from forward_tiles import BOXES, GALAXIES, LIBRARIES, made_up_tiles, red_noise, some_samples
from scipy.ndimage import gaussian_filter

from lensdask.arrays import to_numpy
from lensdask.errors import InputError
from lensdask.lss.forward.evolution import mean_redshift
from lensdask.lss.forward.model import RELEASED, RELEASED_NON_LINEAR, ForwardModel
from lensdask.lss.forward.mosaics import mosaic, unmosaic
from lensdask.lss.forward.observation import galaxy_counts, noisy_convergence, observe
from lensdask.lss.forward.samples import draw_samples, take_tiles
from lensdask.lss.forward.smoothing import band_limited, smoothed_tiles, smoothing_sigmas
from lensdask.lss.spectra import ell_edges, power_spectra
from lensdask.sky.cosmology import MASSIVENUS, comoving_distance

MODEL = ForwardModel(side=3)
QUIET = dataclasses.replace(MODEL, counts="mean", shape_noise="none")


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        dataclasses.replace(RELEASED, side=3),
        dataclasses.replace(RELEASED_NON_LINEAR, side=3, ell_max=800.0),
        ForwardModel(side=3, bias="printed", stochasticity="exact", smoothing="comoving", lensing_scale=6.0),
    ],
    ids=["default", "released", "non-linear", "comoving"],
)
def test_samples_are_the_same_in_any_chunk_and_library(model: ForwardModel) -> None:
    tiles, samples = some_samples(model, (3, 17, 5, 2**40))
    whole = observe(tiles, samples, model, GALAXIES, 5)
    assert whole.maps.shape == (4, 8, 9, 16, 16)
    assert whole.maps.dtype == np.float32
    tiles, samples = some_samples(model, (17,))
    one = observe(tiles, samples, model, GALAXIES, 5)
    np.testing.assert_array_equal(one.maps[0], whole.maps[1])
    np.testing.assert_array_equal(one.empty[0], whole.empty[1])
    other = observe(LIBRARIES["torch"](tiles), samples, model, GALAXIES, 5)
    # A rounding may move a pixel to the next count.
    differ = abs(to_numpy(other.maps) - one.maps) > 1e-4
    assert differ.mean() < 2e-3
    np.testing.assert_allclose(to_numpy(other.empty), one.empty, atol=1e-3)
    again = observe(tiles, samples, model, GALAXIES, 6)
    assert not np.allclose(again.maps, one.maps, atol=0.1)


def test_arrays_of_a_device_stay_there() -> None:
    tiles, samples = some_samples(MODEL)
    np.testing.assert_array_equal(take_tiles(DeviceArray(made_up_tiles()), samples).held, tiles)
    # In double precision no rounding moves a pixel to the next count.
    tiles = tiles.astype(np.float64)
    seen = observe(DeviceArray(tiles), samples, MODEL, GALAXIES, 5)
    maps = observe(tiles, samples, MODEL, GALAXIES, 5).maps
    np.testing.assert_allclose(seen.maps.held, maps, atol=1e-9)
    np.testing.assert_allclose(power_spectra(seen.maps, 4.6875).held, power_spectra(maps, 4.6875), rtol=1e-9)


@pytest.mark.parametrize(("probe", "channels"), [("lensing", slice(0, 4)), ("clustering", slice(4, 8))])
def test_probes_share_their_galaxies(probe: str, channels: slice) -> None:
    tiles, samples = some_samples(MODEL)
    both = observe(tiles, samples, MODEL, GALAXIES, 5)
    one = observe(tiles, samples, dataclasses.replace(MODEL, probe=probe), GALAXIES, 5)
    np.testing.assert_array_equal(one.maps, both.maps[:, channels])
    np.testing.assert_array_equal(one.empty, both.empty)


def test_without_noise_maps_are_what_the_equations_say() -> None:
    tiles, samples = some_samples(QUIET)
    theta = samples.theta.copy()
    theta[:, 2:] = [2.0, 1.2, 1.0, 0.0, 0.0]
    samples = samples._replace(theta=theta)
    tiles = tiles.astype(np.float64) * np.array([1, 1, 0.2]).reshape(-1, 1, 1, 1, 1)
    maps = observe(tiles, samples, QUIET, GALAXIES, 5).maps
    kappa = tiles[:, 0] + 2 * tiles[:, 1]
    kappa = (kappa - kappa.mean(axis=(-2, -1), keepdims=True)) / np.hypot(0.005, 0.4 / QUIET.mean_count**0.5)
    full = 1 + tiles[:, 2]
    delta = 1.2 * (full / full.mean(axis=(-2, -1), keepdims=True) - 1)
    sigmas = np.array(smoothing_sigmas(QUIET, GALAXIES)) / QUIET.pixel_scale
    for i, field in enumerate([*kappa.swapaxes(0, 1), *delta.swapaxes(0, 1)]):
        blurred = gaussian_filter(field, sigma=(0, 0, sigmas[i], sigmas[i]), mode="constant", truncate=9)
        np.testing.assert_allclose(maps[:, i], blurred, atol=1e-9)


@pytest.mark.parametrize("noise", ["printed", "released"])
def test_variance_of_the_shape_noise(noise: str) -> None:
    model = dataclasses.replace(MODEL, shape_noise=noise, density=0.2)
    nothing = np.zeros((1, 4, 9, 64, 64))
    _, samples = some_samples(model, (17,))
    counts = galaxy_counts(nothing + 0.8 * np.tanh(red_noise(1, 4, 9, 64, 64)), samples, model, GALAXIES, 5)
    kappa = noisy_convergence(nothing, nothing, counts, samples, model, GALAXIES, 5)
    seen = counts > 0
    if noise == "printed":
        assert (kappa[~seen] == 0).all()
        assert kappa[seen].var() == pytest.approx(0.16 * (1 / counts[seen]).mean(), rel=0.02)
    else:
        assert kappa.var() == pytest.approx(0.16 * (1 / (counts + 1)).mean(), rel=0.02)
    empty = observe(np.stack([nothing] * 3, axis=1), samples, model, GALAXIES, 5).empty
    np.testing.assert_allclose(empty, np.exp(-model.mean_count), atol=0.005)


def test_neighbouring_parameters_share_their_noise() -> None:
    tiles, samples = some_samples(MODEL, (17,))
    theta = np.repeat(samples.theta, 2, axis=0)
    theta[:, 3] = 1.5, 1.51
    two = type(samples)(*(np.repeat(each, 2, axis=0) for each in samples))._replace(theta=theta)
    low, high = galaxy_counts(np.repeat(tiles[:, 2], 2, axis=0), two, MODEL, GALAXIES, 5)
    assert (high - low).var() < 0.05 * low.mean()


@pytest.mark.parametrize("library", LIBRARIES)
def test_smoothing_is_that_of_scipy(library: str) -> None:
    maps = red_noise(2, 3, 4, 24, 32)
    sigmas = (2.5, 9.8, 0.0)
    smooth = to_numpy(smoothed_tiles(LIBRARIES[library](maps), sigmas, 4.6875))
    for channel, sigma in enumerate(sigmas):
        width = (0, 0, sigma / 4.6875, sigma / 4.6875)
        expected = gaussian_filter(maps[:, channel], width, mode="constant", truncate=9)
        np.testing.assert_allclose(smooth[:, channel], expected, atol=1e-9)


def test_smoothing_scales() -> None:
    assert smoothing_sigmas(MODEL, GALAXIES) == (4.8, 3.5, 2.8, 2.5, 9.8, 7.4, 6.0, 5.6)
    small = ForwardModel(probe="clustering", clustering_scale=4.0)
    assert smoothing_sigmas(small, GALAXIES) == (4.8, 3.5, 2.8, 2.5)
    comoving = ForwardModel(probe="lensing", smoothing="comoving", lensing_scale=5.0)
    cosmology = dataclasses.replace(MASSIVENUS, omega_m=0.2915)
    distance = comoving_distance(mean_redshift(GALAXIES), cosmology) * cosmology.h
    full = np.degrees(5.0 / np.sqrt(8 * np.log(2)) / distance) * 60
    expected = np.sqrt(full**2 - 4.6875**2 / 12)
    np.testing.assert_allclose(smoothing_sigmas(comoving, GALAXIES), expected, rtol=1e-6)
    tiny = dataclasses.replace(comoving, lensing_scale=0.1)
    assert smoothing_sigmas(tiny, GALAXIES) == (0, 0, 0, 0)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_limit_in_ell_is_strict(library: str) -> None:
    maps = red_noise(1, 1, 5, 64, 64)
    limited = to_numpy(band_limited(LIBRARIES[library](maps), 720.0, 4.6875))
    before, after = (power_spectra(each, 4.6875)[0, 0] for each in (maps, limited))
    inside = ell_edges(64, 4.6875)[1:] < 721
    np.testing.assert_allclose(after[inside], before[inside], rtol=1e-10)
    np.testing.assert_allclose(after[~inside], 0, atol=1e-20)


@pytest.mark.parametrize("library", LIBRARIES)
def test_mosaic_and_back(library: str) -> None:
    maps = red_noise(2, 3, 36, 6, 4)
    whole = mosaic(LIBRARIES[library](maps))
    assert tuple(whole.shape) == (2, 3, 36, 24)
    np.testing.assert_array_equal(to_numpy(whole)[:, :, 6:12, 8:12], maps[:, :, 8])
    np.testing.assert_array_equal(to_numpy(unmosaic(whole, 6)), maps)


def bad(field: int, value: float) -> np.ndarray:
    tiles, _ = some_samples(MODEL)
    tiles[1, field, 2, 3, 4, 5] = value
    return tiles


TILES, SAMPLES = some_samples(MODEL)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: observe(bad(0, np.nan), SAMPLES, MODEL, GALAXIES, 1), "not finite"),
        (lambda: observe(bad(2, np.inf), SAMPLES, MODEL, GALAXIES, 1), "not finite"),
        (lambda: observe(TILES[:1], SAMPLES, MODEL, GALAXIES, 1), "tiles: shape"),
        (lambda: observe(TILES, SAMPLES, ForwardModel(), GALAXIES, 1), "tiles: shape"),
        (lambda: observe(TILES, SAMPLES, MODEL, GALAXIES, 1.5), "seed"),
        (lambda: observe(TILES, SAMPLES._replace(theta=9 * SAMPLES.theta), MODEL, GALAXIES, 1), "omega_m"),
        (lambda: mosaic(TILES[:, 0, :, :8]), "expected a square number"),
        (lambda: unmosaic(TILES[:, 0, 0], 5), "expected multiples of 5"),
    ],
)
def test_bad_input_is_named_in_one_line(call, words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_a_mosaic_is_made_from_tiles_of_its_box() -> None:
    samples = draw_samples([17], BOXES, QUIET, 5, {"a_ia": 0.0})
    tiles = made_up_tiles()
    maps = observe(take_tiles(tiles, samples), samples, QUIET, GALAXIES, 5).maps
    own = tiles[samples.box[0], samples.tile[0], 0, 0]
    for place, flip in enumerate(samples.flip[0]):
        turned = np.flip(own[place], axis=tuple(np.flatnonzero(flip)))
        expected = smoothed_tiles((turned - turned.mean())[None, None, None], (4.8,), QUIET.pixel_scale)
        correlation = np.corrcoef(maps[0, 0, place].ravel(), expected.ravel())[0, 1]
        assert correlation == pytest.approx(1, abs=1e-5)
