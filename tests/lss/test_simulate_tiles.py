"""Simulated stores of tiles: the same bits however they are made, four sets, refused input, plain xarray."""

import sys
import warnings

import numpy as np
import pytest
import xarray as xr

import lensdask
from lensdask.compute import RunOptions
from lensdask.errors import InputError
from lensdask.lss import FIELDS, SPLITS, simulate, simulate_run, split_of
from lensdask.sky import (
    NbodyBox,
    TileGrid,
    calibration_cosmologies,
    choose_cosmologies,
    grid_cosmologies,
    nbody_tiles,
    tomographic_tiles,
)

QUIET = RunOptions(show_progress=False)
SMALL = {"cosmologies": 2, "seeds": 4, "tiles": 40, "grid": TileGrid(size=8, pixel_scale=37.5), "seed": 5}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiles") / "tiles.zarr"
    assert simulate_run(path, options=QUIET, **SMALL).objects == 8
    return path


def test_what_a_store_holds(store):
    tiles = lensdask.open(store)
    assert dict(tiles.sizes) == {"cosmology": 2, "seed": 4, "tile": 40, "field": 3, "bin": 4, "y": 8, "x": 8}
    assert tiles["map"].dims == tuple(tiles.sizes)
    assert tiles["map"].dtype == np.float32
    # What can be read alone.
    assert tiles["map"].chunks[:3] == ((1, 1), (1, 1, 1, 1), (32, 8))
    assert tuple(tiles["field"].values) == FIELDS
    assert list(tiles["bin"].values) == [1, 2, 3, 4]
    assert tiles["omega_m"].values[0] == 0.2915
    assert (tiles["split"].values == SPLITS).all()
    assert (tiles.attrs["pixel_scale"], tiles.attrs["sky"], tiles.attrs["seed"]) == (37.5, "lognormal", 5)
    mean = np.trapezoid(np.multiply(tiles.attrs["n_of_z"], tiles.attrs["redshift"]), tiles.attrs["redshift"], axis=1)
    np.testing.assert_allclose(mean, [0.31, 0.48, 0.75, 0.94], atol=0.006)
    assert np.diff(tiles["x"].values) == pytest.approx(37.5)


def test_maps_are_those_of_the_sky(store):
    tiles, cosmology = lensdask.open(store), choose_cosmologies(2)[1]
    expected = tomographic_tiles([7, 39], cosmology, number=3, grid=SMALL["grid"], seed=5)
    np.testing.assert_array_equal(tiles["map"][1, 3, [7, 39]].values, expected)
    one = tiles["map"].sel(field="delta", bin=2, seed=3, tile=7).isel(cosmology=1)
    np.testing.assert_array_equal(one.values, expected[0, 2, 1])


