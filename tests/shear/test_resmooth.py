from collections.abc import Callable

import galsim
import numpy as np
import pytest
import torch

from lensdask.arrays import to_numpy
from lensdask.fourier import coordinates
from lensdask.shear.shapes.deconvolution import truncated_inverse
from lensdask.shear.shapes.resmooth import Grid, Resmoothed, make_resmoother, resmooth

SCALE = 0.2
FINE, COARSE = Grid(64, 0.2), Grid(32, 0.4)
STEP = 1e-3
ROUND, ELLIPTICAL = (0.0, 0.0), (0.02, -0.02)
LIBRARIES = {"numpy": np.asarray, "torch": torch.from_numpy}


@pytest.fixture(scope="module")
def rendered(draw: Callable, tight: galsim.GSParams) -> Callable:
    """Return a galaxy and its PSF under a shear, drawn anew: the oracle of the response."""
    drawn: dict[tuple, np.ndarray] = {}

    def stamp(kind: str, e: tuple[float, float], shear: tuple[float, float] | None) -> np.ndarray:
        key = (kind, e, shear)
        if key not in drawn:
            beta, size = (5.0, 0.3) if kind == "inside" else (2.5, 0.4)
            psf = galsim.Moffat(fwhm=0.8, beta=beta, gsparams=tight).shear(e1=e[0], e2=e[1])
            disc = galsim.Exponential(half_light_radius=size, flux=200.0, gsparams=tight)
            if shear is None:
                drawn[key] = draw(psf)
            else:
                galaxy = disc.shear(g1=0.2, g2=0.1).shift(0.05, -0.03).shear(g1=shear[0], g2=shear[1])
                drawn[key] = draw(galsim.Convolve(galaxy, psf))
        return drawn[key]

    return stamp


def largest_error(rendered: Callable, kind: str, e: tuple, grid: Grid, component: int, library: Callable) -> np.ndarray:
    """Return |response - central difference| in units of the peak of f_h."""
    resmoother = make_resmoother(rendered(kind, e, None), pixel_scale=SCALE, grid=grid)

    def result(amplitude: float) -> Resmoothed:
        shear = (amplitude, 0.0) if component == 0 else (0.0, amplitude)
        image = library(rendered(kind, e, shear)[None].copy())
        return Resmoothed(*(to_numpy(part)[0] for part in resmooth(image, resmoother)))

    difference = (result(STEP).value - result(-STEP).value) / (2 * STEP)
    there = result(0.0)
    # A response of nothing would also be close to a difference of nothing.
    assert np.abs(there[1 + component]).max() > 0.1 * there.value.max()
    return np.abs(difference - there[1 + component]) / there.value.max()


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
@pytest.mark.parametrize("component", [0, 1], ids=["g1", "g2"])
@pytest.mark.parametrize("grid", [FINE, COARSE], ids=["fine", "coarse"])
@pytest.mark.parametrize("e", [ROUND, ELLIPTICAL], ids=["round", "elliptical"])
class TestResponseIsTheDerivative:
    """The oracle is the galaxy drawn again under a shear of ±1e-3.

    A stamp does not know the light outside it, which a shear moves in. With the untruncated Moffat of LSST this is
    1e-4 of the peak in the two outermost rows, where no derivative of the stamp can follow; it is 1e-6 inside.
    Hence the two tests: everywhere for light that ends inside the stamp, and away from the edge for LSST. The light
    ends by a steep wing (beta 5, 2e-7 of it outside), not by GalSim's truncation: a sharp edge is not band-limited,
    so that its samples do not determine P(k), and 1/P is wrong by 2e-4 of the peak at the radius of the edge.
    """

    def test_everywhere_if_all_light_is_inside(self, rendered, e, grid, component, library) -> None:
        error = largest_error(rendered, "inside", e, grid, component, library)
        assert error.max() <= 1e-5

    def test_inside_five_arcsec_for_lsst(self, rendered, e, grid, component, library) -> None:
        error = largest_error(rendered, "lsst", e, grid, component, library)
        near = np.abs(coordinates(*grid)) <= 5
        assert error[np.ix_(near, near)].max() <= 1e-5


