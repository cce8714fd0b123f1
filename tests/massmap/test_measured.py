"""The numbers on the cards of networks, against the maps themselves."""

from dataclasses import asdict

import numpy as np
import pytest
from mass_stores import NOISE, SIZE, SKY, save_network

import lensdask
from lensdask.compute import RunOptions
from lensdask.errors import InputError
from lensdask.massmap.measured import SMOOTHINGS, measure_network

FIELDS = 3
QUIET = RunOptions(show_progress=False)


def save_trained(path, **card):
    noise = asdict(NOISE) | card.pop("noise", {})
    return save_network(path, recipe={"sky": asdict(SKY), "noise": noise}, **card)


def test_numbers_are_those_of_the_maps(tmp_path):
    network = save_trained(tmp_path / "net.safetensors")
    found = measure_network(network, tmp_path / "trial", fields=FIELDS, seed=4, options=QUIET)
    truth = lensdask.open(tmp_path / "trial" / "maps.zarr").load()
    assert (truth.sizes["field"], truth.attrs["seed"], truth.attrs["density"]) == (FIELDS, 4, NOISE.density)
    inside = truth["mask"].values != 0
    assert 0.85 < inside.mean() < 0.95

    def rmse(label):
        kappa = lensdask.open(tmp_path / "trial" / f"{label}.zarr")["kappa"].values.astype(float)
        return np.sqrt(((kappa - truth["kappa"].values)[inside] ** 2).mean())

    smoothed = [rmse(f"ks93-{scale:g}") for scale in SMOOTHINGS]
    assert found["ks93_smoothing"] == SMOOTHINGS[np.argmin(smoothed)]
    expected = {label: rmse(label) for label in ("network", "symmetrised", "wiener")} | {"ks93": min(smoothed)}
    assert len(set(expected.values())) == 4
    for label, value in expected.items():
        assert found["rmse"][label]["value"] == pytest.approx(value, rel=1e-6)
    for label in ("network", "symmetrised", "ks93"):
        ratio = found["rmse / wiener"][label]
        assert ratio["value"] == pytest.approx(expected[label] / expected["wiener"], rel=1e-6)
        assert 0 < ratio["error"] < 0.2 * ratio["value"]
    made = [lensdask.open(tmp_path / "trial" / f"{name}.zarr").attrs["method"] for name in ("network", "symmetrised")]
    assert made == ["net", "net symmetrised"]


def test_a_footprint_may_lie_elsewhere_than_in_training(tmp_path):
    network = save_trained(tmp_path / "net.safetensors", noise={"footprint": "gone.npy", "mask_fraction": 0.0})
    with pytest.raises(InputError, match=r"gone\.npy"):
        measure_network(network, tmp_path / "first", fields=2, options=QUIET)
    seen = np.zeros((SIZE, SIZE))
    seen[5:] = 1
    np.save(tmp_path / "seen.npy", seen)
    measure_network(network, tmp_path / "second", fields=2, footprint=tmp_path / "seen.npy", options=QUIET)
    np.testing.assert_array_equal(lensdask.open(tmp_path / "second" / "maps.zarr")["mask"][1], seen)


def test_networks_without_simulated_fields_are_refused(tmp_path):
    without = save_network(tmp_path / "without.safetensors")
    of_store = save_trained(tmp_path / "store.safetensors", data={"store": "maps.zarr"})
    for network in (without, of_store):
        with pytest.raises(InputError, match="not trained on simulated fields"):
            measure_network(network, tmp_path / "trial", options=QUIET)
    assert not (tmp_path / "trial").exists()
