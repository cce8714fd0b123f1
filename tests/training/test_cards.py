"""From networks to cards and back, for architectures that are of no pillar."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from lensdask.data import save_weights
from lensdask.errors import InputError
from lensdask.training import build_from_card, describe_network, network_from_weights, network_of_config


@dataclass(frozen=True)
class WideConfig:
    widths: tuple[int, ...] = (3, 2)


@dataclass(frozen=True)
class DeepConfig:
    depth: int = 2


class Wide(nn.Module):
    def __init__(self, config: WideConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = nn.Linear(*config.widths)


class Deep(nn.Module):
    def __init__(self, config: DeepConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(nn.Linear(1, 1) for _ in range(config.depth))


ARCHITECTURES = {"wide": (WideConfig, Wide), "deep": (DeepConfig, Deep)}


@pytest.mark.parametrize("config", [WideConfig((4, 5)), DeepConfig(3)])
def test_a_card_that_went_through_json_makes_the_same_network(config) -> None:
    card = json.loads(json.dumps(describe_network(config, ARCHITECTURES)))
    built = build_from_card(card, ARCHITECTURES)
    assert built.config == config
    assert type(built) is type(network_of_config(config, ARCHITECTURES))


BAD_CARDS = {
    "unknown": ({"architecture": "high", "config": {}}, "architecture 'high'; expected wide, deep"),
    "list": ({"architecture": "wide", "config": [1]}, r"config is \[1\]; expected the settings of a wide network"),
    "of_another": ({"architecture": "wide", "config": {"depth": 1}}, "config does not describe a wide network: "),
    "text": ({"architecture": "deep", "config": {"depth": "two"}}, "config does not describe a deep network: "),
}


@pytest.mark.parametrize(("card", "message"), BAD_CARDS.values(), ids=BAD_CARDS)
def test_wrong_cards_are_refused(card, message) -> None:
    with pytest.raises(InputError, match=f"^card of the weights: {message}"):
        build_from_card(card, ARCHITECTURES)


def test_weights_to_start_from(tmp_path) -> None:
    path, config = tmp_path / "a.safetensors", WideConfig((4, 5))
    first = network_of_config(config, ARCHITECTURES)
    save_weights(path, first.state_dict(), describe_network(config, ARCHITECTURES))
    state = torch.get_rng_state()
    found = network_from_weights(path, config, ARCHITECTURES)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(found.state_dict(), first.state_dict(), rtol=0, atol=0)
    for other in (WideConfig((4, 6)), DeepConfig()):
        with pytest.raises(InputError, match=r"a\.safetensors: weights of a different network; expected the net"):
            network_from_weights(path, other, ARCHITECTURES)