@pytest.fixture(scope="module")
def noise() -> tuple[np.ndarray, np.ndarray]:
    """Two stacks of random images: nothing in them is symmetric or band-limited."""
    rng = np.random.default_rng(4)
    return rng.normal(size=(2, 3, 64, 64))


def all_close(one: Resmoothed, two: Resmoothed, tolerance: float = 1e-12) -> None:
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), rtol=0, atol=tolerance * np.abs(to_numpy(b)).max())


@pytest.mark.parametrize("grid", [FINE, COARSE], ids=["fine", "coarse"])
def test_torch_equals_numpy(noise, skew_psf, grid) -> None:
    resmoother = make_resmoother(skew_psf, pixel_scale=SCALE, grid=grid)
    one = resmooth(noise[0], resmoother, noise[1])
    two = resmooth(torch.from_numpy(noise[0]), resmoother, torch.from_numpy(noise[1]))
    assert two.value.dtype == torch.float64
    all_close(two, one)


def test_single_precision_stays_single(noise, skew_psf) -> None:
    resmoother = make_resmoother(skew_psf, pixel_scale=SCALE, grid=COARSE)
    single = resmooth(noise[0].astype(np.float32), resmoother, noise[1].astype(np.float32))
    assert {part.dtype for part in single} == {np.dtype(np.float32)}
    all_close(single, resmooth(noise[0], resmoother, noise[1]), 1e-5)


def test_renoise_enters_the_value_with_plus_and_the_response_with_minus(noise, skew_psf) -> None:
    image, second = noise
    resmoother = make_resmoother(skew_psf, pixel_scale=SCALE)
    turned = make_resmoother(np.rot90(skew_psf), pixel_scale=SCALE)
    alone = resmooth(second, turned)
    all_close(
        resmooth(np.zeros_like(image), resmoother, second),
        Resmoothed(alone.value, -alone.dg1, -alone.dg2),
    )
    plain = resmooth(image, resmoother)
    both = Resmoothed(plain.value + alone.value, plain.dg1 - alone.dg1, plain.dg2 - alone.dg2)
    all_close(resmooth(image, resmoother, second), both)


def test_value_is_the_image_deconvolved_and_smoothed(draw, tight) -> None:
    # Oracle: GalSim draws the galaxy under the round Gaussian itself. A Gaussian galaxy and PSF fit in the stamp.
    galaxy = galsim.Gaussian(sigma=0.5, flux=50.0, gsparams=tight).shear(g1=0.2, g2=-0.1).shift(0.05, 0.08)
    psf = galsim.Gaussian(fwhm=0.8, gsparams=tight).shear(e1=0.02, e2=-0.02)
    resmoother = make_resmoother(draw(psf), pixel_scale=SCALE, fwhm=0.95)
    value = resmooth(draw(galsim.Convolve(galaxy, psf))[None], resmoother).value[0]
    smoothed = galsim.Convolve(galaxy, galsim.Gaussian(fwhm=0.95, gsparams=tight))
    expected = smoothed.drawImage(nx=64, ny=64, scale=SCALE, dtype=np.float64, method="no_pixel").array
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5 * expected.max())


