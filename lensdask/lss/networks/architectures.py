"""The compressors by name: what cards of weights say of them."""

from typing import Any

from lensdask.lss.networks.cnn import CNN_PAPER, CNN_SMALL, CnnConfig, MosaicCnn
from lensdask.lss.networks.hybrid import HYBRID_SMALL, HybridConfig, HybridNetwork
from lensdask.lss.networks.power import (
    POWER_LOCAL,
    POWER_LOCAL_XL,
    POWER_PAPER,
    POWER_PAPER_XL,
    POWER_SEPARABLE,
    POWER_SEPARABLE_XL,
    POWER_SMALL,
    PowerConfig,
    PowerNetwork,
)
from lensdask.training import Architectures, build_from_card

__all__ = ["ARCHITECTURES", "BASES", "Config", "Network", "build_network"]

Config = HybridConfig | PowerConfig | CnnConfig
"""Configuration of any of the networks."""

Network = HybridNetwork | PowerNetwork | MosaicCnn
"""Any of the networks; the `inputs` of its configuration say what it takes: spectra, tiles, a mosaic."""

ARCHITECTURES: Architectures[Network] = {
    "hybrid": (HybridConfig, HybridNetwork),
    "power": (PowerConfig, PowerNetwork),
    "cnn": (CnnConfig, MosaicCnn),
}
"""Configuration and network by the name that cards have for them."""

BASES: dict[str, dict[str, Config]] = {
    "hybrid": {"small": HYBRID_SMALL},
    "power": {
        "small": POWER_SMALL,
        "paper": POWER_PAPER,
        "paper-xl": POWER_PAPER_XL,
        "local": POWER_LOCAL,
        "local-xl": POWER_LOCAL_XL,
        "separable": POWER_SEPARABLE,
        "separable-xl": POWER_SEPARABLE_XL,
    },
    "cnn": {"small": CNN_SMALL, "paper": CNN_PAPER},
}
"""Networks that a recipe may start from, by architecture and size."""


def build_network(card: dict[str, Any]) -> Network:
    """Return an untrained network of the architecture that a card of weights describes.

    Raises
    ------
    InputError
        The card describes none of the networks.
    """
    return build_from_card(card, ARCHITECTURES)