def test_xarray_reads_a_store_without_lensdask(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiles = xr.open_zarr(store, consolidated=False)
    assert tiles["map"].dims == lensdask.open(store)["map"].dims
    assert list(tiles["split"].values[0]) == list(SPLITS)
    assert tiles["map"].sel(field="kappa_ia", bin=1).shape == (2, 4, 40, 8, 8)
    assert {"omega_m", "sigma8", "split", "field", "x"} <= set(tiles.coords)


def test_lazy_maps_are_those_of_the_run(store, tmp_path):
    lazy = simulate(**SMALL)
    xr.testing.assert_identical(
        lazy.drop_attrs(deep=False).compute(), lensdask.open(store).drop_attrs(deep=False).compute()
    )
    assert lazy.attrs == lensdask.open(store).attrs
    # A part of it, written and read.
    part = lazy.isel(cosmology=[1], seed=slice(1, 3), tile=slice(0, 33))
    lensdask.write(part, tmp_path / "part.zarr")
    xr.testing.assert_identical(lensdask.open(tmp_path / "part.zarr").compute(), part.compute())


@pytest.mark.parametrize("cluster", ["threads", "local"])
def test_clusters_and_fewer_tiles_give_the_same_maps(store, tmp_path, cluster):
    path = tmp_path / "again.zarr"
    fewer = SMALL | {"cosmologies": "2", "seeds": 2, "tiles": 5}
    simulate_run(path, options=RunOptions(cluster=cluster, workers=2, show_progress=False), **fewer)
    np.testing.assert_array_equal(lensdask.open(path)["map"], lensdask.open(store)["map"][:, :2, :5])


def test_a_killed_run_is_resumed(store, tmp_path):
    from lensdask.compute import journal_path

    path = tmp_path / "again.zarr"
    simulate_run(path, options=QUIET, **SMALL)
    # As if it had been killed after the first three simulations.
    lines = journal_path(path).read_text().splitlines(keepends=True)
    done = [i for i, line in enumerate(lines) if '"done"' in line]
    journal_path(path).write_text("".join(lines[: done[2] + 1]))
    resumed = simulate_run(path, options=RunOptions(if_exists="resume", show_progress=False), **SMALL)
    assert resumed.objects == 5
    np.testing.assert_array_equal(lensdask.open(path)["map"], lensdask.open(store)["map"])
    with pytest.raises(InputError, match="another configuration"):
        simulate_run(path, options=RunOptions(if_exists="resume"), **SMALL | {"seed": 6})


def test_maps_of_particles(tmp_path):
    box, path = NbodyBox(particles=8, side=500.0, steps=3), tmp_path / "nbody.zarr"
    settings = SMALL | {"sky": "nbody", "box": box, "cosmologies": 1, "seeds": 2}
    assert simulate_run(path, options=QUIET, **settings).objects == 2
    tiles = lensdask.open(path)
    assert (tiles.attrs["sky"], list(tiles.attrs["box"])) == ("nbody", [8, 500.0, 3])
    expected = nbody_tiles([39], choose_cosmologies(1)[0], number=1, grid=SMALL["grid"], seed=5, box=box)
    np.testing.assert_array_equal(tiles["map"][0, 1, [39]].values, expected)
    # A box is made once, lazily too.
    lazy = simulate(**settings)
    assert lazy["map"].chunks[:3] == ((1,), (1, 1), (40,))
    np.testing.assert_array_equal(lazy["map"][0, 1], tiles["map"][0, 1])
    more = settings | {"box": NbodyBox(particles=8, side=500.0, steps=4)}
    with pytest.raises(InputError, match="another configuration"):
        simulate_run(path, options=RunOptions(if_exists="resume"), **more)


def test_sets():
    fiducial, calibration = choose_cosmologies(1)[0], choose_cosmologies("calibration:2")[1]
    assert [split_of(fiducial, n) for n in range(4)] == list(SPLITS)
    assert [split_of(fiducial, n) for n in (4, 5, 6, 7)] == ["training", "training", "training", "validation"]
    assert {split_of(calibration, n) for n in range(6)} == {"test"}
    assert len(grid_cosmologies()) + len(calibration_cosmologies()) == 185


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sky": "other"}, "sky: 'other'; expected lognormal or nbody"),
        ({"box": NbodyBox()}, "expected none with sky='lognormal'"),
        ({"seeds": 0}, "seeds: 0; expected a whole number from 1 to 1024"),
        ({"seeds": 1025}, "seeds: 1025"),
        ({"tiles": 0}, "tiles: 0"),
        ({"seed": -1}, "seed: -1"),
        ({"cosmologies": 58}, "58 of the grid; expected a whole number from 1 to 57"),
        ({"cosmologies": "none.txt"}, "none.txt"),
    ],
)
def test_bad_numbers_are_refused(tmp_path, wrong, message):
    with pytest.raises(InputError) as caught:
        simulate_run(tmp_path / "no.zarr", options=QUIET, **SMALL | wrong)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_cosmologies_without_theory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyccl", None)
    (tmp_path / "mine.txt").write_text("0.2915 0.7835\n0.31 0.8\n")
    with pytest.raises(InputError, match="pyccl is not installed"):
        simulate_run(tmp_path / "no.zarr", options=QUIET, **SMALL | {"cosmologies": tmp_path / "mine.txt"})
