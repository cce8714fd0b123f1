"""What a user knows of the galaxies travels with them: from stamps to shapes, in memory, lazily and in stores."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lensdask
from lensdask.data import SHAPES, STAMPS, write
from lensdask.errors import InputError
from lensdask.shear import Observation, RunOptions, make_stamps, measure, measure_run
from lensdask.shear.simulation.observation import draw_psf

COUNT, N = 6, 32
OPTIONS = RunOptions(device="cpu", show_progress=False)
RNG = np.random.default_rng(0)
COLUMNS = {
    "redshift": np.array([0.1, 0.2, np.nan, 1.5, 0.0, -1.0]),
    "ra": np.linspace(0, 360, COUNT).astype(">f8"),
    "bin": np.array([0, 0, 1, 2, 0, 65535], dtype=np.uint16),
    "is_red": np.array([True, False, True, False, False, True]),
    "patch": np.array(["a", "", "Süd", "d", "e", "a longer name"]),
    "magnitude": RNG.normal(size=COUNT).astype(np.float32),
    "object_id": np.arange(COUNT, dtype=np.uint64) + np.uint64(2**63),
}


@pytest.fixture(scope="module")
def arrays() -> dict:
    psf = draw_psf(Observation(size=N, psf_fwhm=0.6))
    images = (100 * psf + 0.1 * RNG.normal(size=(COUNT, N, N))).astype(np.float32)
    return {"images": images, "psf": psf / psf.sum(), "pixel_scale": 0.2, "noise_sigma": 0.1}


@pytest.fixture(scope="module")
def stamps(arrays) -> xr.Dataset:
    """Return stamps with columns, most of them coordinates and two of them variables with attributes."""
    stamps = make_stamps(**arrays, columns=COLUMNS)
    stamps["exposure"] = ("galaxy", np.arange(COUNT) * 30.0, {"units": "s", "comment": "effective", "depth": 26.5})
    stamps["epoch"] = ("galaxy", np.arange(COUNT), {"units": "days since 2000-01-01"})
    stamps["redshift"].attrs["catalogue"] = "photo-z"
    return stamps


def assert_columns(found: xr.Dataset, stamps: xr.Dataset, schema: lensdask.data.Schema) -> None:
    schema.validate(found)
    for name in (*COLUMNS, "exposure", "epoch"):
        # Stores give the byte order of the machine, and text of its own length.
        np.testing.assert_array_equal(found[name].values, stamps[name].values, strict=name not in ("patch", "ra"))
        assert found[name].attrs == stamps[name].attrs
        assert (name in found.coords) == (name in COLUMNS)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_columns_travel_from_stamps_to_shapes(stamps, is_lazy) -> None:
    assert_columns(stamps, stamps, STAMPS)
    shapes = measure(stamps.chunk(galaxy=4) if is_lazy else stamps, "fpfs", device="cpu")
    assert_columns(shapes, stamps, SHAPES)
    plain = measure(stamps.drop_vars([*COLUMNS, "exposure", "epoch"]), "fpfs", device="cpu")
    np.testing.assert_array_equal(shapes["e1"], plain["e1"])


def test_columns_travel_through_stores_and_runs(tmp_path: Path, stamps) -> None:
    write(stamps, tmp_path / "stamps.zarr", chunk=4)
    opened = lensdask.open(tmp_path / "stamps.zarr")
    assert_columns(opened, stamps, STAMPS)
    measure_run(tmp_path / "stamps.zarr", tmp_path / "shapes.zarr", estimator="fpfs", options=OPTIONS)
    shapes = lensdask.open(tmp_path / "shapes.zarr")
    assert_columns(shapes, stamps, SHAPES)
    np.testing.assert_array_equal(shapes["e1"], measure(stamps, "fpfs", device="cpu")["e1"])
    write(shapes, tmp_path / "again.zarr")
    assert_columns(lensdask.open(tmp_path / "again.zarr"), stamps, SHAPES)
    write(measure(opened, "fpfs", device="cpu"), tmp_path / "lazy.zarr")
    assert_columns(lensdask.open(tmp_path / "lazy.zarr"), stamps, SHAPES)


def test_galaxies_are_picked_by_a_column(stamps) -> None:
    shapes = measure(stamps, "fpfs", device="cpu")
    near = shapes.isel(galaxy=shapes["redshift"].values < 1)
    np.testing.assert_array_equal(near["galaxy"], [0, 1, 4, 5])
    assert near["patch"].values.tolist() == ["a", "", "e", "a longer name"]


def test_other_columns_are_other_stamps(arrays) -> None:
    hashes = set()
    for patch in (["a"] * COUNT, ["b"] * COUNT, np.array(["b"] * COUNT, dtype=object), [b"b"] * COUNT):
        made = make_stamps(**arrays, columns={"patch": np.array(patch)})
        hashes.add(made.attrs["configuration_hash"])
    assert len(hashes) == 2


REFUSED = {
    "too few": ({"z": np.zeros(3)}, r"columns: 'z' has shape \(3,\); expected \(6,\), one value for each galaxy"),
    "masked": ({"z": np.ma.masked_less(np.arange(6.0), 2)}, "columns: 'z' is masked; expected a value for every"),
    "a name of shapes": ({"flux": np.zeros(6)}, "columns: 'flux' is a name of lensdask; expected another"),
    "a dimension": ({"x": np.zeros(6)}, "columns: 'x' is a name of lensdask; expected another"),
    "complex": ({"z": np.zeros(6) + 0j}, "stamps dataset: column 'z' is complex128; expected numbers, truth values or"),
    "times": (
        {"z": np.zeros(6, "datetime64[ns]")},
        r"stamps dataset: column 'z' is datetime64\[ns\]; expected numbers",
    ),
    "objects": ({"z": np.array([None] * 6)}, "stamps dataset: column 'z' is object; expected numbers, truth values or"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_is_no_column_is_refused(arrays, mistake) -> None:
    columns, message = REFUSED[mistake]
    with pytest.raises(InputError, match=f"^{message}"):
        make_stamps(**arrays, columns=columns)


def test_a_column_with_the_name_of_what_is_measured_is_refused(stamps) -> None:
    with pytest.raises(InputError, match=r"^stamps: column 'weight' has the name of what is measured; expected"):
        measure(stamps.assign(weight=("galaxy", np.ones(COUNT))), "fpfs", device="cpu")


def test_attributes_that_are_no_json_are_refused(stamps) -> None:
    odd = stamps.copy()
    odd["redshift"].attrs["table"] = [1, 2]
    with pytest.raises(
        InputError, match=r"^stamps dataset: column 'redshift': attribute 'table' is \[1, 2\]; expected"
    ):
        STAMPS.validate(odd)


def test_variables_along_other_dimensions_are_still_unknown(stamps) -> None:
    with pytest.raises(InputError, match=r"^stamps dataset: variable 'background' is unknown; expected image, psf"):
        STAMPS.validate(stamps.assign(background=(("y", "x"), np.zeros((N, N)))))
