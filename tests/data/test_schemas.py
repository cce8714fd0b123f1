"""Schemas accept what they describe and refuse the rest in one line."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from lensdask.data import SCHEMAS, SHAPES, STAMPS, common_attributes
from lensdask.errors import InputError


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
