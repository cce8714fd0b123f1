"""What networks say of lenses: the same in any chunk, calibrated, and of lenses like those of their training only."""

import json
import warnings
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import torch
from ring_images import ring_lenses, write_rings
from scipy.special import softmax

import lensdask
from lensdask.compute import RunOptions
from lensdask.data import load_card, load_weights, save_weights
from lensdask.errors import InputError
from lensdask.stronglens import (
    classify,
    classify_run,
    find_network,
    fit_run,
    make_lenses,
    read_recipe,
    simulate,
    train,
)
from lensdask.stronglens.nets.architectures import build_network, network_outputs
from lensdask.stronglens.nets.loss import mass_of
from lensdask.stronglens.prediction import PredictLenses
from lensdask.stronglens.simulation.presets import find_survey

QUIET = RunOptions(show_progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a classifier, a network for masses, and lenses that they have not seen."""
    folder = tmp_path_factory.mktemp("predicted")
    write_rings(folder / "known.zarr", 90, seed=1)
    write_rings(folder / "lenses.zarr", 33, seed=2)
    for task in ("classify", "mass"):
        recipe = replace(read_recipe("lens-tiny"), task=task)
        train(folder / f"{task}.safetensors", recipe, lenses=folder / "known.zarr", device="cpu")
    return folder


def network_of(path):
    network = build_network(load_card(path))
    network.load_state_dict(load_weights(path))
    return network


def test_probabilities_are_those_of_the_network_calibrated(folder):
    lenses = ring_lenses(20, seed=3)
    path = folder / "classify.safetensors"
    found = classify(lenses, path)
    assert isinstance(found["probability"].data, da.Array)
    assert found["class"].values.tolist() == ["none", "cdm", "vortex"]
    logits = network_outputs(network_of(path), lenses["image"].values[:, None])
    card = load_card(path)
    expected = softmax(logits.astype(np.float64) / card["temperature"] + card["offsets"], axis=1)
    np.testing.assert_allclose(found["probability"].values, expected, atol=1e-6)
    about = ("network", "task", "network_sha256", "lenses_hash", "trained_on")
    known = lensdask.open(folder / "known.zarr").attrs["configuration_hash"]
    own = ["classify", "classify", load_card(path)["sha256"], lenses.attrs["configuration_hash"], [known]]
    assert [found.attrs[name] for name in about] == own


def test_masses_come_with_calibrated_errors(folder):
    lenses, path = ring_lenses(20, seed=3), folder / "mass.safetensors"
    found = classify(lenses, path)
    assert set(found.data_vars) == {"log10_mass", "log10_mass_error"}
    outputs = network_outputs(network_of(path), lenses["image"].values[:, None])
    mean, error = mass_of(torch.from_numpy(outputs))
    np.testing.assert_allclose(found["log10_mass"], mean, atol=1e-5)
    np.testing.assert_allclose(found["log10_mass_error"], load_card(path)["error_scale"] * error, rtol=1e-5)


@pytest.mark.parametrize("task", ["classify", "mass"])
def test_a_lens_is_the_same_in_any_chunk(folder, tmp_path, task):
    path, lenses = folder / f"{task}.safetensors", folder / "lenses.zarr"
    whole = classify(lensdask.open(lenses), path).compute()
    odd = classify(lensdask.open(lenses).chunk({"lens": 7, "y": 5}), path).compute()
    for name, chunk, options in (
        ("here", 11, QUIET),
        ("threads", 8, replace(QUIET, cluster="threads", workers=2)),
    ):
        done = classify_run(lenses, tmp_path / name, network=path, chunk=chunk, options=options)
        assert done.objects == 33
        for column in whole.data_vars:
            np.testing.assert_array_equal(lensdask.open(tmp_path / name)[column], whole[column])
            np.testing.assert_array_equal(odd[column], whole[column])
    stored = lensdask.open(tmp_path / "here")
    for name in ("pixel_scale", "network", "network_sha256", "task", "calibration", "lenses_hash", "trained_on"):
        assert stored.attrs[name] == whole.attrs[name]
    lensdask.write(whole, tmp_path / "written")
    assert lensdask.open(tmp_path / "written").equals(stored)


def test_an_interrupted_run_goes_on(folder, tmp_path, monkeypatch):
    path, lenses = folder / "classify.safetensors", folder / "lenses.zarr"
    whole = PredictLenses.__call__

    def stop(self, start, stop, device):
        if start >= 16:
            raise KeyboardInterrupt
        return whole(self, start, stop, device)

    with monkeypatch.context() as patch:
        patch.setattr(PredictLenses, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            classify_run(lenses, tmp_path / "p.zarr", network=path, chunk=8, options=QUIET)
    with pytest.raises(InputError, match="of an earlier run"):
        classify_run(lenses, tmp_path / "p.zarr", network=path, chunk=8, options=QUIET)
    again = replace(QUIET, if_exists="resume")
    assert classify_run(lenses, tmp_path / "p.zarr", network=path, chunk=8, options=again).objects == 17
    expected = classify(lensdask.open(lenses), path)["probability"]
    np.testing.assert_array_equal(lensdask.open(tmp_path / "p.zarr")["probability"], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.assign_attrs(pixel_scale=0.2), "pixels of 0.2 arcsec; expected 0.1, on which classify was"),
        (lambda d: d.isel(y=slice(30)), "images of 30 x 32 pixels; expected square ones"),
        (lambda d: d.isel(y=slice(31), x=slice(31)), "of an even number of pixels"),
        (lambda d: d.isel(y=slice(30), x=slice(30)), "images of 30 x 30 pixels; expected 32 on a side"),
        (lambda d: d.assign(image=d.image.where(d.lens != 5)), "the image of lens 5 is not finite"),
        (lambda d: d.assign_attrs(schema="stamps"), "dataset has schema stamps"),
    ],
)
def test_lenses_that_are_refused(folder, change, message):
    with pytest.raises(InputError, match=message):
        classify(change(ring_lenses(9)), folder / "classify.safetensors").compute()


def test_a_network_sees_residuals(tmp_path):
    lenses, weights = tmp_path / "lenses.zarr", tmp_path / "net.safetensors"
    lensdask.write(simulate(images=12, size=32), lenses)
    recipe = read_recipe("lens-tiny")
    recipe = replace(recipe, inputs=("image", "residual"), training=replace(recipe.training, epochs=1))
    train(weights, recipe, lenses=lenses, device="cpu")
    fit_run(lenses, tmp_path / "fits.zarr", options=QUIET)
    dataset, fits = lensdask.open(lenses), lensdask.open(tmp_path / "fits.zarr")
    found = classify(dataset, weights)["probability"].values
    np.testing.assert_array_equal(classify(dataset, weights, fits=fits)["probability"], found)
    for name, kept in (("fitted", None), ("kept", tmp_path / "fits.zarr")):
        classify_run(lenses, tmp_path / name, network=weights, fits=kept, chunk=7, options=QUIET)
        np.testing.assert_array_equal(lensdask.open(tmp_path / name)["probability"], found)
    # They are looked at.
    other = fits.assign(residual=-fits["residual"])
    assert not np.array_equal(classify(dataset, weights, fits=other)["probability"], found)
    with pytest.raises(InputError, match="fits: fits of other lenses; expected those of the images"):
        classify(dataset.isel(lens=slice(9)), weights, fits=fits)
    with pytest.raises(InputError, match="survey: 'mine'"):
        classify(dataset.assign_attrs(survey="mine"), weights)


def test_lenses_of_another_survey_are_told_of(folder, tmp_path):
    lenses = write_rings(tmp_path / "other.zarr", 3, survey="hst", noise="none")
    expected = "classify is for survey euclid, noise survey; the lenses have survey hst, noise none: "
    with pytest.warns(UserWarning, match=expected):
        classify(lensdask.open(lenses), folder / "classify.safetensors")
    told = []
    classify_run(lenses, tmp_path / "p.zarr", network=folder / "classify.safetensors", options=QUIET, warn=told.append)
    assert len(told) == 1
    assert told[0].startswith(expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classify(ring_lenses(3), folder / "classify.safetensors")


def test_images_that_nobody_simulated(folder, tmp_path):
    images = ring_lenses(12, seed=5)["image"].values
    survey = replace(find_survey("euclid"), pixel_scale=0.1)
    lenses = make_lenses(torch.from_numpy(images), survey, lens=np.arange(12) + 100)
    # Of what is not known nobody is warned.
    found = classify(lenses, folder / "classify.safetensors")
    np.testing.assert_array_equal(
        found["probability"], classify(ring_lenses(12, seed=5), folder / "classify.safetensors")["probability"]
    )
    assert found["lens"].values.tolist() == list(range(100, 112))
    lensdask.write(lenses, tmp_path / "mine.zarr")
    assert lensdask.open(tmp_path / "mine.zarr").equals(lenses)
    with pytest.raises(InputError, match=r"labels \[-1\]; expected 0 to 2"):
        train(tmp_path / "net.safetensors", read_recipe("lens-tiny"), lenses=tmp_path / "mine.zarr", device="cpu")
    other = make_lenses(images + 1, survey)
    assert other.attrs["configuration_hash"] != lenses.attrs["configuration_hash"]
    for changes, message in (
        ({"images": images[:, :31]}, r"images: shape \(12, 31, 32\); expected \(lens, n, n\), n even"),
        ({"images": np.where(images == images[3, 0, 0], np.nan, images)}, "images: that of lens 3 is not finite"),
        ({"lens": np.zeros(12, int)}, "lens: ids repeat"),
        ({"label": np.full(12, 3)}, r"label: \[3\]; expected -1 to 2"),
        ({"label": np.zeros(3, int)}, r"label: int64 of shape \(3,\); expected 12 whole numbers"),
        ({"log10_mass": np.zeros(12, int)}, "log10_mass: int64 of shape .* expected 12 numbers"),
    ):
        with pytest.raises(InputError, match=message):
            make_lenses(**({"images": images, "survey": survey} | changes))


def test_weights_that_are_refused(folder, tmp_path):
    path = folder / "classify.safetensors"
    weights, card = load_weights(path), load_card(path)
    cases = (
        ({"architecture": "d4cnn"}, "architecture 'd4cnn'; expected lens-net, resnet50, c8, harmonic, et"),
        ({"architecture": "c8"}, "config does not describe a c8 network"),
        ({"offsets": [0.1, None, 0]}, "the card lacks what a network of strong lenses must say"),
        ({"offsets": [0.1, 0]}, "offsets"),
        ({"temperature": None}, "the card lacks what a network of strong lenses must say"),
        ({"recipe": {}}, "the card lacks what a network of strong lenses must say"),
        ({"config": card["config"] | {"outputs": 2}}, "weights of another architecture than 'lens-net'"),
    )
    for number, (changes, message) in enumerate(cases):
        # A process reads a file once.
        bad = tmp_path / f"{number}.safetensors"
        save_weights(bad, weights, card | changes)
        with pytest.raises(InputError, match=message):
            find_network(bad)
    with pytest.raises(InputError, match=r"network 'best' is unknown; expected .*a \.safetensors file"):
        find_network("best")


def test_unfinished_lenses_are_refused(folder, tmp_path):
    store = write_rings(tmp_path / "lenses.zarr", 9)
    lines = [
        {"event": "run", "version": 1, "fingerprint": "", "size": 9, "chunk": 3, "label": "", "unit": "lenses"},
        {"event": "session", "time": 0.0},
        {"event": "done", "time": 1.0, "chunk": 0, "sums": None},
    ]
    (tmp_path / "lenses.zarr.journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match="3 of 9 lenses done; expected a finished run: continue lensdask stronglens"):
        classify_run(store, tmp_path / "p.zarr", network=folder / "classify.safetensors", options=QUIET)
    assert not (tmp_path / "p.zarr").exists()


def test_lenses_in_a_bucket_are_classified_alike(folder, bucket, tmp_path):
    lensdask.write(lensdask.open(folder / "lenses.zarr"), f"{bucket}/lenses.zarr")
    for name, place in (("here", folder / "lenses.zarr"), ("there", f"{bucket}/lenses.zarr")):
        classify_run(place, tmp_path / name, network=folder / "classify.safetensors", chunk=13, options=QUIET)
    here, there = (lensdask.open(tmp_path / name) for name in ("here", "there"))
    for name in here.data_vars:
        np.testing.assert_array_equal(there[name], here[name])
