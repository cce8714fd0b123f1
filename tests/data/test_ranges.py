"""Ids that are a range: in memory nowhere, on disk an attribute, and selected by as others are."""

import time

import numpy as np
import pandas as pd
import psutil
import pytest
import xarray as xr
import zarr
from small_stores import small_store

import lensdask
from lensdask import data
from lensdask.data import SHAPES
from lensdask.data.checksums import seal
from lensdask.data.template import coordinate_values
from lensdask.errors import InputError

ATTRIBUTES = {"configuration_hash": "0", "estimator": "fpfs"}
SURVEY = 4_000_000_000


def shapes_store(path, ids, chunk=4):
    """Write the template of shapes with such ids, and their rows if they are few."""
    data.create(path, SHAPES, sizes={"galaxy": len(ids)}, coords={"galaxy": ids}, attributes=ATTRIBUTES, chunk=chunk)
    if len(ids) < 100:
        rows = np.arange(len(ids), dtype="float32")
        data.write_chunk(path, 0, {name: rows + k for k, name in enumerate(SHAPES.variables)})
    return path


@pytest.mark.filterwarnings("ignore:.*chunks are missing")
def test_four_billion_galaxies_are_opened_in_a_moment(tmp_path):
    process = psutil.Process()
    before, began = process.memory_info().rss, time.process_time()
    store = shapes_store(tmp_path / "survey.zarr", range(SURVEY), chunk=1 << 20)
    shapes = lensdask.open(store)
    # Of the processor's time: others may be at work here.
    assert time.process_time() - began < 1
    assert process.memory_info().rss - before < 300e6
    assert shapes.sizes["galaxy"] == SURVEY
    assert shapes["galaxy"].dtype == np.int64
    assert "32GB" in repr(shapes)
    some = shapes.sel(galaxy=[5, SURVEY - 1])["e1"]
    assert (some.shape, some["galaxy"].values.tolist()) == ((2,), [5, SURVEY - 1])
    assert shapes.sel(galaxy=slice(10, 19)).sizes["galaxy"] == 10
    with pytest.raises(KeyError):
        shapes.sel(galaxy=SURVEY)
    assert process.memory_info().rss - before < 300e6
    assert sum(file.stat().st_size for file in store.rglob("*") if file.is_file()) < 100e3


@pytest.mark.parametrize("ids", [range(20), range(100, 120), range(7, 47, 2)])
def test_they_are_what_an_array_of_them_is(tmp_path, ids):
    lazy = lensdask.open(shapes_store(tmp_path / "range.zarr", ids, chunk=20))
    listed = lensdask.open(shapes_store(tmp_path / "array.zarr", np.array(ids), chunk=20))
    assert not (tmp_path / "range.zarr" / "galaxy").exists()
    assert isinstance(lazy.indexes["galaxy"], pd.RangeIndex)
    assert lazy.load().identical(listed.load())
    assert lazy["galaxy"].attrs == listed["galaxy"].attrs
    for chosen in (ids[3], [ids[9], ids[2]], slice(ids[4], ids[8])):
        assert lazy.sel(galaxy=chosen).identical(listed.sel(galaxy=chosen))
    (one, other) = xr.align(lazy.isel(galaxy=slice(5)), listed.isel(galaxy=slice(3, 9)))
    assert one["galaxy"].values.tolist() == other["galaxy"].values.tolist() == list(ids[3:5])


def test_they_stay_a_range_where_a_part_is_written(tmp_path):
    shapes = lensdask.open(shapes_store(tmp_path / "a.zarr", range(20), chunk=20))
    part = shapes.isel(galaxy=slice(4, 16, 3))
    data.write(part, tmp_path / "b.zarr")
    again = lensdask.open(tmp_path / "b.zarr")
    assert coordinate_values(again["galaxy"]) == range(4, 16, 3)
    assert again.load().identical(part.load())
    picked = shapes.isel(galaxy=[3, 1, 2])
    data.write(picked, tmp_path / "c.zarr")
    assert lensdask.open(tmp_path / "c.zarr").load().identical(picked.load())
    assert coordinate_values(picked["galaxy"]).tolist() == [3, 1, 2]


BOUNDS = [3, [0, 2, 1], [0, 3, 0], [0, 3.5, 1], [0, 2**70, 1]]


@pytest.mark.parametrize("ranges", [7, {"nothing": [0, 3, 1]}, *({"galaxy": bounds} for bounds in BOUNDS)])
def test_ranges_that_are_none_are_refused(tmp_path, ranges):
    store = small_store(tmp_path / "a.zarr", SHAPES.name)
    zarr.open_group(store).attrs["index_ranges"] = ranges
    seal(store)
    with pytest.raises(InputError, match=r"'index_ranges' is .*; expected start, stop and step of indices by name"):
        lensdask.open(store)
