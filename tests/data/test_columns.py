"""Columns as plain numbers: what is missing stays missing, and units are converted or refused."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn
from astropy.utils.masked import Masked
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.data.catalogues.columns import UsableRows, as_numbers, number_in_unit
from lensdask.errors import InputError


@pytest.mark.parametrize(
    "values",
    [
        np.ma.array([1.0, 99.0, 3.0], mask=[0, 1, 0]),
        MaskedColumn([1, 99, 3], mask=[0, 1, 0]),
        Masked([1.0, 99.0, 3.0], mask=[0, 1, 0]),
        Masked([1.0, 99.0, 3.0] * units.dimensionless_unscaled, mask=[0, 1, 0]),
        pd.Series([1, None, 3]),
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([1.0, pd.NA, 3.0], dtype=object),
        pd.array([1.0, None, 3.0], dtype="Float64"),
        [1.0, None, 3.0],
        np.array([1.0, pd.NA, 3], dtype=object),
    ],
    ids=lambda values: type(values).__name__,
)
def test_missing_values_are_masked(values: Any) -> None:
    found = as_numbers("g1", values)
    assert found.mask.tolist() == [False, True, False]
    assert found.compressed().tolist() == [1.0, 3.0]
    assert found.dtype == np.dtype("=f8")


@pytest.mark.parametrize(
    "values",
    [[1, 2], (1.0, 2.0), np.array([1, 2], ">i2"), np.array([1, 2], ">f4"), pd.Series([1, 2]), xr.DataArray([1.0, 2.0])],
    ids=lambda values: type(values).__name__,
)
def test_whole_columns_are_not(values: Any) -> None:
    found = as_numbers("g1", values)
    assert found.mask is np.ma.nomask or not found.mask.any()
    assert found.data.tolist() == [1.0, 2.0]
    assert found.dtype == np.dtype("=f8")


DEGREES = [30.0, 45.0]


@pytest.mark.parametrize(
    "values",
    [
        DEGREES * units.deg,
        np.radians(DEGREES) * units.rad,
        [2.0, 3.0] * units.hourangle,
        [2.0, 3.0] * units.hour,
        SkyCoord(DEGREES, [0, 0], unit="deg").ra,
        Column(np.radians(DEGREES), unit="rad"),
        Column(np.radians(DEGREES), unit="RADIANS"),
        Column(DEGREES, unit="degrees"),
        MaskedColumn([2.0, 3.0], unit="Hours"),
        Column(DEGREES),
        DEGREES,
        xr.DataArray(np.radians(DEGREES), attrs={"units": "rad"}),
    ],
    ids=repr,
)
def test_angles_become_degrees(values: Any) -> None:
    np.testing.assert_allclose(as_numbers("ra", values, "deg").data, DEGREES, rtol=1e-14)


def test_pure_numbers() -> None:
    np.testing.assert_allclose(as_numbers("g1", [10, 20] * units.percent).data, [0.1, 0.2], rtol=1e-15)
    assert as_numbers("g1", Column([0.1], unit="ellipticity")).tolist() == [0.1]


@pytest.mark.parametrize(
    ("values", "unit", "message"),
    [
        ([1.0] * units.m, "deg", "v: in m; expected deg, or what converts to it"),
        ([1.0] * units.hour, "", "v: in h; expected a pure number"),
        ([1.0] * units.deg, "", "v: in deg; expected a pure number"),
        ([1.0] * units.mag, "", "v: in mag; expected a pure number"),
        (Column([1.0], unit="furlongs"), "deg", "v: in furlongs; expected deg"),
        (SkyCoord([1.0], [2.0], unit="deg"), "deg", "v: positions on the sky; expected one angle of them"),
        (["1"], "", "v: text; expected one real number"),
        (pd.Series(["a", None]), "", "v: text; expected one real number"),
        ([b"1"], "", "v: text; expected"),
        ([1j], "", "v: complex numbers; expected"),
        (pd.Series([1j]), "", "v: complex numbers; expected"),
        (np.array(["2026-01-01"], "M8[D]"), "", "v: of type datetime64"),
        ([{}], "", "v: of type object"),
        ([[1], [2, 3]], "", "v: rows of different lengths"),
    ],
    ids=repr,
)
def test_what_is_no_such_number_is_refused(values: Any, unit: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        as_numbers("v", values, unit)
    assert "\n" not in str(refused.value)


def test_single_numbers() -> None:
    assert number_in_unit("overlap", 30 * units.arcsec, "arcmin") == pytest.approx(0.5, rel=1e-15)
    assert number_in_unit("overlap", 0.5, "arcmin") == 0.5
    assert number_in_unit("overlap", "0.5", "arcmin") == "0.5"
    with pytest.raises(InputError, match="overlap: in kg"):
        number_in_unit("overlap", 1 * units.kg, "arcmin")


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_rows_that_are_left_have_all_values(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12))
    numbers = st.sampled_from([0.0, 1.0, -2.0, np.nan, np.inf])
    columns = {
        name: np.ma.array(
            data.draw(st.lists(numbers, min_size=size, max_size=size)),
            mask=data.draw(st.lists(st.booleans(), min_size=size, max_size=size)),
        )
        for name in data.draw(st.sampled_from([("g1", "g2"), ("g1", "weight")]))
    }
    whole = [
        not any(np.ma.is_masked(c[i]) or not np.isfinite(c.data[i]) for c in columns.values()) for i in range(size)
    ]
    weight = columns.get("weight", np.ma.ones(size))
    unused = [weight[i] is not np.ma.masked and weight[i] == 0 for i in range(size)]
    kept = [i for i in range(size) if whole[i] and not unused[i]]
    lost = size - len(kept) - sum(unused)
    usable, ends = UsableRows(drop_bad=True), (0, data.draw(st.integers(0, size)), size)
    blocks = [usable.among({name: column[slice(*ends)] for name, column in columns.items()}) for ends in pairwise(ends)]
    for name, column in columns.items():
        assert np.concatenate([block[name] for block in blocks]).tolist() == column.data[kept].tolist()
    assert usable.used == len(kept)
    if lost and not kept:
        with pytest.raises(InputError, match=f"dropped {lost} of {size} galaxies"):
            usable.line()
        return
    line = usable.line()
    assert line.startswith(f"dropped {lost} of {size} galaxies: ") if lost else not line
