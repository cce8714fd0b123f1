"""The networks that come with the package do what their cards say, on lenses that they have never seen."""

import numpy as np
import pytest
import torch

from lensdask.data import load_card, load_weights
from lensdask.stronglens import classify, networks, simulate
from lensdask.stronglens.nets.architectures import build_network, network_outputs
from lensdask.stronglens.network import SHIPPED_WEIGHTS

CARDS = {name: load_card(SHIPPED_WEIGHTS[name]) for name in networks()}
CLASSIFIERS = [name for name, card in CARDS.items() if card["recipe"]["task"] == "classify"]


@pytest.fixture(scope="module")
def lenses():
    return simulate(images=300, signal="as-coded", seed=77).compute()


def test_all_architectures_are_there():
    assert {card["architecture"] for card in CARDS.values()} == {"lens-net", "c8", "harmonic", "et", "resnet50"}
    assert networks() == ["c8", "et", "harmonic", "lens-net", "lens-net-mass", "resnet50"]
    assert {card["recipe"]["task"] for card in CARDS.values()} == {"classify", "mass"}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classes_are_found_as_often_as_the_card_says(lenses, name):
    found, measured = classify(lenses, name), CARDS[name]["measured"]
    right = (found["probability"].values.argmax(1) == lenses["label"].values).mean()
    expected = measured["accuracy"]["value"]
    assert abs(right - expected) < 4 * (expected * (1 - expected) / len(lenses["lens"]) + 1e-4) ** 0.5
    assert measured["ECE"]["value"] < 0.03


def test_masses_are_as_good_as_the_card_says(lenses):
    vortices = lenses.isel(lens=np.flatnonzero(lenses["label"].values == 2))
    found, measured = classify(vortices, "lens-net-mass"), CARDS["lens-net-mass"]["measured"]
    off = found["log10_mass"].values - vortices["log10_mass"].values
    rmse = float(np.sqrt(np.mean(off**2)))
    assert rmse == pytest.approx(measured["RMSE"]["value"], rel=0.3)
    assert rmse < 0.5


@pytest.mark.parametrize("name", ["c8", "harmonic"])
def test_turns_are_not_noticed_after_training(name):
    network = build_network(CARDS[name])
    network.load_state_dict(load_weights(SHIPPED_WEIGHTS[name]))
    made = [
        simulate(images=24, signal="as-coded", noise=False, seed=5, angle=angle)["image"].values for angle in (0, 45)
    ]
    plain, turned = (network_outputs(network, images[:, None]) for images in made)
    quarter = network_outputs(network, np.ascontiguousarray(np.rot90(made[0], axes=(-2, -1)))[:, None])
    spread = plain.std(axis=0).mean()
    assert abs(quarter - plain).max() < 1e-5 * spread
    assert np.sqrt(np.mean((turned - plain) ** 2)) < 0.2 * spread


def test_weights_are_finite_and_of_their_cards():
    for name, card in CARDS.items():
        weights = load_weights(SHIPPED_WEIGHTS[name], card["sha256"])
        assert all(bool(torch.isfinite(each).all()) for each in weights.values())
