"""FPFS against anacal, an independent code by the method's authors, and against derivatives of re-rendered stamps."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import galsim
import numpy as np
import pytest
import torch

from lensdask.arrays import to_numpy
from lensdask.conventions import LSST_Y10_NOISE
from lensdask.shear.shapes.fpfs import FPFS, fpfs_shapes, make_moments

GOLDEN = Path(__file__).parent / "golden" / "fpfs_anacal.npz"
COLUMNS = ("e1", "e2", "de1_dg1", "de1_dg2", "de2_dg1", "de2_dg2", "flux", "dflux_dg1", "dflux_dg2")
SIZE, SCALE = 64, 0.2


def varied_stamps() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return 60 noisy stamps, their noiseless form, their renoise and an elliptical PSF, from one seed.

    Bulges and discs of flux 10^1.5 to 10^4, turned, flattened and off the origin.
    """
    rng = np.random.default_rng(20260)
    psf = galsim.Moffat(fwhm=0.8, beta=2.5).shear(e1=0.02, e2=-0.02)

    def drawn(profile: galsim.GSObject) -> np.ndarray:
        return profile.drawImage(nx=SIZE, ny=SIZE, scale=SCALE, dtype=np.float64).array

    stamps = []
    for _ in range(60):
        bulge = rng.uniform(0, 0.8)
        disc = galsim.Exponential(half_light_radius=rng.uniform(0.15, 0.8), flux=1 - bulge)
        core = galsim.DeVaucouleurs(half_light_radius=rng.uniform(0.15, 0.5), flux=bulge)
        disc, core = (p.shear(q=rng.uniform(0.3, 1), beta=rng.uniform(0, np.pi) * galsim.radians) for p in (disc, core))
        galaxy = ((disc + core) * 10 ** rng.uniform(1.5, 4)).shift(*rng.uniform(-0.1, 0.1, 2))
        stamps.append(drawn(galsim.Convolve(galaxy, psf)))
    noise, renoise = rng.normal(scale=LSST_Y10_NOISE, size=(2, 60, SIZE, SIZE))
    return np.array(stamps) + noise, np.array(stamps), renoise, drawn(psf)


def half_a_pixel_up(images: np.ndarray) -> np.ndarray:
    """Move images by (1/2, 1/2) pixel: anacal's origin is pixel n // 2, ours (n - 1) / 2."""
    k = 2 * np.pi * np.fft.fftfreq(SIZE)
    phase = np.exp(-0.5j * (k[:, None] + k))
    phase[SIZE // 2] = phase[:, SIZE // 2] = 0  # waves that both codes drop
    return np.fft.ifft2(np.fft.fft2(images) * phase).real


def anacal_columns(images: np.ndarray, renoise: np.ndarray | None, psf: np.ndarray) -> np.ndarray:
    """Measure stamps with anacal, shape (9, stamp)."""
    import anacal

    config = anacal.fpfs.FpfsConfig(
        npix=SIZE,
        sigma_shapelets1=0.52,
        c0=8.4 * 10**0.56,  # given at its zero point 31.4
        kmax_thres=1e-30,  # else it drops waves that lensdask keeps
    )
    centre = np.array([(SIZE / 2, SIZE / 2)], dtype=[("y", float), ("x", float)])
    seconds = [None] * len(images) if renoise is None else half_a_pixel_up(renoise)
    rows = [
        anacal.fpfs.process_image(
            fpfs_config=config,
            pixel_scale=SCALE,
            noise_variance=LSST_Y10_NOISE**2,
            mag_zero=30.0,
            gal_array=image,
            psf_array=half_a_pixel_up(psf),
            noise_array=second,
            detection=centre,
        )
        for image, second in zip(half_a_pixel_up(images), seconds, strict=True)
    ]
    names = [f"fpfs1_{name}" for name in COLUMNS[:6]] + ["flux_fpfs1", "dflux_fpfs1_dg1", "dflux_fpfs1_dg2"]
    table = np.concatenate(rows)
    return np.array([table[name] for name in names])


@pytest.fixture(scope="module")
def stamps() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return varied_stamps()


def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
    for name, one, two in zip(COLUMNS, ours, theirs, strict=True):
        # anacal holds pixels in single precision, which shows where a quantity happens to be near zero.
        typical = np.median(np.abs(two))
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7 * typical, err_msg=name)


def ours(stamps: tuple, with_renoise: bool) -> np.ndarray:
    images, _, renoise, psf = stamps
    return fpfs_shapes(images, make_moments(psf, pixel_scale=SCALE), renoise if with_renoise else None)


@pytest.mark.parametrize("with_renoise", [False, True], ids=["plain", "renoise"])
def test_golden_numbers_of_anacal(stamps, with_renoise) -> None:
    with np.load(GOLDEN) as golden:
        # First that the recipe still draws the stamps which anacal measured.
        np.testing.assert_allclose([np.sum(s * s) for s in stamps[0]], golden["stamp_power"], rtol=1e-6)
        agree(ours(stamps, with_renoise), golden["renoise" if with_renoise else "plain"])


@pytest.mark.skipif(find_spec("anacal") is None, reason="anacal is not installed; the golden numbers stand in for it")
@pytest.mark.parametrize("with_renoise", [False, True], ids=["plain", "renoise"])
def test_anacal(stamps, with_renoise) -> None:
    images, _, renoise, psf = stamps
    agree(ours(stamps, with_renoise), anacal_columns(images, renoise if with_renoise else None, psf))


