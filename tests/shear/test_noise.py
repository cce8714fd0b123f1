"""Correlated noise: drawn with the covariance asked for, and made isotropic by the turned renoise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lensdask
from lensdask.data import write
from lensdask.errors import InputError
from lensdask.random import Stream, normals
from lensdask.shear import Imaging, Observation, find_estimator, make_stamps, measure, measure_run, measure_stamps
from lensdask.shear.noise import Noise, check_correlation, draw_image_noise, draw_renoise, gaussian_correlation
from lensdask.shear.runs import RunOptions
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.shapes.resmooth import make_resmoother, resmooth
from lensdask.shear.simulation.observation import draw_psf, noise_of

N, SCALE = 40, 0.2
ELLIPTICAL = gaussian_correlation(N, SCALE, 0.5, 0.4, 0.2)
"""The kernel has its long axis near x."""

LAW = Noise(0.6, ELLIPTICAL)
IDS = np.arange(1500)


def correlation_of(images: np.ndarray) -> np.ndarray:
    """Return the periodic correlation function of images, lag (0, 0) first."""
    power = np.mean(np.abs(np.fft.fft2(images)) ** 2, axis=0)
    return np.fft.ifft2(power).real / images[0].size


def quarter_turn(function: np.ndarray) -> np.ndarray:
    """Turn a function of lags, lag (0, 0) first, by 90 degrees: brute force."""
    n = len(function)
    return np.array([[function[-x % n, y] for x in range(n)] for y in range(n)])


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return draw_image_noise(IDS, N, LAW, 5)


@pytest.mark.parametrize(("e1", "e2"), [(0.0, 0.0), (0.4, 0.2), (-0.3, 0.5)])
def test_correlation_is_the_kernel_with_itself(e1, e2) -> None:
    fwhm = 1.0
    found = gaussian_correlation(64, SCALE, fwhm, e1, e2)
    lag = np.fft.fftfreq(64, 1 / 64) * SCALE
    Q = (fwhm / 2.3548200450309493) ** 2 * np.array([[1 + e1, e2], [e2, 1 - e1]]) / np.sqrt(1 - e1**2 - e2**2)
    inverse = np.linalg.inv(Q)
    x, y = lag, lag[:, None]
    expected = np.exp(-(inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2) / 4)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    check_correlation(found, 64)


def test_a_narrow_kernel_leaves_the_noise_white() -> None:
    expected = np.zeros((N, N))
    expected[0, 0] = 1
    np.testing.assert_allclose(gaussian_correlation(N, SCALE, 0.02, 0.3, 0.0), expected, rtol=0, atol=1e-12)


def test_pixels_have_the_covariance_of_the_function(drawn) -> None:
    # Pairs of pixels counted directly, away from the rim.
    inner = drawn[:, 8:24, 8:24]
    scatter = 0.6**2 / np.sqrt(len(drawn))
    for dy, dx in ((0, 0), (0, 1), (1, 0), (0, 3), (3, 0), (2, 2), (2, -2), (-2, 2), (5, 4)):
        moved = drawn[:, 8 + dy : 24 + dy, 8 + dx : 24 + dx]
        found = np.mean(inner.astype(float) * moved)
        assert found == pytest.approx(0.6**2 * ELLIPTICAL[dy, dx], abs=scatter)
    assert ELLIPTICAL[0, 3] > 1.5 * ELLIPTICAL[3, 0]
    assert ELLIPTICAL[2, 2] > 1.2 * ELLIPTICAL[2, -2]


def test_renoise_has_the_turned_correlation(drawn) -> None:
    renoise = draw_renoise(IDS, N, LAW, 5)
    for images, function in ((drawn, ELLIPTICAL), (renoise, quarter_turn(ELLIPTICAL))):
        assert np.abs(correlation_of(images) / 0.36 - function).max() < 0.02
    assert np.abs(quarter_turn(ELLIPTICAL) - ELLIPTICAL).max() > 0.2
    assert abs(np.mean(drawn * renoise)) < 5 * 0.36 / np.sqrt(len(IDS))


def test_noise_is_keyed_by_id(drawn) -> None:
    some = np.array([1200, 3, 17])
    np.testing.assert_array_equal(draw_image_noise(some, N, LAW, 5), drawn[some])


def test_white_noise_is_the_plain_stream() -> None:
    for draw, stream in ((draw_image_noise, Stream.NOISE), (draw_renoise, Stream.RENOISE)):
        expected = normals(np.array([9]), N * N, 4, stream).reshape(N, N) * np.float32(0.594)
        np.testing.assert_array_equal(draw(np.array([9]), N, Noise(0.594), 4)[0], expected)


@pytest.mark.parametrize("law", [Noise(0.594), LAW, replace(LAW, of_pairs="exchanged")], ids=["white", "LAW", "pairs"])
def test_noise_is_the_same_on_every_device(law) -> None:
    # What a GPU draws, drawn by torch on the CPU.
    ids = np.array([0, 1, 6, 7, 2**40, 2**40 + 1])
    for draw in (draw_image_noise, draw_renoise):
        there = draw(torch.from_numpy(ids), N, law, 5)
        assert there.dtype == torch.float32
        np.testing.assert_allclose(there, draw(ids, N, law, 5), atol=3e-6)


def test_resmoothed_noise_is_the_same_along_both_axes(drawn) -> None:
    psf = draw_psf(Observation(size=N, psf_e1=0.1, psf_e2=-0.05))
    resmoother = make_resmoother(psf, pixel_scale=SCALE)
    renoise = draw_renoise(IDS, N, LAW, 5)
    functions = {
        name: correlation_of(resmooth(drawn, resmoother, second).value)
        for name, second in (("turned", renoise), ("as it is", np.rot90(renoise, axes=(1, 2))), ("none", None))
    }
    anisotropy = {
        name: np.abs(function - quarter_turn(function)).max() / function[0, 0] for name, function in functions.items()
    }
    assert anisotropy["turned"] < 0.05
    assert anisotropy["as it is"] > 0.2
    assert anisotropy["none"] > 0.2


def test_taking_the_stamp_for_periodic_changes_only_its_rim() -> None:
    # Covariance of the FPFS moments under noise that goes on beyond the stamp, and under periodic noise.
    n, function = 64, gaussian_correlation(64, SCALE, 0.5, 0.4, 0.2)
    weights = make_moments(draw_psf(Observation()), pixel_scale=SCALE).pixels
    beyond = np.zeros((2 * n, 2 * n))
    lags = np.arange(-n // 2 + 1, n // 2)
    beyond[np.ix_(lags, lags)] = function[np.ix_(lags, lags)]

    def covariance(correlation: np.ndarray) -> np.ndarray:
        size = len(correlation)
        spectra = np.fft.fft2(weights, s=(size, size), axes=(0, 1))
        power = np.fft.fft2(correlation).real[..., None]
        return np.einsum("yxi,yxj->ij", spectra.conj(), power * spectra).real / size**2

    periodic, endless = covariance(function), covariance(beyond)
    assert np.abs(periodic - endless).max() < 1e-4 * np.abs(endless).max()


@pytest.fixture(scope="module")
def stamps():
    observation = Observation(size=N)
    images = draw_image_noise(np.arange(20), N, LAW, 1) + 10 * draw_psf(observation)
    return make_stamps(images, draw_psf(observation), pixel_scale=SCALE, noise_sigma=0.6, noise_correlation=ELLIPTICAL)


def test_stamps_are_measured_with_their_correlation(tmp_path: Path, stamps) -> None:
    found = measure(stamps, "fpfs", device="cpu")
    moments = make_moments(stamps["psf"].values, pixel_scale=SCALE)
    expected = fpfs_shapes(stamps["image"].values, moments, draw_renoise(np.arange(20), N, LAW, 0))
    np.testing.assert_allclose(found["e1"], expected[0], rtol=1e-5, atol=1e-6)
    white = measure(stamps.drop_vars("noise_correlation"), "fpfs", device="cpu")
    assert not (found["e1"] == white["e1"]).any()
    write(stamps, tmp_path / "stamps.zarr", chunk=8)
    opened = lensdask.open(tmp_path / "stamps.zarr")
    np.testing.assert_array_equal(opened["noise_correlation"], ELLIPTICAL)
    measure_run(
        tmp_path / "stamps.zarr", tmp_path / "shapes.zarr", estimator="fpfs", options=RunOptions(show_progress=False)
    )
    np.testing.assert_array_equal(lensdask.open(tmp_path / "shapes.zarr")["e1"], found["e1"])
    np.testing.assert_array_equal(measure(opened, "fpfs", device="cpu")["e1"].compute(), found["e1"])


def test_both_estimators_meet_the_correlated_renoise(stamps) -> None:
    images, ids = stamps["image"].values, np.arange(20)
    psf = stamps["psf"].values
    for name in ("fpfs", "d4cnn"):
        tables = [
            measure_stamps(images, ids, imaging, find_estimator(name), seed=0)
            for imaging in (Imaging(psf, SCALE, 0.6, noise_correlation=ELLIPTICAL), Imaging(psf, SCALE, 0.6))
        ]
        assert not (tables[0][:, 0] == tables[1][:, 0]).any()


def test_the_content_of_the_correlation_is_part_of_the_identity(stamps) -> None:
    other = make_stamps(
        stamps["image"].values, stamps["psf"].values, pixel_scale=SCALE, noise_sigma=0.6, noise_correlation=ELLIPTICAL.T
    )
    assert other.attrs["configuration_hash"] != stamps.attrs["configuration_hash"]


def broken(**change: float) -> np.ndarray:
    function = ELLIPTICAL.copy()
    for lag, value in change.items():
        function[tuple(map(int, lag[1:].split("_")))] = value
    return function


def waves() -> np.ndarray:
    """Return a function without positive power everywhere: a top hat of 3 lags."""
    function = np.zeros((N, N))
    function[np.ix_([-1, 0, 1], [-1, 0, 1])] = 1
    return function


REFUSED = {
    "shape": (np.ones((N, 3)), r"shape \(40, 3\); expected numbers of shape \(40, 40\)"),
    "centred": (np.fft.fftshift(ELLIPTICAL), r"at lag \(0, 0\), element \[0, 0\]; expected 1 there"),
    "covariance": (0.36 * ELLIPTICAL, r"0.36 at lag \(0, 0\)"),
    "one-sided": (broken(_0_3=0.5), "expected point symmetry"),
    "negative power": (waves(), "negative power -.*; expected a Fourier transform of zero or more"),
    "nan": (broken(_4_4=np.nan), "expected numbers"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_is_no_correlation_function_is_refused(mistake) -> None:
    function, message = REFUSED[mistake]
    psf = draw_psf(Observation(size=N))
    with pytest.raises(InputError, match=f"^noise_correlation: .*{message}"):
        make_stamps(np.zeros((2, N, N)), psf, pixel_scale=SCALE, noise_sigma=1.0, noise_correlation=function)


def test_observations_say_how_their_noise_is_correlated() -> None:
    assert noise_of(Observation()).correlation is None
    law = noise_of(Observation(size=N, noise_fwhm=0.5, noise_e1=0.4, noise_e2=0.2))
    np.testing.assert_array_equal(law.correlation, ELLIPTICAL)
    for wrong in ({"noise_fwhm": -0.1}, {"noise_fwhm": np.nan}, {"noise_e1": 0.8, "noise_e2": 0.7}):
        with pytest.raises(InputError):
            Observation(**wrong)
