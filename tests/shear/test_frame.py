"""Pixels that are turned, mirrored, oblong or sheared against the sky: the same shapes, in the frame of the sky."""

import galsim
import numpy as np
import pytest

from lensdask.errors import InputError
from lensdask.random import Stream
from lensdask.shear import make_stamps, measure
from lensdask.shear.frame import onto_sky
from lensdask.shear.noise import draw_noise

SIZE, SCALE = 64, 0.2
TURN = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
FRAMES = {
    "turned": SCALE * TURN,
    "mirrored": SCALE * np.diag([-1.0, 1.0]),
    "quarter": SCALE * np.array([[0.0, -1.0], [1.0, 0.0]]),
    "oblong": SCALE * np.diag([1.025, 1 / 1.025]),
    "sheared": SCALE * np.array([[1.02, 0.03], [0.03, 0.9813]]),
    "turned, mirrored and oblong": SCALE * TURN @ np.diag([-1.03, 1 / 1.03]),
}
G = np.array([0.03, -0.02])


def galaxies(count, g):
    """Profiles in pairs, west and north as x and y, and their PSF."""
    rng, pairs = np.random.default_rng(8), []
    for _ in range(count // 2):
        disc = galsim.Exponential(half_light_radius=rng.uniform(0.2, 0.6), flux=400).shear(
            q=rng.uniform(0.3, 0.9), beta=rng.uniform(0, np.pi) * galsim.radians
        )
        pairs += [disc.rotate(angle * galsim.degrees).shear(g1=g[0], g2=g[1]) for angle in (0, 90)]
    return pairs, galsim.Moffat(fwhm=0.8, beta=2.5).shear(e1=0.06, e2=-0.04)


def drawn(profile, jacobian, size=SIZE, x=0.0, y=0.0):
    wcs = galsim.JacobianWCS(*np.asarray(jacobian).ravel())
    return profile.drawImage(nx=size, ny=size, wcs=wcs, offset=(x, y), dtype=np.float64).array


def stamps_of(pixels, g=G, count=24, shift=None, **options):
    profiles, psf = galaxies(count, g)
    places = np.zeros((count, 2)) if shift is None else shift
    images = [
        drawn(galsim.Convolve(profile, psf), pixels, x=x, y=y) for profile, (x, y) in zip(profiles, places, strict=True)
    ]
    options = {"noise_sigma": 0.0, "jacobian": pixels} | options
    return make_stamps(np.array(images), drawn(psf, pixels), pixel_scale=SCALE, **options)


def shear_of(shapes):
    R = np.array([[float(shapes[f"de{i}_dg{j}"].mean()) for j in (1, 2)] for i in (1, 2)])
    return np.linalg.solve(R, [float(shapes[f"e{i}"].mean()) for i in (1, 2)])


# Of these 24 galaxies; the network's m is small in the mean of many.
@pytest.mark.parametrize(("estimator", "m"), [("fpfs", 0.006), ("d4cnn", 0.02)])
def test_a_known_shear_comes_out_in_the_frame_of_the_sky(estimator, m):
    straight = shear_of(measure(stamps_of(SCALE * np.eye(2), jacobian=None), estimator))
    np.testing.assert_allclose(straight, G, rtol=m)
    for name, jacobian in FRAMES.items():
        found = shear_of(measure(stamps_of(jacobian), estimator))
        np.testing.assert_allclose(found, straight, atol=1e-3 * np.hypot(*G), err_msg=name)


def test_without_a_jacobian_turned_pixels_give_another_shear():
    found = shear_of(measure(stamps_of(FRAMES["turned"], jacobian=None), "fpfs"))
    assert np.abs(found - G).max() > 0.5 * np.hypot(*G)


@pytest.mark.parametrize("name", FRAMES)
def test_images_are_those_that_galsim_draws_on_the_sky(name):
    profiles, psf = galaxies(6, G)
    convolved = [galsim.Convolve(profile, psf) for profile in profiles]
    # Pixels of both frames would differ: the same round one for both.
    convolved = [galsim.Convolve(each, galsim.Gaussian(fwhm=0.2)) for each in convolved]

    def at(jacobian):
        wcs = galsim.JacobianWCS(*np.asarray(jacobian).ravel())
        return np.array(
            [each.drawImage(nx=SIZE, ny=SIZE, wcs=wcs, method="no_pixel", dtype=np.float64).array for each in convolved]
        )

    found, expected = onto_sky(at(FRAMES[name]), FRAMES[name], SCALE), at(SCALE * np.eye(2))
    inner = np.s_[:, 12:-12, 12:-12]
    assert np.abs(found - expected)[inner].max() < 2e-3 * expected.max()
    assert np.abs(at(FRAMES[name]) - expected)[inner].max() > 0.01 * expected.max()


def test_a_jacobian_of_each_galaxy_is_the_common_one():
    jacobian = FRAMES["turned, mirrored and oblong"]
    common = stamps_of(jacobian, count=4)
    own = stamps_of(jacobian, count=4, jacobian=np.repeat(jacobian[None], 4, axis=0))
    # One PSF on pixels of one kind stays one.
    assert own["psf"].shape == (1, SIZE, SIZE)
    np.testing.assert_allclose(own["image"], common["image"], atol=1e-6)
    np.testing.assert_allclose(measure(own, "fpfs")["e1"], measure(common, "fpfs")["e1"], atol=1e-6)


def test_places_turn_with_the_pixels():
    jacobian = FRAMES["turned, mirrored and oblong"]
    shift = np.random.default_rng(2).uniform(-0.5, 0.5, (6, 2))
    centred = measure(stamps_of(jacobian, count=6), "fpfs")
    moved = measure(stamps_of(jacobian, count=6, shift=shift, offset=shift), "fpfs")
    for name in ("e1", "e2", "de1_dg1", "flux"):
        np.testing.assert_allclose(moved[name], centred[name], rtol=2e-3, atol=2e-4)


def test_white_noise_stays_white_where_galaxies_are_seen():
    ids = np.arange(400)
    noise = draw_noise(ids, SIZE, 1.0, 5, Stream.NOISE)
    moved = onto_sky(noise, FRAMES["sheared"], SCALE)
    power = (np.abs(np.fft.rfft2(moved)) ** 2).mean(axis=0) / SIZE**2
    kx, ky = np.fft.rfftfreq(SIZE), np.fft.fftfreq(SIZE)[:, None]
    k = np.hypot(kx, ky)
    inner = power[(k > 0.03) & (k < 0.4)]
    # What leaves a stamp at one side comes in at the other, which whitens nothing and correlates neighbours in k.
    assert inner.mean() == pytest.approx(1.0, abs=0.01)
    assert inner.std() < 0.12


def test_correlated_noise_keeps_its_correlation_on_the_sky():
    x = np.fft.fftfreq(SIZE, 1 / SIZE)
    jacobian, width = FRAMES["turned, mirrored and oblong"], 0.5

    def correlation(matrix):
        lag = np.einsum("ij,jyx->iyx", matrix, np.stack(np.broadcast_arrays(x, x[:, None])))
        return np.exp(-((lag[0] / 1.4) ** 2 + lag[1] ** 2) / 2 / width**2)

    found = stamps_of(jacobian, count=2, noise_sigma=0.5, noise_correlation=correlation(jacobian))
    np.testing.assert_allclose(found["noise_correlation"], correlation(SCALE * np.eye(2)), atol=2e-3)


@pytest.mark.parametrize(
    ("jacobian", "message"),
    [
        (np.eye(3), r"jacobian: shape \(3, 3\); expected \(2, 2\) or \(4, 2, 2\)"),
        (np.eye(2), "square root of its determinant is 1 arcsec, pixel_scale 0.2"),
        (SCALE * np.diag([3.0, 1 / 3]), "expected nearly square ones"),
        (np.zeros((2, 2)), "expected nearly square ones|determinant"),
        (np.full((2, 2), np.nan), "not finite"),
    ],
)
def test_what_is_no_jacobian(jacobian, message):
    with pytest.raises(InputError, match=message):
        stamps_of(SCALE * np.eye(2), count=4, jacobian=jacobian)


def test_each_galaxy_its_jacobian_and_one_correlation_do_not_go_together():
    lag = np.fft.fftfreq(SIZE, 1 / SIZE)
    correlation = np.exp(-(lag**2 + lag[:, None] ** 2) / 8)
    own = np.repeat(SCALE * np.eye(2)[None], 4, axis=0)
    with pytest.raises(InputError, match="one of each galaxy with noise_correlation"):
        stamps_of(SCALE * np.eye(2), count=4, jacobian=own, noise_sigma=1.0, noise_correlation=correlation)
