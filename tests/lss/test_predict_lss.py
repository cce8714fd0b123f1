"""Summaries of a sample are the same to the bit in any chunk, and by both doors."""

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

from lensdask.compute import RunOptions, journal_path, start_cluster
from lensdask.data import open as open_store
from lensdask.data import write
from lensdask.errors import InputError
from lensdask.lss import Split, compress, find_compressor, predict_run, read_recipe, train
from lensdask.lss.features import BANDS

QUIET = RunOptions(show_progress=False)
SAMPLES = 20


@pytest.fixture(scope="module")
def predicted(tile_store, tiny_compressor, tmp_path_factory):
    path = tmp_path_factory.mktemp("summaries") / "summaries.zarr"
    predict_run(tile_store, tiny_compressor, path, samples=SAMPLES, chunk=8, seed=4, options=QUIET)
    return open_store(path).load()


def test_what_a_store_says(predicted, tile_store, tiny_compressor):
    assert dict(predicted.sizes) == {"sample": SAMPLES, "parameter": 7, "feature": 8 * BANDS}
    assert list(predicted["parameter"].values) == ["omega_m", "s8", "a_ia", "b_g", "r_g", "eta_ia", "eta_b"]
    assert predicted.attrs["compressor_sha256"] == find_compressor(tiny_compressor).sha256
    assert predicted.attrs["tiles_hash"] == open_store(tile_store).attrs["configuration_hash"]
    assert (predicted.attrs["probe"], predicted.attrs["summary"]) == ("combined", "hybrid")
    assert (predicted.attrs["split"], predicted.attrs["seed"]) == ("likelihood", 4)
    truth = predicted["theta_true"].sel(parameter=["omega_m", "s8"]).values
    tiles = open_store(tile_store)
    omega_m, sigma8 = tiles["omega_m"].values, tiles["sigma8"].values
    simulated = np.stack([omega_m, sigma8 * np.sqrt(omega_m / 0.3)], axis=1)
    assert (abs(truth[:, None] - simulated).max(axis=2).min(axis=1) < 1e-6).all()


@pytest.mark.parametrize("chunk", [3, 20])
def test_same_bits_in_any_chunk(predicted, tile_store, tiny_compressor, tmp_path, chunk):
    with start_cluster("threads", workers=2) as client:
        options = replace(QUIET, cluster=client)
        predict_run(tile_store, tiny_compressor, tmp_path / "s", samples=SAMPLES, chunk=chunk, seed=4, options=options)
    other = open_store(tmp_path / "s")
    for name in ("theta_true", "theta_summary", "power"):
        np.testing.assert_array_equal(other[name].values, predicted[name].values)


def test_the_lazy_door_gives_the_same(predicted, tile_store, tiny_compressor):
    lazy = compress(open_store(tile_store), tiny_compressor, samples=SAMPLES, seed=4, chunk=7)
    assert lazy["theta_summary"].chunks[0] == (7, 7, 6)
    for name in ("theta_true", "theta_summary", "power"):
        np.testing.assert_array_equal(lazy[name].compute(scheduler="synchronous").values, predicted[name].values)
    assert compress(open_store(tile_store), tiny_compressor).sizes["sample"] == 5


def test_parameters_can_be_fixed(tile_store, tiny_compressor):
    lazy = compress(open_store(tile_store), tiny_compressor, samples=3, fixed={"a_ia": 0.5, "r_g": 0.7})
    np.testing.assert_allclose(lazy["theta_true"].sel(parameter=["a_ia", "r_g"]), [[0.5, 0.7]] * 3)
    assert len(np.unique(lazy["theta_true"].sel(parameter="b_g"))) == 3


def test_what_does_not_fit_is_refused(tile_store, tiny_compressor, tmp_path):
    path = tmp_path / "s.zarr"

    def predict(compressor=tiny_compressor, **settings):
        predict_run(tile_store, compressor, path, options=QUIET, **{"samples": 4, **settings})

    with pytest.raises(InputError, match="split: 'all'; expected training, validation"):
        predict(split="all")
    with pytest.raises(InputError, match=r"compressor '.*nothing' is unknown|compressor '.*nothing'; expected"):
        predict(tmp_path / "nothing")
    with pytest.raises(InputError, match="fixed parameter: 'omega_m'"):
        predict(fixed={"omega_m": 0.3})
    with pytest.raises(InputError, match=r"a_ia: 9; expected a number from -6 to 6"):
        predict(fixed={"a_ia": 9.0})
    with pytest.raises(InputError, match="samples"):
        predict(samples=0)
    assert not path.exists()


