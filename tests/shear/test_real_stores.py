"""Stores of anybody's stamps, without a dimension of shears, measured as a run and in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import lensdask
from lensdask.data import SHAPES, save_weights, write
from lensdask.shear import Observation, RunOptions, calibrate, make_stamps, measure, measure_run
from lensdask.shear.noise import draw_noise
from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig, describe
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import draw_psf, draw_stamps

COUNT, CHUNK = 8, 3
"""The last chunk is a shorter one."""

IDS = np.array([40, 3, 1000, 7, 2**40, 12, 0, 55])
OPTIONS = RunOptions(device="cpu", show_progress=False)


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


@pytest.fixture(scope="module", params=["shared_psf", "psf_per_stamp"])
def stamps(request) -> xr.Dataset:
    """Return stamps of eight galaxies with noise; with a PSF each, the PSFs differ in shape and size."""
    ids = np.arange(COUNT)
    observations = [Observation()] * COUNT
    if request.param == "psf_per_stamp":
        rng = np.random.default_rng(8)
        observations = [
            Observation(psf_fwhm=fwhm, psf_e1=e1, psf_e2=e2)
            for fwhm, e1, e2 in rng.uniform([0.7, -0.1, -0.1], [0.9, 0.1, 0.1], (COUNT, 3))
        ]
    rows, shear = mock_galaxies(8, ids), np.array([[0.01, -0.02]])
    images = np.concatenate(
        [draw_stamps(rows[i : i + 1], ids[i : i + 1], observations[i], 8, shear)[:, 0] for i in ids]
    )
    noise = draw_noise(ids, 64, 0.594, 8, lensdask.random.Stream.NOISE)
    psfs = np.stack([draw_psf(observation) for observation in observations])
    psf = psfs if request.param == "psf_per_stamp" else psfs[0]
    return make_stamps(images + noise, psf, pixel_scale=0.2, noise_sigma=0.594, galaxy=IDS)


def columns(shapes: xr.Dataset) -> dict[str, np.ndarray]:
    return {name: shapes[name].values for name in SHAPES.variables}


def assert_same_bits(found: xr.Dataset, expected: xr.Dataset) -> None:
    expected_columns = columns(expected)
    for name, values in columns(found).items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, expected_columns[name], strict=True)


def test_a_store_keeps_the_stamps(tmp_path: Path, stamps) -> None:
    write(stamps, tmp_path / "stamps.zarr", chunk=CHUNK)
    opened = lensdask.open(tmp_path / "stamps.zarr")
    assert opened.chunksizes["galaxy"] == (3, 3, 2)
    assert "shear" not in opened.dims
    assert opened["psf"].dims == stamps["psf"].dims
    # The store adds units to the variables; values and the attributes of the dataset are those written.
    xr.testing.assert_equal(opened.compute(), stamps)
    assert opened.attrs == stamps.attrs


def test_a_run_measures_as_memory_does(tmp_path: Path, stamps, estimator) -> None:
    write(stamps, tmp_path / "stamps.zarr", chunk=CHUNK)
    result = measure_run(tmp_path / "stamps.zarr", tmp_path / "shapes.zarr", estimator=estimator, options=OPTIONS)
    assert result.quarantined == ()
    assert result.objects == COUNT
    shapes = lensdask.open(tmp_path / "shapes.zarr")
    SHAPES.validate(shapes)
    assert dict(shapes.sizes) == {"galaxy": COUNT}
    assert shapes.chunksizes["galaxy"] == (3, 3, 2)
    np.testing.assert_array_equal(shapes["galaxy"], IDS)
    found = shapes.compute()
    assert all(np.isfinite(values).all() for values in columns(found).values())

    eager = measure(stamps, estimator, device="cpu")
    assert_same_bits(found, eager)
    lazy = measure(lensdask.open(tmp_path / "stamps.zarr"), estimator, device="cpu")
    assert_same_bits(lazy.compute(scheduler="synchronous"), eager)
    assert found.attrs["estimator"] == eager.attrs["estimator"]

    in_store, in_memory = calibrate(found, replicas=50), calibrate(eager, replicas=50)
    np.testing.assert_array_equal(in_store.g, in_memory.g)
    np.testing.assert_array_equal(in_store.errors, in_memory.errors)


def test_every_stamp_meets_its_own_psf(tmp_path: Path, stamps, estimator) -> None:
    # Galaxy by galaxy, each alone with its PSF.
    write(stamps, tmp_path / "stamps.zarr", chunk=CHUNK)
    measure_run(tmp_path / "stamps.zarr", tmp_path / "shapes.zarr", estimator=estimator, options=OPTIONS)
    found = columns(lensdask.open(tmp_path / "shapes.zarr"))
    for i in range(COUNT):
        one = stamps.isel(galaxy=slice(i, i + 1))
        psf = one["psf"].values
        alone = make_stamps(
            one["image"].values,
            psf[0] if psf.ndim == 3 else psf,
            pixel_scale=0.2,
            noise_sigma=0.594,
            galaxy=IDS[i : i + 1],
        )
        expected = columns(measure(alone, estimator, device="cpu"))
        for name, values in found.items():
            np.testing.assert_allclose(values[i], expected[name][0], rtol=1e-4, atol=1e-6)
