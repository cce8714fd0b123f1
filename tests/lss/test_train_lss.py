"""Compressors are trained on simulations that no prediction is made from, the same whatever interrupts them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from lensdask.data import load_card, load_weights, write
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.lss import find_compressor, read_recipe, train
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.forward.samples import draw_samples
from lensdask.lss.networks.cnn import CNN_SMALL
from lensdask.lss.networks.power import POWER_SMALL
from lensdask.lss.networks.recipe import recipe_for
from lensdask.lss.networks.trainingset import FIRST_TRAINING, FIRST_VALIDATION, Mosaics
from lensdask.lss.networks.units import from_units, to_units
from lensdask.lss.spectra import ell_edges
from lensdask.lss.tiles import Split, open_split, open_tiles
from lensdask.training import recipe_names

TINY = read_recipe("lss-tiny")


def mosaics(tile_store, inputs=("spectra", "tiles", "mosaic"), split="training", **settings):
    model = ForwardModel(side=2, ell_max=1500.0, **settings)
    return Mosaics(open_split(open_tiles(tile_store)[1], split), model, inputs, "signed", 3, "cpu")


def test_a_mosaic_is_the_same_in_any_batch(tile_store):
    made = mosaics(tile_store)
    whole = made.batch(FIRST_TRAINING, 7)
    for first, count in ((0, 3), (3, 1), (4, 3)):
        for part, all_of_it in zip(made.batch(FIRST_TRAINING + first, count), whole, strict=True):
            np.testing.assert_allclose(part, all_of_it[first : first + count], rtol=1e-5, atol=1e-6)


def test_the_mosaic_holds_the_tiles(tile_store):
    _, tiles, mosaic, theta = mosaics(tile_store).batch(0, 2)
    assert tiles.shape == (2, 8, 4, 64, 64)
    np.testing.assert_array_equal(mosaic[:, :, :64, 64:], tiles[:, :, 1])
    assert theta.shape == (2, 7)


def test_spectra_end_at_the_limit_in_multipole(tile_store):
    spectra = mosaics(tile_store, ("spectra",)).batch(0, 2)[0]
    beyond = ell_edges(64, 4.6875)[:-1] >= 1500
    assert 0 < beyond.sum() < 5
    assert not spectra[..., beyond].any()
    assert (spectra[:, 0, ~beyond] > 0).all()


def test_splits_share_no_simulation(tile_store):
    dataset, reference = open_tiles(tile_store)
    places = {name: open_split(reference, name)._places for name in ("training", "validation", "likelihood", "test")}
    every = np.concatenate(list(places.values()))
    assert len(np.unique(every, axis=0)) == len(every) == dataset.sizes["cosmology"] * dataset.sizes["seed"]


def test_tiles_of_samples_are_those_of_their_cosmology(tile_store):
    dataset, reference = open_tiles(tile_store)
    split = open_split(reference, "training")
    model = ForwardModel(side=2)
    samples = draw_samples(np.arange(12), split.boxes, model, 0)
    taken = split.take(samples)
    for row in range(12):
        cosmology = int(np.argmin(abs(dataset["omega_m"].values - samples.theta[row, 0])))
        seed = int(np.flatnonzero(dataset["split"].values[cosmology] == "training")[0])
        for place in range(4):
            maps = dataset["map"][cosmology, seed, int(samples.tile[row, place])].values
            for axis in np.flatnonzero(samples.flip[row, place]):
                maps = np.flip(maps, axis=2 + axis)
            np.testing.assert_array_equal(taken[row, :, :, place], maps)


def test_what_was_read_is_forgotten_where_memory_is_short(tile_store, monkeypatch):
    dataset, _ = open_tiles(tile_store)
    split = Split(dataset, "training")
    samples = draw_samples(np.arange(12), split.boxes, ForwardModel(side=2), 0)
    whole = split.take(samples)
    assert len(split._read) == len(np.unique(samples.box)) > 2
    monkeypatch.setattr("lensdask.lss.tiles._CACHE_BYTES", 2 * split.group(0, 0, 5).nbytes)
    small = Split(dataset, "training")
    np.testing.assert_array_equal(small.take(samples), whole)
    assert len(small._read) == 2


def test_units_of_the_networks():
    prior = ForwardModel().prior
    ends = np.array([[p.low for p in prior], [p.high for p in prior]])
    np.testing.assert_allclose(to_units(ends, prior), [[-1] * 7, [1] * 7], atol=1e-12)
    np.testing.assert_allclose(from_units(to_units(ends, prior), prior), ends)


def test_the_card_says_how_it_was_made(tile_store, tiny_compressor):
    card = load_card(tiny_compressor)
    assert card["architecture"] == "hybrid"
    assert card["tiles_hash"] == open_store(tile_store).attrs["configuration_hash"]
    assert card["recipe"]["model"]["side"] == 2
    assert card["recipe"]["cross"] == "signed"
    found = find_compressor(tiny_compressor)
    assert (found.summary, found.cross, found.model) == ("hybrid", "signed", TINY.model)
    # The scaling is that of the training set, not the one of a new network.
    weights = load_weights(tiny_compressor)
    assert weights["scaling.mean"].abs().max() > 1


@pytest.mark.parametrize(("network", "fresh"), [(POWER_SMALL, False), (POWER_SMALL, True), (CNN_SMALL, True)])
def test_training_lowers_the_loss_and_repeats_after_being_cut_off(tile_store, tmp_path, network, fresh):
    recipe = replace(TINY, network=network, fresh=fresh, training=replace(TINY.training, epochs=3, learning_rate=1e-3))

    def stop(done, _history):
        if done == 2:
            raise KeyboardInterrupt

    whole = train(tmp_path / "whole.safetensors", recipe, tiles=tile_store)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut.safetensors", recipe, tiles=tile_store, on_epoch=stop)
    cut = train(tmp_path / "cut.safetensors", recipe, tiles=tile_store, resume=True)
    assert whole.history.validation[-1] < whole.history.validation[0]
    assert cut.card["sha256"] == whole.card["sha256"]


def test_networks_of_one_seed_see_the_same_mosaics(tile_store):
    signed, modulus = (
        replace(mosaics(tile_store, ("spectra",)), cross=cross).batch(FIRST_VALIDATION, 4)
        for cross in ("signed", "modulus")
    )
    torch.testing.assert_close(signed[1], modulus[1], rtol=0, atol=0)
    autos = [i for i, (a, b) in enumerate(zip(*np.triu_indices(8), strict=True)) if a == b]
    torch.testing.assert_close(signed[0][:, autos], modulus[0][:, autos], rtol=1e-5, atol=0)
    assert (modulus[0] >= signed[0].abs() * (1 - 1e-5)).all()


@pytest.mark.parametrize("name", recipe_names(("lss-",)))
def test_recipes_that_come_with_the_package(name):
    recipe = read_recipe(name)
    assert recipe.network.parameters == 7
    assert recipe_for(recipe, summary=name.split("-")[1].replace("tiny", "hybrid"), probe="lensing").network.maps == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: replace(r, cross="absolute"), "cross: 'absolute'"),
        (lambda r: replace(r, mosaics=1), "mosaics: 1"),
        (lambda r: replace(r, clip_percentile=101.0), "clip_percentile: 101"),
        (lambda r: recipe_for(r, summary="cnn"), "summary: 'cnn'; expected 'hybrid', the architecture of the recipe"),
        (lambda r: recipe_for(r, summary="peaks"), "summary: 'peaks'"),
        (lambda r: recipe_for(r, summary="hybrid", probe="shear"), "probe: 'shear'"),
    ],
)
def test_recipes_that_cannot_be_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        change(TINY)


def test_tiles_that_do_not_fit_are_refused(tile_store, tmp_path):
    with pytest.raises(InputError, match="5 tiles of each simulation; expected 9, those of a mosaic of side 3"):
        train(tmp_path / "a.safetensors", replace(TINY, model=replace(TINY.model, side=3)), tiles=tile_store)
    with pytest.raises(InputError, match=r"pixels of 4\.6875 arcmin; expected the 2\.0 of the model"):
        train(tmp_path / "a.safetensors", replace(TINY, model=replace(TINY.model, pixel_scale=2.0)), tiles=tile_store)
    one = open_store(tile_store).isel(seed=slice(0, 1))
    write(one, tmp_path / "one.zarr")
    with pytest.raises(InputError, match="no simulation for validation, only for training; expected more seeds"):
        train(tmp_path / "a.safetensors", TINY, tiles=tmp_path / "one.zarr")
    shutil.rmtree(tmp_path / "one.zarr")
    broken = open_store(tile_store).load()
    broken["map"][0, 0, 0, 0, 0, 0, 0] = np.nan
    write(broken, tmp_path / "one.zarr")
    with pytest.raises(InputError, match="tiles of cosmology 0, seed 0 are not finite"):
        train(tmp_path / "a.safetensors", TINY, tiles=tmp_path / "one.zarr")
    assert not list(tmp_path.glob("a.*"))
