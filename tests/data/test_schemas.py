"""Schemas accept what they describe and refuse the rest in one line."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from small_stores import make_old

import lensdask
from lensdask.data import SCHEMAS, SHAPES, SHEAR_MAPS, STAMPS, common_attributes
from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps, shear_dataset
from lensdask.maps.pixelisation import bin_catalogue


def shapes(shear: bool = True) -> xr.Dataset:
    dims, size = (("galaxy", "shear"), (6, 2)) if shear else (("galaxy",), (6,))
    coords: dict = {"galaxy": np.arange(6)}
    if shear:
        coords |= {"g1": ("shear", [0.02, -0.02]), "g2": ("shear", [0.0, 0.0])}
    values = {name: (dims, np.ones(size, "float32")) for name in SHAPES.variables}
    attributes = common_attributes(SHAPES, {}) | {"estimator": "fpfs"}
    return xr.Dataset(values, coords, attributes)


@pytest.mark.parametrize("shear", [True, False])
def test_valid_with_and_without_optional_dimension(shear):
    SHAPES.validate(shapes(shear))


def test_valid_when_cut_at_one_shear():
    SHAPES.validate(shapes().isel(shear=0))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.drop_vars("e1"), "'e1' is missing"),
        (lambda d: d.assign(extra=d["e1"]), "'extra' is unknown"),
        (lambda d: d.drop_vars("galaxy"), "'galaxy' is missing"),
        (lambda d: d.assign(e1=d["e1"].astype("float64")), "'e1' is float64; expected float32"),
        (lambda d: d.assign(e1=d["e1"].T), "'e1' has dimensions"),
        (lambda d: d.assign_coords(galaxy=d["galaxy"].astype("int32")), "'galaxy' is int32"),
        (lambda d: d.drop_attrs(), "attribute 'schema' is missing"),
        (lambda d: d.assign_attrs(schema_version=99), "version 99; expected shapes version 1"),
        (lambda d: d.assign_attrs(schema="stamps"), "schema stamps"),
    ],
)
def test_invalid_is_refused_in_one_line(spoil, message):
    with pytest.raises(InputError, match=message) as caught:
        SHAPES.validate(spoil(shapes()))
    assert "\n" not in str(caught.value)


def test_optional_dimensions():
    image = STAMPS.variables["image"]
    assert image.dims_among(("galaxy", "y", "x")) == ("galaxy", "y", "x")
    assert image.dims_among(("y", "x")) == ("galaxy", "y", "x")
    assert STAMPS.variables["psf"].dims_among(("y", "x")) == ("y", "x")


def test_every_variable_is_described():
    for schema in SCHEMAS.values():
        for variable in (schema.variables | schema.coords).values():
            assert variable.units
            assert variable.meaning
            assert np.dtype(variable.dtype)
        assert set(common_attributes(schema, {})) <= set(schema.attributes)


def test_data_imports_neither_dask_nor_torch():
    code = "import sys, lensdask.data; assert not {'dask', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


PACKAGE = Path(lensdask.__file__).parent
ELSEWHERE = {"quantity"}
"""Attributes of tables that are no stores."""


def named_attributes(tree: ast.Module) -> set[str]:
    """Return the names of attributes of datasets that a module reads: ``x.attrs["name"]``, ``x.attrs.get("name")``."""
    nodes = [
        *(node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript) and is_attrs(node.value)),
        *(node.args[0] for node in ast.walk(tree) if isinstance(node, ast.Call) and reads_attrs(node.func)),
    ]
    return {node.value for node in nodes if isinstance(node, ast.Constant)}


def is_attrs(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "attrs"


def reads_attrs(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "get" and is_attrs(node.value)


def test_every_attribute_that_code_reads_is_declared():
    declared = {name for schema in SCHEMAS.values() for name in schema.attributes}
    found = {}
    for path in PACKAGE.rglob("*.py"):
        found |= dict.fromkeys(named_attributes(ast.parse(path.read_text())), path.name)
    assert {"pixel_scale", "configuration_hash"} <= set(found)
    assert set(found) - declared <= ELSEWHERE


def test_every_attribute_is_described():
    for schema in SCHEMAS.values():
        for attribute in schema.attributes.values():
            assert attribute.units
            assert attribute.meaning
            # What is optional has a default of its type, or none.
            assert attribute.required or attribute.default is None or attribute.accepts(attribute.default)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("pixel_scale", [0.82, 0.9], "a number"),
        ("pixel_scale", True, "a number"),
        ("pixel_scale", None, "a number"),
        ("source", 1.0, "a text or None"),
        ("seed", 1.5, "a whole number or None"),
        ("resolution", "0.45", "a number"),
    ],
)
def test_attributes_of_another_type_are_not_written(tmp_path, name, value, expected):
    dataset = maps().assign_attrs({name: value})
    with pytest.raises(InputError, match=f"attribute '{name}' is .*; expected {expected}$"):
        lensdask.write(dataset, tmp_path / "maps.zarr")
    assert not list(tmp_path.iterdir())


def test_attributes_of_a_user_travel_along(tmp_path):
    dataset = maps().assign_attrs(observer="Zwicky", seed=np.int64(3), density=np.float64(30))
    lensdask.write(dataset, tmp_path / "maps.zarr")
    assert lensdask.open(tmp_path / "maps.zarr").attrs == dataset.attrs


def test_an_optional_attribute_has_its_default():
    assert SHEAR_MAPS.attribute(maps(), "resolution") == 0.0
    assert SHEAR_MAPS.attribute(maps().assign_attrs(resolution=0.45), "resolution") == 0.45
    with pytest.raises(KeyError):
        SHEAR_MAPS.attribute(maps().drop_attrs(), "pixel_scale")


# --- descriptions and coordinates -------------------------------------------------------------------------------------


def maps(height: int = 4, width: int = 5) -> xr.Dataset:
    shape = (1, height, width)
    known = ShearMaps(*(np.full(shape, value) for value in (0.1, 0.0, 10.0, 0.0, 1.0)))
    return shear_dataset(known, count=np.ones(shape), pixel_scale=0.5, centre=(150.0, 2.0))


def test_datasets_in_memory_are_described_as_those_of_stores(tmp_path):
    dataset = maps()
    lensdask.write(dataset, tmp_path / "maps.zarr")
    stored = lensdask.open(tmp_path / "maps.zarr")
    xr.testing.assert_identical(stored.load(), dataset)
    assert dataset["g1"].attrs == SHEAR_MAPS.variables["g1"].description
    assert dataset["ra"].attrs["units"] == "deg"


def test_pixels_of_maps_have_coordinates_from_the_centre():
    dataset = maps()
    np.testing.assert_array_equal(dataset["x"], [-1.0, -0.5, 0.0, 0.5, 1.0])
    np.testing.assert_array_equal(dataset["y"], [-0.75, -0.25, 0.25, 0.75])
    assert dataset["x"].attrs["units"] == "arcmin"
    assert dataset["weight"].sel(x=0.1, y=0.3, method="nearest").item() == 10.0
    assert dataset["g1"].interp(x=0.25, y=0.0).item() == pytest.approx(0.1)


def test_galaxies_lie_in_the_pixel_of_their_coordinates():
    dataset = bin_catalogue([1.1], [-0.7], [0.1], [0.0], pixel_scale=0.5, shape=(4, 6), centre=(0.0, 0.0), sigma_e=0.3)
    assert dataset["count"].sel(x=1.1, y=-0.7, method="nearest").item() == 1


def test_a_cut_keeps_the_places_of_its_pixels(tmp_path):
    cut = maps().isel(x=slice(2, None))
    lensdask.write(cut, tmp_path / "cut.zarr")
    np.testing.assert_array_equal(lensdask.open(tmp_path / "cut.zarr")["x"], [0.0, 0.5, 1.0])


def test_maps_of_old_have_the_coordinates_when_they_are_opened(tmp_path):
    lensdask.write(maps(), tmp_path / "maps.zarr")
    make_old(tmp_path / "maps.zarr")
    group = zarr.open_group(tmp_path / "maps.zarr")
    for name in ("x", "y"):
        del group[name]
    xr.testing.assert_identical(lensdask.open(tmp_path / "maps.zarr").load(), maps())


def test_describing_leaves_the_dataset_as_it_was():
    bare = shapes()
    described = SHAPES.described(bare)
    assert described["e1"].attrs == {"units": "1", "long_name": "ellipticity, first component"}
    assert described["galaxy"].attrs["long_name"] == "id of the galaxy"
    assert not bare["e1"].attrs
    assert set(described.coords) == set(bare.coords)
