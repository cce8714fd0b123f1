"""Recipes of mass-map networks: everything that decides their weights, and the TOML files that say it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lensdask.errors import check_choice, check_number, check_seed
from lensdask.maps.mock import Survey
from lensdask.massmap.networks.architectures import Config
from lensdask.massmap.networks.cha import CHA_PAPER, CHA_SMALL
from lensdask.massmap.networks.h21 import H21_LIKE, H21_SMALL
from lensdask.massmap.networks.miu2net import MIU2NET_PAPER, MIU2NET_SMALL
from lensdask.sky.simulate import SkyConfig
from lensdask.training import MOST_EXAMPLES, TrainingConfig, find_recipe, recipe_of_file

__all__ = ["BASES", "Recipe", "read_recipe"]

BASES: dict[str, dict[str, Config]] = {
    "cha": {"small": CHA_SMALL, "paper": CHA_PAPER},
    "h21": {"small": H21_SMALL, "paper": H21_LIKE},
    "miu2net": {"small": MIU2NET_SMALL, "paper": MIU2NET_PAPER},
}
"""Networks that a recipe may start from, by architecture and size."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, apart from the rounding of the machine."""

    network: Config = CHA_SMALL
    """Architecture."""
    sky: SkyConfig = field(default_factory=lambda: SkyConfig(size=128, pixel_scale=0.82))
    """Which sky."""
    survey: Survey = field(default_factory=Survey)
    """Which survey."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Hyperparameters of the loop. `TrainingConfig.huber_delta` has no meaning here."""
    loss: Literal["cha", "miu2net"] = "cha"
    """Weighted square residuals of Cha et al. 2025, or square residuals and ring powers of MIU²Net."""
    exponent: float = 6.0
    """Power of the weight in the loss "cha": 6 in the paper, 1 in H21, 0 for the plain mean square error."""
    ring_weight: float = 3.0
    """Weight of the ring powers in the loss "miu2net"."""
    start: Literal["random", "wiener"] = "random"
    """Initial weights: random, or near the Wiener filter of this sky and survey
    (`lensdask.massmap.networks.wiener_start`)."""
    fields: int = 4000
    """Simulated fields in an epoch. Of a store all are taken that are not for validation."""
    validation: int = 64
    """Fields for validation, of a store at least."""
    fresh: bool = False
    """Whether every epoch has new skies. Else skies are made once; their noise is new in every epoch either way."""
    seed: int = 0
    """Seed of the weights, the skies, the noise, and the order and orientation of the fields."""

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        check_choice("loss", self.loss, ("cha", "miu2net"))
        check_choice("start", self.start, ("random", "wiener"))
        check_number("exponent", self.exponent, least=0, most=100)
        check_number("ring_weight", self.ring_weight, least=0, most=1e6)
        for name in ("fields", "validation"):
            check_number(name, getattr(self, name), least=1, most=MOST_EXAMPLES, whole=True)
        check_seed(self.seed)


def read_recipe(name: str | Path = "massmap-cha") -> Recipe:
    """Return a recipe for `lensdask.massmap.train`.

    Parameters
    ----------
    name
        Name of a recipe that comes with the package, such as ``massmap-cha-paper``, or the path of a TOML file. The
        file may hold the fields of `Recipe` at its top, and tables ``[network]``, ``[sky]``, ``[survey]`` and
        ``[training]``. In ``[network]``, `architecture` ("cha", "h21" or "miu2net") and `base` ("small" or "paper")
        say which of `BASES` the other settings change.

    Raises
    ------
    InputError
        There is no such recipe, the file cannot be read, or it has a setting that does not exist.
    """
    return recipe_of_file(find_recipe(name, ("massmap-",)), Recipe(), BASES, {"noise": "survey"})
