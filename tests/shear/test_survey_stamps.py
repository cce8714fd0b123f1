"""Stamps and PSFs as surveys have them: understood, or refused by a line that says what is wrong."""

import re
from pathlib import Path

import galsim
import numpy as np
import pytest
from astropy import units as u
from astropy.utils.masked import Masked
from hypothesis import given, settings
from hypothesis import strategies as st

import lensdask
from lensdask.data import write
from lensdask.errors import InputError
from lensdask.random import Stream
from lensdask.shear import (
    Imaging,
    Observation,
    RunOptions,
    calibrate,
    compare,
    make_stamps,
    measure,
    measure_run,
    run_bias,
    simulate_run,
)
from lensdask.shear.noise import draw_noise
from lensdask.shear.pixels import check_pixels
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.measurement import COLUMNS, measure_stamps
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import draw_psf, draw_stamps
from lensdask.shear.tasks import SimulateStamps

COUNT = 24
IDS = np.arange(COUNT)
PAIRS = np.repeat(mock_galaxies(1, np.arange(COUNT // 2)), 2)
NOISELESS = Observation(noise_sigma=0.0)
SHEAR = np.array([[0.02, 0.0]])


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Return noiseless stamps of orthogonal pairs under g1 = 0.02."""
    return draw_stamps(PAIRS, IDS, NOISELESS, 1, SHEAR)[:, 0]


@pytest.fixture(scope="module")
def noisy(images) -> np.ndarray:
    return images + draw_noise(IDS, 64, 0.594, 1, Stream.NOISE)


@pytest.fixture(scope="module")
def psf() -> np.ndarray:
    return draw_psf(NOISELESS)


def changed(images: np.ndarray, value: float, where: object = np.s_[7, :5, 0]) -> np.ndarray:
    images = images.copy()
    images[where] = value
    return images


IDS_AS_HASHES = IDS.astype(np.uint64) + np.uint64(2**63)
REFUSED = {
    "large ids": (
        lambda _: {"galaxy": IDS_AS_HASHES},
        r"galaxy: id 9223372036854775831; expected ids up to 92233720368",
    ),
    "empty": (lambda i: {"images": changed(i, 0, [3, 9])}, "images: all pixels are the same in galaxy 3, 9; expected"),
    "complex": (lambda i: {"images": i + 0j}, "images: complex64; expected real numbers"),
    "text": (lambda i: {"images": i.astype(str)}, "images: <U32; expected real numbers"),
    "complex PSF": (lambda _: {"psf": draw_psf(NOISELESS) + 0j}, "psf: complex128; expected real numbers"),
    "rounded": (
        lambda i: {"images": i.round(), "noise_sigma": 0.0},
        "images: all pixels are whole numbers at noise 0;",
    ),
    "integers": (
        lambda i: {"images": i.astype(int), "noise_sigma": 0.3},
        "images: all pixels are whole .* at noise 0.3;",
    ),
    "-1e30": (
        lambda i: {"images": changed(i, -1e30)},
        r"images: pixels of -1e\+30 at noise 0.594 in galaxy 7; expected",
    ),
    "1e20": (lambda i: {"images": changed(i, 1e20)}, r"images: pixels of 1e\+20 at noise 0.594 in galaxy 7; expected"),
    "-999": (lambda i: {"images": changed(i, -999)}, "images: pixels of -999 at noise 0.594 in galaxy 7; expected"),
    "-9999 without noise": (
        lambda i: {"images": changed(i, -9999), "noise_sigma": 0.0},
        "images: pixels of -9999 at noise 0 in galaxy 7; expected",
    ),
    "beyond float32": (
        lambda i: {"images": changed(i.astype(float), 1e300)},
        "images: pixels are not finite in galaxy 7;",
    ),
    "noise of others": (
        lambda _: {"noise_sigma": np.full(COUNT - 1, 0.594)},
        r"noise_sigma: shape \(23,\); expected one number, or \(24,\)",
    ),
    "noise in a short list": (
        lambda _: {"noise_sigma": [0.594] * 3},
        r"noise_sigma: shape \(3,\); expected one number",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_is_no_stamp_is_refused_in_one_line(noisy, psf, mistake) -> None:
    change, message = REFUSED[mistake]
    arguments = {"images": noisy, "psf": psf, "pixel_scale": 0.2, "noise_sigma": 0.594} | change(noisy)
    with pytest.raises(InputError, match=f"^{message}") as caught:
        make_stamps(**arguments)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


RAW = np.zeros(COUNT)
NOTHING_MASKED = np.zeros(COUNT, dtype=bool)
PLACES = np.stack([np.linspace(-3, 3, COUNT), np.linspace(2, -2, COUNT)], axis=1)
REFUSED_COLUMNS = {
    "masked images": (lambda i: {"images": Masked(i, mask=np.isnan(i))}, "images: masked arrays are not supported;"),
    "masked Quantity": (
        lambda i: {"images": Masked(i * u.nJy, mask=i > 5)},
        "images: masked arrays are not supported;",
    ),
    "masked PSF": (lambda _: {"psf": Masked(draw_psf(NOISELESS))}, "psf: masked arrays are not supported;"),
    "list of masked PSFs": (
        lambda _: {"psf": [np.ma.MaskedArray(draw_psf(NOISELESS))] * COUNT},
        "psf: masked arrays are not supported;",
    ),
    "masked ids": (
        lambda _: {"galaxy": np.ma.MaskedArray(IDS, NOTHING_MASKED)},
        "galaxy: masked arrays are not supported; expected a value for every galaxy",
    ),
    "Masked ids": (lambda _: {"galaxy": Masked(IDS)}, "galaxy: masked arrays are not supported;"),
    "masked index": (
        lambda _: {"psf_index": np.ma.MaskedArray(IDS, NOTHING_MASKED)},
        "psf_index: masked arrays are not supported;",
    ),
    "masked noise": (lambda _: {"noise_sigma": Masked(RAW + 1)}, "noise_sigma: masked arrays are not supported;"),
    "one masked noise": (lambda _: {"noise_sigma": Masked(0.5, mask=True)}, "noise_sigma: masked arrays are not"),
    "masked places": (lambda _: {"offset": Masked(PLACES)}, "offset: masked arrays are not supported;"),
    "masked renoise": (lambda i: {"renoise": Masked(i)}, "renoise: masked arrays are not supported;"),
    "masked column": (lambda _: {"columns": {"z": Masked(RAW)}}, "columns: 'z' is masked;"),
    "counts": (lambda i: {"images": i * u.adu}, "images: in adu; expected 3.631 nJy, or what converts to it"),
    "renoise in mag": (lambda i: {"renoise": i * u.mag}, "renoise: in mag; expected 3.631 nJy"),
    "noise in arcsec": (lambda _: {"noise_sigma": 1 * u.arcsec}, "noise_sigma: in arcsec; expected 3.631 nJy"),
    "PSF in nJy": (lambda _: {"psf": draw_psf(NOISELESS) * u.nJy}, "psf: in nJy; expected a pure number"),
    "scale in nJy": (lambda _: {"pixel_scale": 0.2 * u.nJy}, "pixel_scale: in nJy; expected arcsec"),
    "places in nJy": (lambda _: {"offset": PLACES * u.nJy}, "offset: in nJy; expected pix"),
    "places on the sky": (
        lambda _: {"offset": PLACES * u.arcsec, "jacobian": 0.2 * np.eye(2)},
        "offset: in arcsec beside a jacobian; expected pixels",
    ),
    "a huge pixel": (lambda _: {"pixel_scale": 1e6}, r"pixel_scale: 1000000.0; expected a number from 0.001 to 100"),
    "some rounded": (
        lambda i: {"images": np.where(IDS[:, None, None] % 2, i.round(), i), "noise_sigma": 0.3},
        "images: all pixels of 12 of 24 stamps are whole numbers at noise 0.3; expected images that were not rounded",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED_COLUMNS)
def test_masks_and_other_units_are_refused(noisy, psf, mistake) -> None:
    change, message = REFUSED_COLUMNS[mistake]
    arguments = {"images": noisy, "psf": psf, "pixel_scale": 0.2, "noise_sigma": 0.594} | change(noisy)
    with pytest.raises(InputError, match=f"^{message}") as caught:
        make_stamps(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("per_pixel", [1, u.pix])
@pytest.mark.parametrize("each", [1.0, np.ones(COUNT)])
def test_quantities_are_converted(noisy, psf, each, per_pixel) -> None:
    sigma = 0.594 * each
    plain = make_stamps(noisy, psf, pixel_scale=0.2, noise_sigma=sigma, offset=PLACES, renoise=noisy)
    stamps = make_stamps(
        noisy * 3.631 * u.nJy / per_pixel,
        psf,
        pixel_scale=0.2 / 60 * u.arcmin / per_pixel,
        noise_sigma=sigma * 3.631e-9 * u.Jy / per_pixel,
        offset=PLACES * 0.2 * u.arcsec,
        renoise=noisy * 3.631 * u.nJy,
    )
    assert stamps.attrs["pixel_scale"] == pytest.approx(0.2, rel=1e-12)
    assert stamps.attrs["noise_sigma"] == pytest.approx(0.594, rel=1e-12)
    for name in ("image", "renoise", "offset"):
        np.testing.assert_allclose(stamps[name], plain[name], rtol=1e-6, atol=1e-7)
    in_pixels = make_stamps(noisy, psf, pixel_scale=0.2, noise_sigma=sigma, offset=PLACES * u.pix)
    np.testing.assert_array_equal(in_pixels["offset"], plain["offset"])


def test_largest_id_is_kept(noisy, psf) -> None:
    ids = IDS.astype(np.uint64) + np.uint64(2**63 - COUNT)
    stamps = make_stamps(noisy, psf, pixel_scale=0.2, noise_sigma=0.594, galaxy=ids)
    np.testing.assert_array_equal(stamps["galaxy"].values.astype(np.uint64), ids)


@pytest.mark.parametrize(("value", "what"), [(-1e30, r"pixels of -1e\+30"), (np.nan, "pixels are not finite")])
def test_stores_with_such_pixels_are_refused_when_measured(noisy, psf, value, what) -> None:
    imaging = Imaging(psf, 0.2, 0.594)
    with pytest.raises(InputError, match=f"^stamps: {what}.* in galaxy 7; expected"):
        measure_stamps(changed(noisy, value), IDS, imaging, find_estimator("fpfs"), seed=0)


def test_whole_numbers_are_taken_where_rounding_is_noise(noisy, psf) -> None:
    with pytest.warns(UserWarning, match=r"^images: all pixels are whole numbers at noise 0\.594; rounding adds 1/12"):
        make_stamps(noisy.round(), psf, pixel_scale=0.2, noise_sigma=0.594)
    counts = (100 * noisy).astype(np.int16)
    stamps = make_stamps(counts, psf, pixel_scale=0.2, noise_sigma=59.4)
    np.testing.assert_array_equal(stamps["image"], counts)


@given(
    sigma=st.floats(1e-3, 1e3),
    flux=st.floats(0, 1e8),
    width=st.floats(0.5, 8),
    slope=st.floats(-1, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=50, deadline=None)
def test_galaxies_in_noise_are_taken_whatever_their_flux(sigma, flux, width, slope, seed) -> None:
    y, x = np.mgrid[:32, :32] - 15.5
    galaxy = flux * np.exp(-(x**2 + y**2) / 2 / width**2) / (2 * np.pi * width**2)
    noise = np.random.default_rng(seed).normal(scale=sigma, size=(32, 32)) + slope * sigma * x / 16
    check_pixels((galaxy + noise)[None], IDS[:1], "images", sigma)


# PSFs


def shapes(images: np.ndarray, psf: object, scale: float = 0.2, estimator: str = "fpfs") -> np.ndarray:
    found = measure(make_stamps(images, psf, pixel_scale=scale, noise_sigma=0.0), estimator, device="cpu")
    return np.stack([found[name] for name in COLUMNS], axis=-1)


def galsim_image(psf: np.ndarray, **wcs: object) -> galsim.Image:
    return galsim.Image(psf, **wcs)


def test_images_of_galsim_are_psfs(images, psf) -> None:
    expected = shapes(images, psf)
    np.testing.assert_array_equal(shapes(images, galsim_image(psf, scale=0.2)), expected)
    np.testing.assert_array_equal(shapes(images, galsim_image(psf)), expected)
    turned = galsim.JacobianWCS(0, 0.2, -0.2, 0)
    np.testing.assert_array_equal(shapes(images, galsim_image(psf, wcs=turned)), expected)
    each = shapes(images, [galsim_image(psf, scale=0.2)] * COUNT)
    np.testing.assert_allclose(each, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda p: galsim_image(p, scale=0.25), "psf: 0.25 arcsec per pixel; expected 0.2, as of the stamps"),
        (lambda p: [galsim_image(p), galsim_image(p[1:-1, 1:-1])], "psf: images of several sizes; expected one"),
        (lambda p: [galsim_image(p)] * 3, r"psf: shape \(3, 64, 64\); expected"),
    ],
)
def test_images_of_other_pixels_are_refused(images, psf, wrong, message) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        make_stamps(images, wrong(psf), pixel_scale=0.2, noise_sigma=0.0)


def moved_psf(*offset: float) -> np.ndarray:
    """Return the PSF drawn off the centre by some pixels."""
    profile = galsim.Moffat(beta=2.5, fwhm=0.8).shift(*(0.2 * d for d in offset))
    return profile.drawImage(nx=64, ny=64, scale=0.2, dtype=np.float64).array


@pytest.mark.parametrize("offset", [(0.24, 0.0), (-0.03, 0.04)])
def test_a_psf_off_centre_is_shifted_and_told(images, psf, offset) -> None:
    said = rf"^psf: its centroid is {np.hypot(*offset):.2g} pixels from the centre of the stamp; shifted to it"
    with pytest.warns(UserWarning, match=said):
        found = shapes(images, moved_psf(*offset))
    expected = shapes(images, psf)
    np.testing.assert_allclose(found[:, :6], expected[:, :6], atol=1e-4)
    # It would cost m = -6 % and -0.16 % with d4cnn, where 0.05 pixels are not the noise of a centroid but a mistake.


def test_of_several_psfs_only_those_off_centre_are_shifted(images, psf) -> None:
    psfs = np.stack([psf, moved_psf(0.1, 0.0), moved_psf(0.0, -0.2)])
    with pytest.warns(UserWarning, match=r"^psf: 2 centroids are up to 0\.2 pixels from"):
        stamps = make_stamps(images, psfs, psf_index=IDS % 3, pixel_scale=0.2, noise_sigma=0.0)
    np.testing.assert_array_equal(stamps["psf"][0], psf)
    np.testing.assert_allclose(stamps["psf"], np.stack([psf] * 3), atol=2e-5)


def cut(array: np.ndarray, size: int) -> np.ndarray:
    edge = (array.shape[-1] - size) // 2
    return array[..., edge : edge + size, edge : edge + size]


@pytest.mark.parametrize(("size", "lost"), [(24, 0.0173), (32, 0.0076)])
@pytest.mark.parametrize("is_normalised", [False, True])
@pytest.mark.parametrize("is_filled_up", [False, True])
def test_a_cut_psf_is_warned_of_by_the_light_it_lacks(images, psf, size, lost, is_normalised, is_filled_up) -> None:
    small, stamps = cut(psf, size), cut(images, size)
    small = small / small.sum() if is_normalised else small
    if is_filled_up:
        small, stamps = np.pad(small, (64 - size) // 2), images
    with pytest.warns(UserWarning, match=r"^psf: about \d\.\d% of its light is beyond the edge") as caught:
        make_stamps(stamps, small, pixel_scale=0.2, noise_sigma=0.0)
    told = float(re.search(r"about (\d\.\d)%", str(caught[0].message))[1]) / 100
    assert told == pytest.approx(lost, rel=0.25)


def test_a_psf_without_its_faintest_wings_is_not_warned_of(images, psf) -> None:
    make_stamps(cut(images, 48), cut(psf, 48), pixel_scale=0.2, noise_sigma=0.0)


# Stores


def test_a_store_that_no_run_finished_is_not_measured(tmp_path: Path, monkeypatch) -> None:
    whole = SimulateStamps.__call__

    def broken(self: SimulateStamps, start: int, *arguments: object) -> object:
        if start:
            raise RuntimeError("no luck")
        return whole(self, start, *arguments)

    options = RunOptions(device="cpu", show_progress=False)
    with monkeypatch.context() as patched:
        patched.setattr(SimulateStamps, "__call__", broken)
        simulate_run(tmp_path / "stamps.zarr", galaxies=12, chunk=4, options=options)
    said = r"stamps\.zarr: 4 of 12 galaxies done; expected a finished run: continue lensdask shear simulate with"
    with pytest.raises(InputError, match=said):
        measure_run(tmp_path / "stamps.zarr", tmp_path / "shapes.zarr", estimator="fpfs", options=options)
    assert not (tmp_path / "shapes.zarr").exists()
    with pytest.warns(UserWarning, match="2 of 3 chunks are missing"):
        lacking = lensdask.open(tmp_path / "stamps.zarr")
    with pytest.raises(InputError, match=r"^stamps: pixels are not finite in galaxy .*; expected numbers$"):
        measure(lacking, "fpfs", device="cpu").compute(scheduler="synchronous")


# Small stamps


@pytest.mark.parametrize(("size", "scale"), [(48, 0.1), (32, 0.2), (78, 0.1)])
def test_stamps_smaller_than_the_grid_of_a_network_are_refused(tmp_path: Path, size, scale) -> None:
    # Networks would see galaxies repeated beyond the edges: 48 pixels of 0.1 arcsec gave m = +22 %.
    observation = Observation(size=size, pixel_scale=scale, noise_sigma=0.0, psf_fwhm=0.5)
    stamps = draw_stamps(PAIRS, IDS, observation, 1, SHEAR)[:, 0]
    made = make_stamps(stamps, draw_psf(observation), pixel_scale=scale, noise_sigma=0.0)
    said = rf"^stamps: {size * scale:.3g} arcsec wide, and d4cnn sees 8; expected larger stamps, or fpfs"
    write(made, tmp_path / "stamps.zarr")
    path, options = tmp_path / "out", RunOptions(device="cpu", show_progress=False)
    imaging = Imaging(draw_psf(observation), scale, 0.0)
    for refused in (
        lambda: measure(made),
        lambda: measure_stamps(stamps, IDS, imaging, find_estimator("d4cnn"), seed=0),
        lambda: measure_run(tmp_path / "stamps.zarr", path, options=options),
        lambda: run_bias(path, galaxies=4, observation=observation, options=options),
        lambda: compare(path, galaxies=4, estimators=["fpfs", "d4cnn"], observation=observation, options=options),
    ):
        with pytest.raises(InputError, match=said):
            refused()
    assert not path.exists()
    assert np.isfinite(measure(made, "fpfs", device="cpu")["e1"]).all()


def test_stamps_of_the_size_of_the_grid_are_unbiased(images, psf) -> None:
    stamps = make_stamps(cut(images, 40), cut(psf, 40), pixel_scale=0.2, noise_sigma=0.0)
    found = calibrate(measure(stamps, device="cpu"), replicas=20)
    np.testing.assert_allclose(found.g, [0.02, 0.0], atol=1e-4)


def test_each_galaxy_may_have_its_own_noise():
    rng, psf = np.random.default_rng(5), draw_psf(Observation())
    images = np.stack([200 * psf] * 6) + rng.normal(0, 0.5, (6, 64, 64))
    sigma, options = np.array([0.2, 0.5, 0.9, 0.5, 0.2, 0.9]), {"pixel_scale": 0.2, "galaxy": np.arange(10, 16)}
    stamps = make_stamps(images, psf, noise_sigma=sigma, **options)
    assert stamps.attrs["noise_sigma"] == pytest.approx(np.sqrt(np.mean(sigma**2)))
    for estimator in ("fpfs", "d4cnn"):
        found = measure(stamps, estimator)
        lazily = measure(stamps.chunk(galaxy=2), estimator).compute()
        for value in (0.2, 0.5, 0.9):
            alone = measure(make_stamps(images, psf, noise_sigma=value, **options), estimator)
            rows = sigma == value
            for name in ("e1", "de2_dg2", "flux"):
                np.testing.assert_allclose(found[name][rows], alone[name][rows], rtol=1e-4, atol=1e-5)
                assert (np.abs(found[name][~rows] - alone[name][~rows]) > 1e-5).all()
        np.testing.assert_array_equal(found["e1"], lazily["e1"])


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (np.ones(5), r"noise_sigma: shape \(5,\); expected one number, or \(6,\)"),
        (np.array([1, 1, 0, 1, 1, 1.0]), "noise_sigma: 0 of galaxy 2; expected numbers above 0"),
        (np.array([1, 1, 1, 1, np.nan, 1.0]), "noise_sigma: nan of galaxy 4"),
    ],
)
def test_what_is_no_noise_of_each_galaxy(sigma, message):
    psf = draw_psf(Observation())
    with pytest.raises(InputError, match=message):
        make_stamps(np.stack([200 * psf] * 6), psf, pixel_scale=0.2, noise_sigma=sigma)
