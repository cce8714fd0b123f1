"""Stores whose chunks are cut along several dimensions, text coordinates, lists of numbers."""

import numpy as np
import pytest
import xarray as xr
import zarr

import lensdask
from lensdask.data import LSS_CHAINS, LSS_SUMMARIES, LSS_TILES, common_attributes, create, write_chunk
from lensdask.data import open as open_store
from lensdask.data.schema import Attribute
from lensdask.errors import InputError

SIZES = {"cosmology": 2, "seed": 3, "tile": 40, "field": 3, "bin": 4, "y": 4, "x": 4}
ATTRIBUTES = {
    "configuration_hash": "0",
    "pixel_scale": 75.0,
    "sky": "lognormal",
    "redshift": [0.0, 1.0],
    "n_of_z": [[1.0, 1.0], [0.5, 1.5]],
    "seed": 0,
}


def coords() -> dict:
    return {
        **{dim: np.arange(SIZES[dim]) for dim in ("cosmology", "seed", "tile", "bin")},
        "field": np.array(["kappa", "kappa_ia", "delta"]),
        "omega_m": np.array([0.3, 0.31]),
        "sigma8": np.array([0.8, 0.81]),
        "split": np.array([["training", "test", "test"]] * 2),
    }


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tiles.zarr"
    create(path, LSS_TILES, sizes=SIZES, coords=coords(), attributes=ATTRIBUTES)
    return path


def maps(value: float, *shape: int) -> np.ndarray:
    return np.full(shape or (1, *list(SIZES.values())[2:]), value, dtype=np.float32)


def test_chunks_are_counted_through_all_dimensions(path):
    for number in range(5):
        write_chunk(path, number, {"map": maps(number)})
    stored = open_store(path)["map"]
    expected = np.array([[0, 1, 2], [3, 4, np.nan]])
    np.testing.assert_array_equal(stored.min(("tile", "field", "bin", "y", "x")), expected)
    np.testing.assert_array_equal(stored.mean(("tile", "field", "bin", "y", "x"), skipna=False), expected)


def test_a_chunk_is_one_file_of_smaller_chunks(path):
    write_chunk(path, 4, {"map": maps(1)})
    array = zarr.open_group(path, mode="r")["map"]
    assert array.chunks == (1, 1, 32, 3, 4, 4, 4)
    assert array.shards == (1, 1, 64, 3, 4, 4, 4)
    assert [
        file.relative_to(path / "map" / "c").parts[:2] for file in (path / "map" / "c").rglob("*") if file.is_file()
    ] == [("1", "1")]
    assert open_store(path)["map"].chunksizes["tile"] == (32, 8)


@pytest.mark.parametrize(
    ("start", "values", "message"),
    [
        (6, maps(0), "no chunk 6 of 6"),
        (-1, maps(0), "no chunk -1 of 6"),
        (2, maps(0, 2, 40, 3, 4, 4, 4), "2 to 4 of 3 along 'seed'"),
        (0, maps(0, 1, 39, 3, 4, 4, 4), "shape"),
        (0, maps(0).astype(np.float64), "float64"),
    ],
)
def test_what_is_no_chunk_is_refused(path, start, values, message):
    with pytest.raises(InputError, match=message):
        write_chunk(path, start, {"map": values})


def test_longer_chunks_are_refused(tmp_path):
    with pytest.raises(InputError, match="chunk is 2; expected 1"):
        create(tmp_path / "a.zarr", LSS_TILES, sizes=SIZES, coords=coords(), attributes=ATTRIBUTES, chunk=2)


def test_links_out_of_the_store_are_refused(path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (path / "map" / "c" / "1").parent.mkdir()
    (path / "map" / "c" / "1").symlink_to(tmp_path / "elsewhere")
    write_chunk(path, 2, {"map": maps(0)})
    with pytest.raises(InputError, match="link"):
        write_chunk(path, 3, {"map": maps(0)})


def test_text_is_read_as_text(path):
    tiles = open_store(path)
    assert tiles["split"].dtype.kind == "U"
    assert tiles["map"].sel(field="delta").shape == (2, 3, 40, 4, 4, 4)
    assert (tiles["split"].where(tiles["split"] == "test", "other").values[:, 0] == "other").all()
    with pytest.raises(InputError, match="'field' is int64; expected str"):
        LSS_TILES.validate(tiles.assign_coords(field=[1, 2, 3]))
    raw = xr.open_zarr(path, consolidated=False)
    LSS_TILES.validate(raw)
    assert raw.attrs["n_of_z"] == ATTRIBUTES["n_of_z"]


@pytest.mark.parametrize(
    ("value", "right"),
    [([1, 2.5], True), ([[1], [2.0]], True), ([], True), (["a"], False), (1, False), ([True], False)],
)
def test_lists_of_numbers(value, right):
    assert Attribute("list of numbers", "1", "numbers").accepts(value) is right


@pytest.mark.parametrize("schema", [LSS_SUMMARIES, LSS_CHAINS])
def test_parameters_have_their_names_along_their_dimension(schema, tmp_path):
    names, number = ["omega_m", "s8"], 3
    text = {
        name: "x"
        for name, a in schema.attributes.items()
        if a.kind == "text" and name not in common_attributes(schema, {})
    }
    attributes = common_attributes(schema, {}) | text | {"parameters": names, "seed": 0}
    sizes = {dim: number for v in schema.variables.values() for dim in v.dims} | {"parameter": 2}
    data = {name: (v.dims, np.zeros([sizes[d] for d in v.dims], dtype=v.dtype)) for name, v in schema.variables.items()}
    index = {name: np.arange(number) for name in schema.coords if name != "parameter"}
    lensdask.write(xr.Dataset(data, index, attributes), tmp_path / "a.zarr")
    stored = open_store(tmp_path / "a.zarr")
    assert list(stored["parameter"].values) == names
    assert list(xr.open_zarr(tmp_path / "a.zarr", consolidated=False)["parameter"].values) == names
    variable = "theta" if schema is LSS_CHAINS else "theta_true"
    assert stored[variable].sel(parameter="s8").shape == stored[variable].shape[:-1]
    lensdask.write(stored, tmp_path / "b.zarr")
