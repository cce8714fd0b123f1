from collections.abc import Callable
from dataclasses import replace

import galsim
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.conventions import LSST_Y10_NOISE, flux_from_magnitude
from lensdask.errors import InputError
from lensdask.random import Stream
from lensdask.shear.noise import draw_noise
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import (
    Observation,
    distortion_labels,
    draw_psf,
    draw_stamps,
    four_shears,
)
from lensdask.shear.simulation.render import render_stamps
from lensdask.shear.simulation.simulated import observed_stamps

IDS = np.arange(12)
ROWS = np.repeat(mock_galaxies(3, np.arange(6)), 2)
NOISELESS = Observation(noise_sigma=0.0)
NO_SHEAR = np.zeros((1, 2))


def discs(axis_ratios: list[float], *, size: float = 0.5, magnitude: float = 20.0, bulge: float = 0.0) -> np.ndarray:
    """Catalogue rows of galaxies of one size and angle."""
    rows = np.zeros(len(axis_ratios), ROWS.dtype)
    rows["fluxnorm_disk"], rows["fluxnorm_bulge"] = 1 - bulge, bulge
    q = np.array(axis_ratios)
    rows["a_d"], rows["b_d"] = size / np.sqrt(q), size * np.sqrt(q)
    rows["a_b"], rows["b_b"], rows["pa_bulge"] = rows["a_d"], rows["b_d"], 30.0
    rows["pa_disk"], rows["i_ab"] = 30.0, magnitude
    return rows