def test_a_compressor_of_one_probe(tile_store, tmp_path):
    recipe = read_recipe("lss-tiny")
    recipe = replace(
        recipe, model=replace(recipe.model, probe="lensing", side=1), training=replace(recipe.training, epochs=1)
    )
    train(tmp_path / "l.safetensors", recipe, tiles=tile_store)
    lazy = compress(open_store(tile_store), tmp_path / "l.safetensors", samples=2)
    assert lazy.attrs["probe"] == "lensing"
    assert np.isfinite(lazy["theta_summary"].compute(scheduler="synchronous")).all()


def test_tiles_of_other_galaxies_are_refused(tile_store, tiny_compressor, tmp_path):
    tiles = open_store(tile_store)
    other = tiles.assign_attrs(n_of_z=[*tiles.attrs["n_of_z"][1:], tiles.attrs["n_of_z"][0]])
    with pytest.raises(InputError, match=r"another n\(z\) than that of the compressor"):
        compress(other, tiny_compressor)
    with pytest.raises(InputError, match="schema 'lss_summaries'; expected 'lss_tiles'"):
        compress(compress(tiles, tiny_compressor, samples=2), tiny_compressor)
    with pytest.raises(InputError, match="samples: 0"):
        compress(tiles, tiny_compressor, samples=0)
    with pytest.raises(InputError, match="split: 'all'"):
        compress(tiles, tiny_compressor, split="all")
    write(tiles.assign_coords(sigma8=tiles["sigma8"] * 0 + 0.4), tmp_path / "low.zarr")
    with pytest.raises(InputError, match=r"low.zarr: a cosmology of omega_m .* expected all inside of the prior"):
        predict_run(tmp_path / "low.zarr", tiny_compressor, tmp_path / "s.zarr", samples=2, options=QUIET)


@pytest.fixture
def other_sky(tile_store, tmp_path):
    """Return the path of the same tiles, which say that particles made them."""
    write(open_store(tile_store).isel(seed=[2]).assign_attrs(sky="nbody"), tmp_path / "nbody.zarr")
    return tmp_path / "nbody.zarr"


def test_tiles_of_another_sky_are_warned_of(predicted, other_sky, tile_store, tiny_compressor, tmp_path):
    assert (predicted.attrs["sky"], predicted.attrs["compressor_sky"]) == ("lognormal", "lognormal")
    told = []
    settings = {"samples": 2, "options": QUIET, "warn": told.append}
    predict_run(tile_store, tiny_compressor, tmp_path / "same.zarr", **settings)
    assert not told
    predict_run(other_sky, tiny_compressor, tmp_path / "other.zarr", **settings)
    (line,) = told
    assert line.startswith("the compressor learned from lognormal tiles and is used on nbody ones")
    lazy = compress(open_store(other_sky), tiny_compressor, samples=2)
    for found in (open_store(tmp_path / "other.zarr"), lazy):
        assert (found.attrs["sky"], found.attrs["compressor_sky"]) == ("nbody", "lognormal")


def test_unfinished_tiles_are_refused(tile_store, tiny_compressor, tmp_path):
    tiles = tmp_path / "tiles.zarr"
    shutil.copytree(tile_store, tiles)
    lines = journal_path(tile_store).read_text().splitlines(keepends=True)
    journal_path(tiles).write_text("".join(lines[:-2]))
    message = r'tiles.zarr: 18 of 20 simulations done.* continue lensdask lss simulate with if_exists="resume"'
    with pytest.raises(InputError, match=message):
        predict_run(tiles, tiny_compressor, tmp_path / "s.zarr", samples=2, options=QUIET)
    with pytest.raises(InputError, match=message):
        train(tmp_path / "c.safetensors", read_recipe("lss-tiny"), tiles=tiles)
    assert not list(tmp_path.glob("[cs].*"))


def test_a_split_travels_without_the_tiles_that_it_has_read(tile_store):
    split = Split(open_store(tile_store), "training")
    before = len(pickle.dumps(split))
    maps = split.group(0, 0, 5)
    assert len(pickle.dumps(split)) < 2 * before < maps.nbytes
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(split)).group(0, 0, 5), maps)
    assert split.group(0, 0, 5) is maps


def test_tiles_in_a_bucket_give_the_same(predicted, tile_store, tiny_compressor, bucket, tmp_path):
    write(open_store(tile_store), f"{bucket}/tiles.zarr")
    settings = {"samples": SAMPLES, "chunk": 8, "seed": 4, "options": QUIET}
    predict_run(f"{bucket}/tiles.zarr", tiny_compressor, tmp_path / "s.zarr", **settings)
    found = open_store(tmp_path / "s.zarr")
    for name in ("theta_true", "theta_summary", "power"):
        np.testing.assert_array_equal(found[name].values, predicted[name].values)
