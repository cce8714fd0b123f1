from collections.abc import Callable
from itertools import product
from pathlib import Path

import dask
import numpy as np
import pytest
import torch
import xarray as xr

from lensdask.data import SHAPES, STAMPS, save_weights
from lensdask.errors import InputError
from lensdask.shear.imaging import Imaging
from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig, describe
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.shapes.measurement import COLUMNS, measure, measure_stamps
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import Observation, draw_psf
from lensdask.shear.simulation.simulated import observed_stamps
from lensdask.shear.stamps import make_stamps

COUNT = 70
"""More than one batch of the measurement, and no multiple of it."""


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    ids = np.arange(COUNT)
    return observed_stamps(mock_galaxies(2, ids), ids, Observation(), 2)[:, 0]


@pytest.fixture(scope="module")
def psf() -> np.ndarray:
    return draw_psf(Observation(psf_e1=0.02, psf_e2=-0.02))


@pytest.fixture(scope="module")
def make(images, psf) -> Callable[..., xr.Dataset]:
    def made(**changes: object) -> xr.Dataset:
        arguments = {"images": images, "psf": psf, "pixel_scale": 0.2, "noise_sigma": 0.594} | changes
        return make_stamps(arguments.pop("images"), arguments.pop("psf"), **arguments)

    return made


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = D4CNNConfig(channels=(4, 6), strides=(1, 2), grid_points=16, grid_spacing=0.4)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    save_weights(path, D4CNN(config).state_dict(), describe(config))
    return path


def broken(images: np.ndarray, *rows: int) -> np.ndarray:
    changed = images.copy()
    for row in rows:
        changed[row, 3, 5] = np.nan if row % 2 else np.inf
    return changed


def ids_with(**changes: int) -> np.ndarray:
    ids = np.arange(COUNT) * 10
    for place, value in changes.items():
        ids[int(place.removeprefix("at"))] = value
    return ids


BAD_INPUTS = {
    "not_square": (lambda i, _: {"images": i[:, :, :-2]}, r"images: shape \(70, 64, 62\); .*square"),
    "one_stamp_without_axis": (lambda i, _: {"images": i[0]}, r"images: shape \(64, 64\)"),
    "odd": (lambda i, p: {"images": i[:, 1:, 1:], "psf": p[1:, 1:]}, r"images: shape \(70, 63, 63\); .*even"),
    "empty": (lambda i, _: {"images": i[:0]}, r"images: shape \(0, 64, 64\); .*at least one"),
    "no_pixels": (lambda i, p: {"images": i[:, :0, :0], "psf": p[:0, :0]}, r"images: shape \(70, 0, 0\)"),
    "nan": (lambda i, _: {"images": broken(i, 7, 12)}, r"images: .*not finite in galaxy 7, 12; expected"),
    "many_nan": (lambda i, _: {"images": broken(i, *range(9))}, r"galaxy 0, 1, 2, 3, 4 and 4 more; expected"),
    "nan_names_ids": (
        lambda i, _: {"images": broken(i, 7), "galaxy": ids_with(at7=12345)},
        r"not finite in galaxy 12345; expected",
    ),
    "psf_of_another_size": (lambda _, p: {"psf": p[1:-1, 1:-1]}, r"psf: shape \(62, 62\); .*\(64, 64\)"),
    "too_few_psfs": (lambda _, p: {"psf": np.stack([p] * 3)}, r"psf: shape \(3, 64, 64\); .*\(70, 64, 64\)"),
    "psf_not_normalised": (lambda _, p: {"psf": 2 * p}, r"psf: .*sum to 1\.99"),
    "psf_zero": (lambda _, p: {"psf": 0 * p}, r"psf: .*sum to 0;"),
    "one_psf_not_normalised": (
        lambda _, p: {"psf": np.stack([p] * (COUNT - 1) + [1.5 * p])},
        r"psf: .*sum to 1\.49",
    ),
    "psf_nan": (lambda _, p: {"psf": np.where(p == p.max(), np.nan, p)}, "psf: .*not finite"),
    "negative_noise": (lambda _, __: {"noise_sigma": -0.1}, r"noise_sigma: -0\.1; expected a number of at least 0"),
    "nan_noise": (lambda _, __: {"noise_sigma": float("nan")}, "noise_sigma: nan; expected"),
    "infinite_noise": (lambda _, __: {"noise_sigma": float("inf")}, "noise_sigma: inf; expected"),
    "zero_pixel_scale": (
        lambda _, __: {"pixel_scale": 0.0},
        r"pixel_scale: 0\.0; expected a number from 0\.001 to 100",
    ),
    "pixel_scale_in_degrees": (lambda _, __: {"pixel_scale": 5.5e-5}, r"pixel_scale: 5\.5e-05; .*side.* in arcsec"),
    "repeated_ids": (lambda _, __: {"galaxy": ids_with(at3=50)}, "galaxy: ids repeat"),
    "negative_id": (lambda _, __: {"galaxy": ids_with(at3=-1)}, "galaxy: ids .*negative"),
    "too_few_ids": (lambda _, __: {"galaxy": np.arange(3)}, r"galaxy: int64 of shape \(3,\); expected 70"),
    "ids_not_integers": (lambda _, __: {"galaxy": np.arange(COUNT) + 0.5}, "galaxy: float64 .*integer ids"),
}


