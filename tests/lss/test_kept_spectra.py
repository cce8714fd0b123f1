"""Spectra that are kept are those that would be made again, for each probe; others are refused."""

from dataclasses import replace

import numpy as np
import pytest

from lensdask.compute import RunOptions
from lensdask.data import load_card
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.lss import predict_run, read_recipe, train
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.kept_spectra import open_spectra
from lensdask.lss.networks.power import PowerConfig
from lensdask.lss.networks.recipe import Recipe, recipe_for
from lensdask.lss.networks.trainingset import FIRST_TRAINING, FIRST_VALIDATION, Mosaics
from lensdask.lss.spectra_run import spectra_run
from lensdask.lss.tiles import open_split, open_tiles

QUIET = RunOptions(show_progress=False)
MODEL = ForwardModel(side=2, ell_max=1500.0)
TINY = read_recipe("lss-tiny")
POWER = Recipe(
    PowerConfig(width=16, scaling="correlations"), MODEL, "modulus", TINY.training, mosaics=64, validation=16
)
FIRST = {"training": FIRST_TRAINING, "validation": FIRST_VALIDATION, "likelihood": 0}


@pytest.fixture(scope="module")
def kept(tile_store, tmp_path_factory):
    """Return the paths of stores of spectra by split."""
    folder = tmp_path_factory.mktemp("spectra")
    counts = {"training": 128, "validation": 16, "likelihood": 20}
    for split, samples in counts.items():
        path = folder / f"{split}.zarr"
        spectra_run(tile_store, path, MODEL, samples=samples, split=split, first=FIRST[split], options=QUIET)
    return {split: folder / f"{split}.zarr" for split in counts}


@pytest.mark.parametrize("probe", ["lensing", "clustering", "combined"])
@pytest.mark.parametrize("cross", ["signed", "modulus"])
def test_kept_spectra_are_those_of_the_mosaics(kept, tile_store, probe, cross):
    split = open_split(open_tiles(tile_store)[1], "training")
    made = Mosaics(split, replace(MODEL, probe=probe), ("spectra",), cross, 0, "cpu")
    wanted, theta = made.batch(FIRST_TRAINING + 30, 5)
    found, same_theta = replace(made, kept=open_spectra(kept["training"])).batch(FIRST_TRAINING + 30, 5)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(same_theta, theta)


@pytest.mark.parametrize("probe", ["lensing", "combined"])
def test_networks_learn_and_compress_the_same_from_kept_spectra(kept, tile_store, tmp_path, probe):
    recipe = recipe_for(POWER, probe=probe)
    stored = {name: kept[name] for name in ("training", "validation")}
    losses = []
    for name, spectra in (("made", None), ("kept", stored)):
        train(tmp_path / f"{name}.safetensors", recipe, tiles=tile_store, spectra=spectra, device="cpu")
        losses.append(load_card(tmp_path / f"{name}.safetensors")["loss"]["validation"])
    np.testing.assert_allclose(*losses, rtol=1e-3)
    for name, spectra in (("made", None), ("kept", kept["likelihood"])):
        weights = tmp_path / "kept.safetensors"
        predict_run(tile_store, weights, tmp_path / name, samples=20, spectra=spectra, options=QUIET)
    made, read = (open_store(tmp_path / name).load() for name in ("made", "kept"))
    np.testing.assert_array_equal(read["theta_true"], made["theta_true"])
    np.testing.assert_allclose(read["theta_summary"], made["theta_summary"], rtol=1e-4, atol=1e-4)
    # They are the same summaries: one may be resumed by the other.
    assert read.attrs["configuration_hash"] == made.attrs["configuration_hash"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "validation"}, "split training; expected validation"),
        ({"seed": 1}, "seed 0; expected 1"),
        ({"model": replace(MODEL, ell_max=1000.0)}, "model_hash"),
        ({"model": replace(MODEL, side=1)}, "model_hash"),
        ({"fixed": {"r_g": 0.7}}, "model_hash"),
    ],
)
def test_spectra_of_other_mosaics_are_refused(kept, tile_store, settings, message):
    spectra, reference = open_spectra(kept["training"]), open_tiles(tile_store)[1]
    known = {"tiles": reference, "split": "training", "model": MODEL, "seed": 0}
    spectra.check(**known)
    with pytest.raises(InputError, match=message):
        spectra.check(**(known | settings))


def test_what_the_store_lacks_is_refused(kept, tile_store, tmp_path, tiny_compressor):
    with pytest.raises(InputError, match="128 mosaics; expected more"):
        open_spectra(kept["training"]).take(np.array([FIRST_TRAINING + 128]), "combined", "signed")
    with pytest.raises(InputError, match="expected one of lss_spectra"):
        open_spectra(tile_store)
    with pytest.raises(InputError, match="a hybrid compressor; expected one of spectra alone"):
        predict_run(tile_store, tiny_compressor, tmp_path / "s", samples=5, spectra=kept["likelihood"], options=QUIET)
    with pytest.raises(InputError, match="a network of spectra and tiles; expected one of spectra alone"):
        train(tmp_path / "n.safetensors", TINY, tiles=tile_store, spectra=kept, device="cpu")
    lensing = tmp_path / "lensing.zarr"
    spectra_run(tile_store, lensing, replace(MODEL, probe="lensing"), samples=2, split="test", options=QUIET)
    with pytest.raises(InputError, match="spectra of lensing; expected combined"):
        open_spectra(lensing).check(open_tiles(tile_store)[1], "test", MODEL, 0)