def test_coarse_grid_is_the_same_function_at_other_points(noise, skew_psf) -> None:
    # Half the spacing of the coarse grid contains the coarse points; direct sums over waves are the oracle.
    spacing, points = 0.4, 5
    resmoother = make_resmoother(skew_psf, pixel_scale=SCALE, grid=Grid(points, spacing))
    image = noise[0][0]
    x = (np.arange(64) - 31.5) * SCALE
    k = 2 * np.pi * np.fft.fftfreq(64, SCALE)
    k1, k2 = k[None, :], k[:, None]
    to_k = np.exp(-1j * np.outer(k, x))
    transfer = to_k @ skew_psf @ to_k.T
    sigma = 0.85 / np.sqrt(8 * np.log(2))
    inside = np.hypot(k1, k2) < 3 / SCALE
    f = np.where(inside, to_k @ image @ to_k.T / np.where(inside, transfer, 1), 0) * np.exp(
        -(k1**2 + k2**2) * sigma**2 / 2
    )
    expected = np.zeros((3, points, points))
    grid = (np.arange(points) - 2) * spacing
    for j, x2 in enumerate(grid):
        for i, x1 in enumerate(grid):
            wave = f * np.exp(1j * (k1 * x1 + k2 * x2)) / 64**2
            gradient = sigma**2 * (k1**2 - k2**2) - 1j * (x1 * k1 - x2 * k2)
            cross = 2 * sigma**2 * k1 * k2 - 1j * (x2 * k1 + x1 * k2)
            expected[:, j, i] = [(wave * w).sum().real for w in (1, gradient, cross)]
    all_close(resmooth(image, resmoother), Resmoothed(*expected))


@pytest.mark.parametrize("grid", [FINE, COARSE], ids=["fine", "coarse"])
@pytest.mark.parametrize(
    ("operation", "sign1", "sign2"),
    [
        (lambda a: np.rot90(a, 1, (-2, -1)), -1, -1),
        (lambda a: np.rot90(a, 2, (-2, -1)), 1, 1),
        (lambda a: np.rot90(a, 3, (-2, -1)), -1, -1),
        (lambda a: np.flip(a, -2), 1, -1),
        (lambda a: np.flip(a, -1), 1, -1),
        (lambda a: np.swapaxes(a, -2, -1), -1, 1),
    ],
    ids=["rot90", "rot180", "rot270", "flip_y", "flip_x", "transpose"],
)
def test_turned_and_mirrored_images_give_turned_and_mirrored_results(
    noise, skew_psf, grid, operation, sign1, sign2
) -> None:
    def moved(a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(operation(a))

    plain = resmooth(noise[0], make_resmoother(skew_psf, pixel_scale=SCALE, grid=grid))
    there = resmooth(moved(noise[0]), make_resmoother(moved(skew_psf), pixel_scale=SCALE, grid=grid))
    all_close(there, Resmoothed(moved(plain.value), sign1 * moved(plain.dg1), sign2 * moved(plain.dg2)))


def test_turning_holds_with_renoise(noise, skew_psf) -> None:
    def moved(a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(a, 1, (-2, -1)))

    plain = resmooth(noise[0], make_resmoother(skew_psf, pixel_scale=SCALE), noise[1])
    there = resmooth(moved(noise[0]), make_resmoother(moved(skew_psf), pixel_scale=SCALE), moved(noise[1]))
    all_close(there, Resmoothed(moved(plain.value), -moved(plain.dg1), -moved(plain.dg2)))


def test_one_psf_per_stamp_equals_the_shared_one(noise, skew_psf) -> None:
    shared = make_resmoother(skew_psf, pixel_scale=SCALE, grid=COARSE)
    each = make_resmoother(np.stack([skew_psf] * 3), pixel_scale=SCALE, grid=COARSE)
    all_close(resmooth(noise[0], each, noise[1]), resmooth(noise[0], shared, noise[1]))


def test_inverse_is_truncated_at_the_limit_not_clipped(skew_psf) -> None:
    inverse = truncated_inverse(skew_psf, SCALE)
    k = np.hypot(2 * np.pi * np.fft.rfftfreq(64, SCALE)[None], 2 * np.pi * np.fft.fftfreq(64, SCALE)[:, None])
    assert np.all((inverse != 0) == (k < 3 / SCALE))
    # The Nyquist row and column, which have no partner, lie beyond it.
    assert not inverse[32].any()
    assert not inverse[:, 32].any()