@pytest.mark.parametrize(("change", "message"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_bad_input_is_refused_in_one_line(make, images, psf, change, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(**change(images, psf))
    text = str(caught.value)
    assert "\n" not in text
    assert "; expected " in text


@pytest.mark.parametrize("each", [False, True], ids=["shared_psf", "psf_per_stamp"])
def test_good_input_is_a_valid_dataset(make, images, psf, each) -> None:
    ids = ids_with()
    stamps = make(psf=np.stack([psf] * COUNT) if each else psf, galaxy=ids)
    STAMPS.validate(stamps)
    np.testing.assert_array_equal(stamps["image"], images)
    np.testing.assert_array_equal(stamps["galaxy"], ids)
    assert stamps.attrs["noise_sigma"] == 0.594


def test_ids_are_numbered_where_none_are_given(make) -> None:
    np.testing.assert_array_equal(make()["galaxy"], np.arange(COUNT))


# Chunks of one stamp measure seventy full batches: one kind is enough.
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize(
    ("name", "each", "chunk"),
    [("fpfs", False, 1), *product(("fpfs", "network"), (False, True), (9, 32, 64, COUNT))],
)
def test_lazy_measurement_is_bit_identical_to_eager(make, psf, network_file, name, each, chunk, scheduler) -> None:
    which = "fpfs" if name == "fpfs" else network_file
    stamps = make(psf=np.stack([psf] * COUNT) if each else psf, galaxy=ids_with())
    lazy = measure(stamps.chunk(galaxy=chunk), which, device="cpu")
    assert all(dask.is_dask_collection(lazy[column]) for column in COLUMNS)
    with dask.config.set(scheduler=scheduler):
        result = lazy.compute()
    eager = measure(stamps, which, device="cpu")
    xr.testing.assert_identical(result, eager)
    SHAPES.validate(eager)
    assert all(np.isfinite(eager[column]).all() for column in COLUMNS)


def test_measurement_is_that_of_the_estimator(make, images, psf) -> None:
    # The columns, computed by hand from image, PSF and a noiseless claim.
    shapes = measure(make(noise_sigma=0.0), "fpfs", device="cpu")
    expected = fpfs_shapes(images, make_moments(psf, pixel_scale=0.2))
    for name, column in zip(COLUMNS, expected, strict=False):
        np.testing.assert_allclose(shapes[name], column, rtol=1e-6)
    assert (shapes["weight"] == 1).all()


def test_renoise_is_keyed_by_id(make, images) -> None:
    # A galaxy gives the same result among other galaxies, if its id stays; another id is another renoise.
    whole = measure(make(galaxy=ids_with()), "fpfs", device="cpu")
    some = np.array([5, 40, 3])
    part = measure(make(images=images[some], galaxy=ids_with()[some]), "fpfs", device="cpu")
    other = measure(make(images=images[some]), "fpfs", device="cpu")
    for name in COLUMNS[:9]:
        np.testing.assert_array_equal(part[name], whole[name][some])
        assert not (other[name] == part[name]).any()


def test_sheared_versions_of_a_galaxy_share_the_renoise(images, psf) -> None:
    ids = np.arange(8)
    versions = np.stack([images[:8], images[8:16]], axis=1)
    imaging = Imaging(psf, 0.2, 0.594)
    both = measure_stamps(versions, ids, imaging, find_estimator("fpfs"), seed=0)
    assert both.shape == (8, 2, len(COLUMNS))
    for k in (0, 1):
        alone = measure_stamps(versions[:, k], ids, imaging, find_estimator("fpfs"), seed=0)
        np.testing.assert_array_equal(both[:, k], alone)


def test_broken_pixels_are_named_when_measured(images, psf) -> None:
    with pytest.raises(InputError, match=r"^stamps: pixels are not finite in galaxy 14; expected numbers$"):
        measure_stamps(broken(images, 7), 2 * np.arange(COUNT), Imaging(psf, 0.2, 0.0), find_estimator("fpfs"), seed=0)


@pytest.mark.parametrize("name", ["fpsf", "some/where.pt"])
def test_unknown_estimators_are_refused(make, name) -> None:
    with pytest.raises(InputError, match=r"estimator .* is unknown; expected fpfs, d4cnn, .* or a \.safetensors file"):
        measure(make(), name)
