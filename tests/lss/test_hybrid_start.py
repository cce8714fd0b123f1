"""A hybrid goes on from a network of spectra: the same summaries until its convolutions have learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.lss import read_recipe, train
from lensdask.lss.networks.hybrid import HybridConfig, HybridNetwork
from lensdask.lss.networks.power import POWER_PAPER, PowerConfig, PowerNetwork

TINY = read_recipe("lss-tiny")
POWER = replace(TINY, network=PowerConfig(width=32, scaling="correlations"))


def test_outputs_are_those_of_the_network_of_spectra():
    rng = np.random.default_rng(1)
    spectra = torch.from_numpy(rng.uniform(0.5, 1.5, (3, 36, 20))).float()
    tiles = torch.from_numpy(rng.normal(size=(3, 8, 4, 64, 64))).float()
    power, hybrid = PowerNetwork(PowerConfig(width=32, scaling="correlations")), HybridNetwork(HybridConfig(width=32))
    power.scaling.fit(spectra)
    hybrid.begin_from(power)
    np.testing.assert_allclose(hybrid(spectra, tiles).detach(), power(spectra).detach(), rtol=1e-4, atol=1e-6)
    hybrid(spectra, tiles).square().sum().backward()
    # What the features of the maps count for can be learned at once.
    assert abs(hybrid.joint[0].weight.grad[:, 32:]).max() > 0


def test_training_goes_on_from_spectra(tile_store, tmp_path):
    train(tmp_path / "power.safetensors", POWER, tiles=tile_store, device="cpu")
    began = load_card(tmp_path / "power.safetensors")
    # So little is learned that the losses show where it began.
    slow = replace(TINY, training=replace(TINY.training, learning_rate=1e-7))
    losses = {}
    for name, start in (("cold", None), ("warm", tmp_path / "power.safetensors")):
        card = train(tmp_path / f"{name}.safetensors", slow, tiles=tile_store, start=start, device="cpu").card
        losses[name] = card["loss"]["validation"][-1]
    assert losses["warm"] == pytest.approx(min(began["loss"]["validation"]), abs=0.01)
    assert abs(losses["cold"] - losses["warm"]) > 0.1
    assert load_card(tmp_path / "warm.safetensors")["began_from"] == began["sha256"]


@pytest.mark.parametrize(
    "config", [POWER_PAPER, PowerConfig(width=16, scaling="correlations"), replace(POWER.network, maps=4)]
)
def test_another_network_of_spectra_is_refused(config):
    with pytest.raises(InputError, match="expected one of two dense layers of 32 units"):
        HybridNetwork(HybridConfig(width=32)).begin_from(PowerNetwork(config))