@pytest.fixture(scope="module")
def observed() -> np.ndarray:
    return observed_stamps(ROWS, IDS, Observation(), 3)


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, len(IDS)), max_size=3))
def test_any_split_of_ids_gives_identical_pixels(observed: np.ndarray, cuts: list[int]) -> None:
    parts = [observed_stamps(ROWS[i], i, Observation(), 3) for i in np.split(IDS, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(parts), observed)


@pytest.mark.parametrize("offset", ["before_shear", "after_shear", "none"])
def test_second_of_a_pair_is_the_first_one_turned(offset) -> None:
    images = draw_stamps(ROWS, IDS, Observation(noise_sigma=0.0, offset=offset), 3, NO_SHEAR)[:, 0]
    peak = images[::2].max(axis=(1, 2), keepdims=True)
    # Anticlockwise, y upwards: rot90 from the last axis (x) to the one before it.
    turned, wrong_way = (np.rot90(images[::2], 1, axes=axes) for axes in ((2, 1), (1, 2)))
    assert np.abs((images[1::2] - turned) / peak).max() < 1e-6
    # Without an offset both ways agree, by the symmetry of a galaxy under half a turn.
    difference = np.abs((images[1::2] - wrong_way) / peak).max()
    assert difference < 1e-6 if offset == "none" else difference > 1e-2


def test_shears_of_a_turned_galaxy_are_turned_too() -> None:
    # The second of a pair under -g is the first one under +g, turned: what makes pairs cancel shape noise.
    images = draw_stamps(ROWS, IDS, NOISELESS, 3)
    turned = np.rot90(images[::2, [1, 0, 3, 2]], 1, axes=(3, 2))
    peak = images[::2].max(axis=(1, 2, 3), keepdims=True)
    assert np.abs((images[1::2] - turned) / peak).max() < 1e-6


def test_four_shears_share_one_noise_and_pairs_do_not(observed) -> None:
    noise = observed - draw_stamps(ROWS, IDS, Observation(), 3)
    rounding = 1e-6 * np.abs(observed).max()
    np.testing.assert_allclose(noise, np.broadcast_to(noise[:, :1], noise.shape), rtol=0, atol=rounding)
    flat = noise[:, 0].reshape(len(IDS), -1)
    correlation = np.corrcoef(flat)[np.triu_indices(len(IDS), 1)]
    assert np.abs(correlation).max() < 5 / 64  # standard deviation 1/64 for 64² pixels


def test_noise_has_its_variance_and_its_stream() -> None:
    noise = draw_noise(np.arange(200), 64, LSST_Y10_NOISE, 1, Stream.NOISE)
    pixels = noise.size
    assert noise.dtype == np.float32
    assert noise.mean() == pytest.approx(0, abs=5 * LSST_Y10_NOISE / np.sqrt(pixels))
    assert noise.var(dtype=np.float64) == pytest.approx(LSST_Y10_NOISE**2, rel=5 * np.sqrt(2 / pixels))
    # White: neighbours are uncorrelated.
    for one, two in ((noise[:, 1:], noise[:, :-1]), (noise[:, :, 1:], noise[:, :, :-1])):
        assert abs(np.mean(one * two)) < 5 * LSST_Y10_NOISE**2 / np.sqrt(pixels)
    renoise = draw_noise(np.arange(200), 64, LSST_Y10_NOISE, 1, Stream.RENOISE)
    assert abs(np.mean(noise * renoise)) < 5 * LSST_Y10_NOISE**2 / np.sqrt(pixels)


def test_noiseless_observation_has_no_noise() -> None:
    by_galsim = replace(NOISELESS, renderer="galsim")
    np.testing.assert_array_equal(observed_stamps(ROWS, IDS, by_galsim, 3), draw_stamps(ROWS, IDS, NOISELESS, 3))
    np.testing.assert_array_equal(observed_stamps(ROWS, IDS, NOISELESS, 3), render_stamps(ROWS, IDS, NOISELESS, 3))


def centroid(image: np.ndarray) -> np.ndarray:
    """Weighted centroid (x, y) in arcsec from the centre of the stamp."""
    moments = galsim.hsm.FindAdaptiveMom(galsim.Image(image.astype(float), scale=0.2))
    position = moments.moments_centroid  # pixels counted from 1
    return (np.array([position.x, position.y]) - 32.5) * 0.2


@pytest.mark.parametrize("offset", ["before_shear", "after_shear", "none"])
def test_kinds_of_offset(offset) -> None:
    g = 0.1
    rows = discs([1.0] * 8)
    observation = Observation(noise_sigma=0.0, offset=offset)
    ids = np.arange(0, 16, 2)
    still, sheared = draw_stamps(rows, ids, observation, 5, np.array([[0, 0], [g, 0]])).swapaxes(0, 1)
    before, after = (np.array([centroid(i) for i in images]) for images in (still, sheared))
    if offset == "none":
        assert np.abs([before, after]).max() < 1e-4
        return
    # Offsets fill (-1/2, 1/2) pixel; GalSim's reduced shear has unit determinant.
    assert np.abs(before).max() < 0.1 + 1e-3
    assert np.abs(before).max() > 0.05
    stretch = np.array([1 + g, 1 - g]) / np.sqrt(1 - g**2) if offset == "before_shear" else np.ones(2)
    np.testing.assert_allclose(after, before * stretch, atol=5e-4)


def test_offsets_and_angles_are_uniform() -> None:
    rows, ids = discs([0.5] * 300), np.arange(0, 600, 2)
    e = distortion_labels(rows, ids, NOISELESS, 1)
    phase = np.arctan2(e[:, 1], e[:, 0]) / (2 * np.pi) % 1
    # Kolmogorov-Smirnov: beyond 1.95 / sqrt(n) with a chance of 1e-3.
    gaps = np.abs(np.sort(phase) - (np.arange(300) + 0.5) / 300)
    assert gaps.max() < 1.95 / np.sqrt(300)


def moments(image: np.ndarray) -> complex:
    shape = galsim.hsm.FindAdaptiveMom(galsim.Image(image.astype(float), scale=0.2)).observed_shape
    return complex(shape.e1, shape.e2)


@pytest.mark.parametrize("bulge", [0.0, 0.3], ids=["disc", "disc_and_bulge"])
def test_distortion_label_is_that_of_galsims_moments(bulge) -> None:
    # Oracle: adaptive moments of a bright, hardly smeared galaxy. The pixel makes them a little rounder.
    q = [0.9, 0.75, 0.6, 0.45, 0.3]
    rows, ids = discs(q, size=0.8, bulge=bulge), np.arange(0, 10, 2)
    observation = Observation(noise_sigma=0.0, psf_fwhm=0.1, offset="none")
    labels = distortion_labels(rows, ids, observation, 9) @ np.array([1, 1j])
    np.testing.assert_allclose(np.abs(labels), [(1 - v**2) / (1 + v**2) for v in q], rtol=1e-5)
    measured = np.array([moments(i[0]) for i in draw_stamps(rows, ids, observation, 9, NO_SHEAR)])
    ratio = measured / labels
    # One angle and one size: the same sign in each component, and as monotonic as the labels.
    assert np.abs(np.angle(ratio)).max() < 0.02
    assert (np.abs(ratio) > 0.8).all()
    assert (np.abs(ratio) < 1.02).all()
    assert (np.diff(np.abs(measured)) > 0.05).all()


def test_label_weighs_components_by_their_light() -> None:
    rows = discs([0.5], bulge=0.25)
    rows["a_b"] = rows["b_b"] = 0.3  # a round bulge dilutes the distortion of the disc
    ids = np.array([0])
    label = distortion_labels(rows, ids, NOISELESS, 1)
    np.testing.assert_allclose(label, 0.75 * distortion_labels(discs([0.5]), ids, NOISELESS, 1), rtol=1e-6)


def test_labels_of_a_pair_are_opposite() -> None:
    labels = distortion_labels(ROWS, IDS, NOISELESS, 3)
    np.testing.assert_allclose(labels[1::2], -labels[::2], atol=1e-7)


@pytest.mark.parametrize("magnitude", [18.0, 22.5, 25.3])
def test_flux_is_that_of_the_magnitude(magnitude) -> None:
    rows = discs([0.7], size=0.2, magnitude=magnitude, bulge=0.2)
    flux = draw_stamps(rows, np.array([0]), NOISELESS, 1, NO_SHEAR).sum(dtype=np.float64)
    # The wings of the Moffat and of the bulge leave 0.3 % outside the stamp.
    assert flux == pytest.approx(flux_from_magnitude(magnitude), rel=6e-3)
    assert flux_from_magnitude(magnitude) == pytest.approx(3631e9 * 10 ** (-0.4 * magnitude) / 3.631, rel=1e-6)


def test_shear_has_the_sign_of_the_conventions() -> None:
    # g1 > 0 stretches along x, g2 > 0 along x = y.
    rows, ids = discs([1.0]), np.array([0])
    images = draw_stamps(rows, ids, Observation(noise_sigma=0.0, shear=0.1, offset="none"), 1)[0]
    e = np.array([moments(i) for i in images])
    np.testing.assert_allclose(e[[1, 3]], -e[[0, 2]], atol=1e-4)
    assert e[0].real > 0.05
    assert abs(e[0].imag) < 1e-4
    assert e[2].imag > 0.05
    assert abs(e[2].real) < 1e-4
    np.testing.assert_array_equal(four_shears(0.1), [[0.1, 0], [-0.1, 0], [0, 0.1], [0, -0.1]])


@pytest.mark.parametrize("e", [(0.0, 0.0), (0.02, -0.02)], ids=["round", "elliptical"])
def test_psf_is_centred_normalised_and_has_its_ellipticity(e) -> None:
    psf = draw_psf(Observation(psf_e1=e[0], psf_e2=e[1]))
    assert psf.sum() == pytest.approx(1, abs=2e-3)
    np.testing.assert_allclose(psf, psf[::-1, ::-1], atol=1e-7)
    np.testing.assert_allclose(centroid(psf), 0, atol=1e-5)
    assert abs(moments(psf) - complex(*e)) < 2e-3


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("noise_sigma", -1.0, "noise_sigma"),
        ("noise_sigma", float("nan"), "noise_sigma"),
        ("size", 63, "size"),
        ("size", 0, "size"),
        ("shear", 0.0, "shear"),
        ("shear", 0.7, "shear"),
        ("psf_e1", 1.0, "PSF ellipticity"),
        ("psf_e1", 0.99, "PSF ellipticity"),
        ("noise_sigma", 1e30, "noise_sigma"),
        ("noise_fwhm", 13.0, "noise_fwhm"),
    ],
)
def test_impossible_observations_are_refused_in_one_line(setting: str, value: float, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}: .*; expected [^\n]*$"):
        Observation(**{setting: value})


def test_pixels_do_not_depend_on_the_number_of_shears(observed: np.ndarray) -> None:
    make: Callable = draw_stamps
    one = make(ROWS, IDS, NOISELESS, 3, four_shears(0.02)[2:3])
    np.testing.assert_array_equal(one[:, 0], make(ROWS, IDS, NOISELESS, 3)[:, 2])
    assert observed.dtype == one.dtype == np.float32
