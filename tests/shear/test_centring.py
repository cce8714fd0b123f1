"""Galaxies that are not in the middle of their stamps: measured about their centroids, or about known places."""

from dataclasses import replace

import galsim
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lensdask
from lensdask.arrays import to_numpy
from lensdask.compute import RunOptions
from lensdask.errors import InputError
from lensdask.fourier import wave_numbers
from lensdask.shear import make_stamps, measure
from lensdask.shear.runs import measure_run, run_bias
from lensdask.shear.shapes.centring import REACH, find_places, places_of
from lensdask.shear.shapes.deconvolution import planes_of
from lensdask.shear.shapes.fpfs import FPFS, fpfs_shapes, make_moments
from lensdask.shear.shapes.resmooth import Grid, make_resmoother, resmooth
from lensdask.shear.simulation.observation import Observation

SIZE, SCALE, STEP = 64, 0.2, 1e-3
QUIET = RunOptions(cluster="threads", workers=1, device="cpu", show_progress=False)


def moved_images(images, x, y):
    """Move images by arcsec, exactly."""
    k1, k2 = wave_numbers(SIZE, SCALE)
    phase = np.exp(-1j * (k1 * x + k2 * y))
    phase[SIZE // 2] = phase[:, -1] = 0.0  # waves that no measurement sees
    return np.fft.irfft2(np.fft.rfft2(images) * phase, s=(SIZE, SIZE))


def found_places(images, moments, renoise=None):
    planes = planes_of(images, moments.kernel, moments.kernel90, renoise)
    return find_places(planes, SCALE, moments.settings.sigma)


def recentred_shapes(images, moments, renoise=None):
    return fpfs_shapes(images, moments, renoise, places_of(found_places(images, moments, renoise)))


@pytest.fixture(scope="module")
def stamps(galaxies_under_shear):
    """Twenty galaxies, and what makes moments of an elliptical PSF."""
    images, psf = galaxies_under_shear(0.0, 0.0, 0.05, -0.03)
    return images[:20], make_moments(psf, pixel_scale=SCALE)


def test_the_centroid_is_the_summit_of_the_smoothed_galaxy(draw, tight):
    disc = galsim.Exponential(half_light_radius=0.4, gsparams=tight).shear(g1=0.2, g2=0.1)
    galaxy = (disc + 0.3 * galsim.Gaussian(sigma=0.15, gsparams=tight).shift(0.5, -0.2)).shift(0.13, 0.21)
    psf = galsim.Moffat(fwhm=0.8, beta=2.5, gsparams=tight)
    moments = make_moments(draw(psf), pixel_scale=SCALE)
    (place,) = found_places(draw(galsim.Convolve(galaxy, psf))[None], moments)
    smoothed = galsim.Convolve(galaxy, galsim.Gaussian(sigma=FPFS().sigma, gsparams=tight))
    step, (x, y) = 0.01, place[:2]
    near = smoothed.shift(-x, -y).drawImage(nx=3, ny=3, scale=step, method="no_pixel", dtype=float).array
    slopes = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
    curvatures = np.array([near[1, 2] + near[1, 0], near[2, 1] + near[0, 1]]) - 2 * near[1, 1]
    assert (curvatures < 0).all()
    assert abs(slopes / curvatures * step).max() < 2e-4


@settings(max_examples=25, deadline=None)
@given(x=st.floats(-0.6, 0.6), y=st.floats(-0.6, 0.6))
def test_where_a_galaxy_is_does_not_matter(stamps, x, y):
    images, moments = stamps
    here = recentred_shapes(images, moments)
    there = recentred_shapes(moved_images(images, x, y), moments)
    np.testing.assert_allclose(there[:6], here[:6], atol=1e-7)
    np.testing.assert_allclose(there[6:], here[6:], rtol=1e-6, atol=1e-6 * abs(here[6:]).max())
    places = found_places(moved_images(images, x, y), moments)[:, :2] - found_places(images, moments)[:, :2]
    np.testing.assert_allclose(places, np.broadcast_to([x, y], places.shape), atol=1e-6)


# A galaxy that is moved after the shear moves other pixels than a shear about the middle of the stamp does, by a
# translation: without noise no shape tells.
@pytest.mark.parametrize(("offset", "noise"), [("before the shear", 0.003), ("after the shear", 0.0)])
def test_responses_are_derivatives_of_rendered_galaxies(galaxies_under_shear, offset, noise):
    """With noise in V alone, every term has to be of the right one of V and D."""

    def drawn(g1, g2):
        images, psf = galaxies_under_shear(g1, g2, 0.0, 0.0)
        return (moved_images(images[:20], 0.11, -0.17) if offset == "after the shear" else images[:20]), psf

    clean, psf = drawn(0.0, 0.0)
    moments, grid = make_moments(psf, pixel_scale=SCALE), Grid(20, 0.4)
    resmoother = make_resmoother(psf, pixel_scale=SCALE, grid=grid)
    noisy = clean + np.random.default_rng(3).normal(size=clean.shape) * noise * clean.max(axis=(1, 2), keepdims=True)

    def both(value, response):
        image, renoise = (value + response) / 2, (value - response) / 2
        places = places_of(found_places(image, moments, renoise))
        return fpfs_shapes(image, moments, renoise, places), resmooth(image, resmoother, renoise, places)

    # The PSF is round: turned by 90 degrees it is itself, and V is the image plus the renoise.
    shapes, pixels = both(noisy, clean)
    for a, (g1, g2) in enumerate(((STEP, 0.0), (0.0, STEP))):
        change = (drawn(g1, g2)[0] - drawn(-g1, -g2)[0]) / (2 * STEP)
        (up, up_pixels), (down, down_pixels) = (both(noisy + d * change, clean) for d in (STEP, -STEP))
        for row in (0, 1):
            found = (up[row] - down[row]) / (2 * STEP)
            np.testing.assert_allclose(shapes[2 + 2 * row + a], found, atol=2e-4)
        flux = (up[6] - down[6]) / (2 * STEP)
        np.testing.assert_allclose(shapes[7 + a], flux, rtol=1e-3, atol=1e-3 * shapes[6].min())
        found = (up_pixels.value - down_pixels.value) / (2 * STEP)
        scale = abs(found).max(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose((pixels[1 + a] - found) / scale, 0.0, atol=2e-3)


def test_about_a_known_place_a_galaxy_is_what_it_is_in_the_middle(stamps):
    images, moments = stamps
    place = np.random.default_rng(4).uniform(-0.4, 0.4, (len(images), 2))
    there = np.stack([moved_images(image, *at) for image, at in zip(images, place, strict=True)])
    found = fpfs_shapes(there, moments, None, places_of(place))
    np.testing.assert_allclose(found, fpfs_shapes(images, moments), rtol=1e-6, atol=1e-7)
    assert abs(fpfs_shapes(there, moments)[:2] - found[:2]).max() > 0.01


@pytest.mark.parametrize("fault", ["blank", "another place"])
def test_without_a_centroid_the_middle_is_the_place(stamps, fault):
    images, moments = stamps
    images = -images if fault == "blank" else moved_images(images, 2.5 * REACH, 0.3)
    table = found_places(images, moments)
    assert not table.any()
    np.testing.assert_allclose(recentred_shapes(images, moments), fpfs_shapes(images, moments), rtol=1e-8, atol=1e-9)


def test_torch_equals_numpy(stamps):
    images, moments = stamps
    renoise = np.random.default_rng(5).normal(size=images.shape)
    expected = recentred_shapes(images, moments, renoise)
    tensors = {name: torch.from_numpy(getattr(moments, name)) for name in ("kernel", "kernel90")}
    found = recentred_shapes(torch.from_numpy(images), replace(moments, **tensors), torch.from_numpy(renoise))
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-9, atol=1e-9 * abs(expected).max())


@pytest.mark.parametrize(("estimator", "galaxies", "off"), [("fpfs", 120, 0.03), ("d4cnn", 120, 0.05)])
def test_cut_outs_of_whole_pixels_are_unbiased_about_their_centroids(tmp_path, estimator, galaxies, off):
    cut_out = Observation(offset="after_shear", noise_sigma=0.0)

    def bias(recentre):
        folder = tmp_path / str(recentre)
        settings = {"galaxies": galaxies, "estimator": estimator, "observation": cut_out, "seed": 7, "options": QUIET}
        return run_bias(folder, recentre=recentre, **settings).bias

    centred, middle = bias(recentre=True), bias(recentre=False)
    assert (abs(centred.values[:2]) < 1e-3 + 2 * centred.errors[:2]).all()
    assert (centred.errors[:2] < 5e-4).all()
    assert (abs(centred.values[2:4]) < 1e-7).all()
    # What that mends.
    assert (middle.values[:2] < -off).all()


def stamps_of(images, psf, **settings):
    return make_stamps(images, psf, pixel_scale=SCALE, noise_sigma=0.05, **settings)


@pytest.mark.parametrize(
    ("estimator", "way", "own_psf"),
    [
        ("fpfs", "recentre", True),
        ("fpfs:0.7,25", "offset", False),
        ("d4cnn", "recentre", False),
        ("d4cnn", "offset", True),
    ],
)
def test_all_doors_measure_about_the_same_places(tmp_path, galaxies_under_shear, estimator, way, own_psf):
    images, psf = galaxies_under_shear(0.0, 0.0, 0.0, 0.0)
    place = np.random.default_rng(6).uniform(-0.5, 0.5, (12, 2))
    there = np.stack([moved_images(i, *(SCALE * at)) for i, at in zip(images[:12], place, strict=True)])
    known, recentre = {"offset": place} if way == "offset" else {}, way == "recentre"
    response = np.stack([psf] * 12) if own_psf else psf
    stamps = stamps_of(there, response, **known)
    shapes = measure(stamps, estimator, recentre=recentre)
    paths = tmp_path / "stamps.zarr", tmp_path / "shapes.zarr"
    lensdask.write(stamps, paths[0], chunk=4)
    lazy = measure(lensdask.open(paths[0]), estimator, recentre=recentre)
    measure_run(*paths, estimator=estimator, recentre=recentre, options=QUIET)
    for other in (lazy, lensdask.open(paths[1])):
        for name in shapes.data_vars:
            np.testing.assert_array_equal(other[name].values, shapes[name].values)
    plain = measure(stamps_of(there, response), estimator)
    assert abs(plain["e1"] - shapes["e1"]).max() > 1e-3


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (np.zeros(4), "offset: shape (4,); expected (4, 2)"),
        (np.full((4, 2), np.nan), "expected a place in its stamp"),
        ([[0, 0], [0, 0], [0, 33], [0, 0]], "(0.0, 33.0) of galaxy 2; expected a place in its stamp, less than 32"),
    ],
)
def test_bad_offsets_are_refused(galaxies_under_shear, offset, message):
    images, psf = galaxies_under_shear(0.0, 0.0, 0.0, 0.0)
    with pytest.raises(InputError) as caught:
        stamps_of(images[:4], psf, offset=offset)
    assert message in str(caught.value)


def test_a_place_is_known_or_looked_for(galaxies_under_shear):
    images, psf = galaxies_under_shear(0.0, 0.0, 0.0, 0.0)
    with pytest.raises(InputError, match="recentre: the stamps have the offsets"):
        measure(stamps_of(images[:4], psf, offset=np.zeros((4, 2))), "fpfs", recentre=True)