@pytest.mark.parametrize("with_renoise", [False, True], ids=["plain", "renoise"])
def test_one_psf_per_stamp_equals_the_shared_one(stamps, with_renoise) -> None:
    images, _, renoise, psf = stamps
    each = make_moments(np.broadcast_to(psf, images.shape), pixel_scale=SCALE)
    result = fpfs_shapes(images, each, renoise if with_renoise else None)
    np.testing.assert_allclose(result, ours(stamps, with_renoise), rtol=1e-10)


def test_per_stamp_psfs_are_each_used_for_their_own_stamp(stamps) -> None:
    images, _, renoise, psf = stamps
    other = galsim.Moffat(fwhm=0.7, beta=3.5).drawImage(nx=SIZE, ny=SIZE, scale=SCALE, dtype=np.float64).array
    mixed = make_moments(np.stack([psf, other] * 30), pixel_scale=SCALE)
    result = fpfs_shapes(images, mixed, renoise)
    for start, one in enumerate((psf, other)):
        alone = fpfs_shapes(images[start::2], make_moments(one, pixel_scale=SCALE), renoise[start::2])
        np.testing.assert_allclose(result[:, start::2], alone, rtol=1e-10)


@pytest.mark.parametrize("per_stamp", [False, True], ids=["shared", "per_stamp"])
def test_torch_equals_numpy(stamps, per_stamp) -> None:
    images, _, renoise, psf = stamps
    moments = make_moments(np.broadcast_to(psf, images.shape) if per_stamp else psf, pixel_scale=SCALE)
    result = fpfs_shapes(torch.from_numpy(images), moments, torch.from_numpy(renoise))
    assert isinstance(result, torch.Tensor)
    np.testing.assert_allclose(to_numpy(result), fpfs_shapes(images, moments, renoise), rtol=1e-10)


def test_single_precision_pixels(stamps) -> None:
    single = tuple(part.astype(np.float32) for part in stamps)
    for one, two in zip(ours(single, True), ours(stamps, True), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5 * np.median(np.abs(two)))


def test_renoise_enters_values_with_plus_and_responses_with_minus(stamps, skew_psf) -> None:
    # Where the image is zero and the renoise n, values are those of n under the turned PSF, responses their negative.
    renoise = stamps[2]
    moments, turned = (make_moments(p, pixel_scale=SCALE) for p in (skew_psf, np.rot90(skew_psf)))
    flux, *response = fpfs_shapes(np.zeros_like(renoise), moments, renoise)[6:]
    alone = fpfs_shapes(renoise, turned)[6:]
    np.testing.assert_allclose(flux, alone[0], rtol=1e-9)
    np.testing.assert_allclose(response, -alone[1:], rtol=1e-9)


@pytest.mark.parametrize("e", [(0.0, 0.0), (0.02, -0.02)], ids=["round", "elliptical"])
def test_responses_are_derivatives(galaxies_under_shear: Callable, e) -> None:
    # Oracle: the same galaxies drawn again under shears of ±1e-3.
    step = 1e-3
    images, psf = galaxies_under_shear(0.0, 0.0, *e)
    moments = make_moments(psf, pixel_scale=SCALE)

    def values(g1: float, g2: float) -> np.ndarray:
        return fpfs_shapes(galaxies_under_shear(g1, g2, *e)[0], moments)[[0, 1, 6]]

    along = [(values(step, 0) - values(-step, 0)) / (2 * step), (values(0, step) - values(0, -step)) / (2 * step)]
    table = dict(zip(COLUMNS, fpfs_shapes(images, moments), strict=True))
    for i, name in enumerate(("e1", "e2", "flux")):
        scale = table["flux"] if name == "flux" else 1.0
        for j, difference in enumerate(along):
            error = (table[f"d{name}_dg{j + 1}"] - difference[i]) / scale
            assert np.abs(error).max() <= 1e-5


def test_flux_of_a_gaussian_galaxy() -> None:
    # The Gaussian exp(-r²/2s²) projects on itself: m00 is the integral of f_deconvolved times that weight.
    settings, sigma, total = FPFS(), 0.4, 123.0
    psf = galsim.Gaussian(fwhm=0.8)
    image = galsim.Convolve(galsim.Gaussian(sigma=sigma, flux=total), psf)
    drawn = [p.drawImage(nx=SIZE, ny=SIZE, scale=SCALE, dtype=np.float64).array for p in (image, psf)]
    result = fpfs_shapes(drawn[0][None], make_moments(drawn[1], pixel_scale=SCALE))[:, 0]
    expected = total * settings.sigma**2 / (settings.sigma**2 + sigma**2)
    assert result[6] == pytest.approx(expected, rel=2e-4)
    assert np.abs(result[:2]).max() < 1e-6


def test_settings_change_the_numbers_as_defined(stamps) -> None:
    images, _, _, psf = stamps
    narrow, wide = (fpfs_shapes(images, make_moments(psf, pixel_scale=SCALE, settings=FPFS(C=c))) for c in (8.4, 84.0))
    m00 = narrow[6] / (2 * np.pi * 0.52**2)
    np.testing.assert_allclose(wide[0] / narrow[0], (m00 + 8.4) / (m00 + 84.0), rtol=1e-12)
    np.testing.assert_array_equal(wide[6], narrow[6])
