"""Several PSFs: each galaxy is measured with its own, prepared once for all galaxies that share it."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import lensdask
from lensdask.data import SHAPES, save_weights, write
from lensdask.errors import InputError
from lensdask.shear import (
    Imaging,
    Observation,
    RunOptions,
    draw_psf,
    find_estimator,
    make_stamps,
    measure,
    measure_run,
    measure_stamps,
    run_bias,
    simulate_run,
)
from lensdask.shear.imaging import imaging_of_observation
from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig, describe
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import draw_psfs, draw_stamps, psf_index
from lensdask.shear.simulation.simulated import observed_stamps

N, COUNT, PSFS = 48, 40, 3
SEVERAL = Observation(size=N, psfs=PSFS, psf_scatter=0.08, psf_e1=0.05)
IDS = np.arange(COUNT)
INDEX = np.random.default_rng(0).integers(0, PSFS, COUNT)
QUIET = RunOptions(device="cpu", show_progress=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a small network with random weights."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    config = D4CNNConfig(channels=(4, 8), strides=(1, 2), hidden=8, grid_points=24, grid_spacing=0.4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        save_weights(path, D4CNN(config).state_dict(), describe(config))
    return path


@pytest.fixture(params=["fpfs", "network"])
def estimator(request, small) -> str | Path:
    return small if request.param == "network" else request.param


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    rng = np.random.default_rng(3)
    psfs = draw_psfs(SEVERAL, 1)
    return (200 * psfs[INDEX] + 0.5 * rng.normal(size=(COUNT, N, N))).astype(np.float32)


@pytest.fixture(scope="module")
def stamps(images) -> xr.Dataset:
    return make_stamps(images, draw_psfs(SEVERAL, 1), psf_index=INDEX, pixel_scale=0.2, noise_sigma=0.5)


def table_of(shapes: xr.Dataset) -> np.ndarray:
    SHAPES.validate(shapes)
    return np.stack([shapes[name].values for name in SHAPES.variables], axis=-1)


def test_same_as_measuring_the_galaxies_of_each_psf_alone(stamps, images, estimator) -> None:
    found = table_of(measure(stamps, estimator, device="cpu"))
    psfs = draw_psfs(SEVERAL, 1)
    for number in range(PSFS):
        mine = np.flatnonzero(number == INDEX)
        alone = make_stamps(images[mine], psfs[number], galaxy=IDS[mine], pixel_scale=0.2, noise_sigma=0.5)
        expected = table_of(measure(alone, estimator, device="cpu"))
        np.testing.assert_allclose(found[mine], expected, rtol=2e-5, atol=2e-6)
    # The PSFs differ enough for a mix-up to show.
    mixed_up = stamps.assign_coords(psf_index=("galaxy", (INDEX + 1) % PSFS))
    wrong = table_of(measure(mixed_up, estimator, device="cpu"))
    assert np.abs(wrong - found)[:, :6].max() > 1e-3


def test_same_as_one_psf_per_galaxy(stamps, images, estimator) -> None:
    each = make_stamps(images, draw_psfs(SEVERAL, 1)[INDEX], pixel_scale=0.2, noise_sigma=0.5)
    found, expected = (table_of(measure(s, estimator, device="cpu")) for s in (stamps, each))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_stores_and_chunks_give_the_same_bits(tmp_path: Path, stamps, estimator) -> None:
    write(stamps, tmp_path / "stamps.zarr", chunk=7)
    opened = lensdask.open(tmp_path / "stamps.zarr")
    xr.testing.assert_equal(opened.compute(), stamps)
    expected = table_of(measure(stamps, estimator, device="cpu"))
    lazy = measure(opened, estimator, device="cpu")
    assert lazy["e1"].chunks is not None
    np.testing.assert_array_equal(table_of(lazy.compute(scheduler="synchronous")), expected)
    measure_run(tmp_path / "stamps.zarr", tmp_path / "shapes.zarr", estimator=estimator, options=QUIET)
    np.testing.assert_array_equal(table_of(lensdask.open(tmp_path / "shapes.zarr")), expected)


def test_moments_of_several_psfs_are_those_of_each(images) -> None:
    psfs, double = draw_psfs(SEVERAL, 1), images.astype(np.float64)
    several = make_moments(psfs, pixel_scale=0.2, shared=True)
    found = fpfs_shapes(double, several.pick(INDEX), double[::-1])
    for i in range(5):
        one = make_moments(psfs[INDEX[i]], pixel_scale=0.2)
        expected = fpfs_shapes(double[i : i + 1], one, double[::-1][i : i + 1])[:, 0]
        np.testing.assert_allclose(found[:, i], expected, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="shared=True"):
        make_moments(psfs, pixel_scale=0.2).pick(INDEX)


def test_a_chunk_prepares_each_psf_once(monkeypatch, images) -> None:
    prepared = []

    def counted(psf: np.ndarray, **settings: object) -> object:
        prepared.append(np.shape(psf))
        return make_moments(psf, **settings)

    monkeypatch.setattr("lensdask.shear.shapes.columns.make_moments", counted)
    many = np.tile(draw_psfs(SEVERAL, 1), (5, 1, 1))
    imaging = Imaging(many, 0.2, 0.5, psf_index=INDEX)
    measure_stamps(images, IDS, imaging, find_estimator("fpfs"), seed=0)
    # Three of the fifteen PSFs occur.
    assert prepared == [(PSFS, N, N)]


def test_sheared_versions_of_a_galaxy_share_its_psf(images) -> None:
    versions = np.stack([images, images[::-1]], axis=1)
    imaging = Imaging(draw_psfs(SEVERAL, 1), 0.2, 0.5, psf_index=INDEX)
    both = measure_stamps(versions, IDS, imaging, find_estimator("fpfs"), seed=0)
    for k in range(2):
        alone = measure_stamps(versions[:, k], IDS, imaging, find_estimator("fpfs"), seed=0)
        np.testing.assert_array_equal(both[:, k], alone)


def test_simulated_pairs_take_turns_in_the_psfs() -> None:
    np.testing.assert_array_equal(psf_index(np.arange(10), SEVERAL), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1])
    # A galaxy drawn with PSF j of several is the same galaxy drawn with that PSF alone.
    ids = np.array([4, 5])
    rows = np.repeat(mock_galaxies(1, np.array([2])), 2)
    quiet = Observation(size=N, psfs=PSFS, psf_scatter=0.0)
    several, one = draw_stamps(rows, ids, quiet, 1), draw_stamps(rows, ids, Observation(size=N), 1)
    np.testing.assert_array_equal(several, one)
    assert not (draw_stamps(rows, ids, SEVERAL, 1) == one).all()


def test_psfs_scatter_as_told_and_by_the_seed() -> None:
    many = Observation(size=N, psfs=400, psf_scatter=0.02)
    psfs = draw_psfs(many, 5)
    np.testing.assert_array_equal(psfs[:3], draw_psfs(Observation(size=N, psfs=3, psf_scatter=0.02), 5))
    assert not (psfs == draw_psfs(many, 6)).all(axis=(1, 2)).any()
    # Gaussian-weighted second moments; their response to ellipticity is that of one sheared PSF.
    x = (np.arange(N) - (N - 1) / 2) * 0.2
    weight = np.exp(-(x**2 + x[:, None] ** 2) / 2 / 0.4**2)

    def shape(psf: np.ndarray) -> np.ndarray:
        return ((x**2 - x[:, None] ** 2) * weight * psf).sum((-2, -1)) / ((x**2 + x[:, None] ** 2) * weight * psf).sum(
            (-2, -1)
        )

    response = shape(draw_psf(Observation(size=N, psf_e1=0.02))) / 0.02
    assert shape(psfs).std() / response == pytest.approx(0.02, rel=0.15)
    assert shape(psfs).mean() / response == pytest.approx(0.0, abs=5 * 0.02 / 20)


@pytest.mark.parametrize("estimator", ["fpfs", "d4cnn"])
def test_shear_is_unbiased_with_varying_psfs(tmp_path: Path, estimator) -> None:
    count = 120 if estimator == "fpfs" else 24
    observation = Observation(psfs=4, psf_scatter=0.1, noise="exchanged")
    outcome = run_bias(
        tmp_path / "bias", galaxies=count, estimator=estimator, observation=observation, seed=3, options=QUIET
    )
    m, c = outcome.bias.values[:2], outcome.bias.values[2:4]
    assert (np.abs(m) < 1e-3).all()
    assert (np.abs(c) < 1e-5).all()


def test_the_wrong_psf_biases() -> None:
    # What the test above could not see if the measurement took the mean PSF.
    rows, ids = np.repeat(mock_galaxies(1, np.arange(40)), 2), np.arange(80)
    observation = Observation(psfs=4, psf_scatter=0.1, noise_sigma=0.0)
    images = observed_stamps(rows, ids, observation, 3)
    right = imaging_of_observation(observation, ids, 3)
    wrong = Imaging(draw_psf(observation), 0.2, 0.0)
    tables = [measure_stamps(images, ids, i, find_estimator("fpfs"), seed=3) for i in (right, wrong)]
    first, second = (t[::2, 0, 0] + t[1::2, 1, 0] for t in tables)
    assert np.abs(first).max() < 1e-5
    assert np.abs(second).max() > 1e-2


def test_a_simulated_store_is_that_of_the_bias_test(tmp_path: Path) -> None:
    simulate_run(tmp_path / "stamps.zarr", galaxies=20, observation=SEVERAL, seed=3, chunk=6, options=QUIET)
    opened = lensdask.open(tmp_path / "stamps.zarr")
    np.testing.assert_array_equal(opened["psf_index"], psf_index(np.arange(20), SEVERAL))
    np.testing.assert_array_equal(opened["psf"], draw_psfs(SEVERAL, 3))
    measure_run(tmp_path / "stamps.zarr", tmp_path / "shapes.zarr", estimator="fpfs", options=QUIET)
    run_bias(tmp_path / "bias", galaxies=20, estimator="fpfs", observation=SEVERAL, seed=3, options=QUIET)
    found, expected = (table_of(lensdask.open(tmp_path / p)) for p in ("shapes.zarr", "bias/shapes.zarr"))
    np.testing.assert_array_equal(found, expected)


REFUSED = {
    "too large": (INDEX + 1, r"1 to 3 with PSFs of shape \(3, 48, 48\); expected 0 to k - 1, \(k, n, n\)"),
    "negative": (INDEX - 1, "-1 to 1 with"),
    "too few": (INDEX[:5], r"int64 of shape \(5,\); expected 40 whole numbers"),
    "no integers": (INDEX + 0.0, r"float64 of shape \(40,\); expected 40 whole numbers"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_wrong_indices_are_refused(images, mistake) -> None:
    index, message = REFUSED[mistake]
    with pytest.raises(InputError, match=f"^psf_index: {message}"):
        make_stamps(images, draw_psfs(SEVERAL, 1), psf_index=index, pixel_scale=0.2, noise_sigma=0.5)


def test_several_psfs_without_an_index_are_refused(images) -> None:
    with pytest.raises(InputError, match=r"^psf: shape \(3, 48, 48\); expected \(48, 48\) or \(40, 48, 48\)"):
        make_stamps(images, draw_psfs(SEVERAL, 1), pixel_scale=0.2, noise_sigma=0.5)
    with pytest.raises(InputError, match=r"^psf_index: .* with PSFs of shape \(48, 48\)"):
        make_stamps(images, draw_psf(SEVERAL), psf_index=INDEX, pixel_scale=0.2, noise_sigma=0.5)


@pytest.mark.parametrize("mistake", [{"psfs": 0}, {"psfs": 2, "psf_scatter": 0.5}, {"psf_scatter": 0.1}])
def test_impossible_psfs_are_refused(mistake) -> None:
    with pytest.raises(InputError, match=r"^psfs?(_scatter)?: .*; expected "):
        Observation(**mistake)
