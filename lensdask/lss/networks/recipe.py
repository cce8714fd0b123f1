"""Recipes of compressors: everything that decides their weights, and the TOML files that say it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from lensdask.errors import InputError, check_choice, check_number, check_seed
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.networks.architectures import BASES, Config
from lensdask.lss.networks.cnn import CnnConfig
from lensdask.lss.networks.hybrid import HYBRID_SMALL
from lensdask.lss.parameters import PROBES
from lensdask.training import MOST_EXAMPLES, TrainingConfig, find_recipe, recipe_of_file

__all__ = ["TILE_PIXELS", "Cross", "Recipe", "read_recipe", "recipe_for"]

Cross = Literal["signed", "modulus"]
"""Kind of cross spectra."""

TILE_PIXELS = 64
"""Pixels on a side of a tile."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, apart from the tiles and the rounding of the machine."""

    network: Config = HYBRID_SMALL
    """Architecture. Numbers of maps and parameters, and the size of a mosaic, follow from the model."""
    model: ForwardModel = field(default_factory=ForwardModel)
    """What is seen of the tiles."""
    cross: Cross = "signed"
    """Cross spectra: "signed", Re(X Y*); or "modulus", |X Y*| of each wave, as the code released with the paper."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Hyperparameters of the loop. `TrainingConfig.huber_delta` has no meaning here."""
    clip_percentile: float = 0.0
    """Percentile of the gradient norms so far to which longer ones are shortened, 50 in the paper; 0 for none."""
    mosaics: int = 4096
    """Mosaics in an epoch."""
    validation: int = 512
    """Mosaics for validation."""
    fresh: bool = True
    """Whether every epoch has mosaics of its own. Else those of the first are kept in memory."""
    seed: int = 0
    """Seed of the weights and of the forward model."""

    def __post_init__(self) -> None:
        """Refuse what cannot train, and fit the network to the model."""
        check_choice("cross", self.cross, get_args(Cross))
        for name in ("mosaics", "validation"):
            check_number(name, getattr(self, name), least=2, most=MOST_EXAMPLES, whole=True)
        check_number("clip_percentile", self.clip_percentile, least=0, most=100)
        check_seed(self.seed)
        fitted = replace(self.network, maps=PROBES[self.model.probe], parameters=len(self.model.parameters))
        if isinstance(fitted, CnnConfig):
            fitted = replace(fitted, size=TILE_PIXELS * self.model.side)
        object.__setattr__(self, "network", fitted)


def read_recipe(name: str | Path = "lss-hybrid") -> Recipe:
    """Return a recipe for `lensdask.lss.train`.

    Parameters
    ----------
    name
        Name of a recipe that comes with the package, such as ``lss-cnn-paper``, or the path of a TOML file. The file
        may hold the fields of `Recipe` at its top, and tables ``[network]``, ``[model]`` and ``[training]``. In
        ``[network]``, `architecture` ("hybrid", "power" or "cnn") and `base` ("small", "paper", ...) say which of
        `lensdask.lss.networks.architectures.BASES` the other settings change.

    Raises
    ------
    InputError
        There is no such recipe, the file cannot be read, or it has a setting that does not exist.
    """
    return recipe_of_file(find_recipe(name, ("lss-",)), Recipe(), BASES)


def recipe_for(
    recipe: Recipe, *, summary: str | None = None, probe: str | None = None, cross: str | None = None
) -> Recipe:
    """Return a recipe for another probe or kind of cross spectra.

    Parameters
    ----------
    recipe
        What is changed.
    summary
        Architecture that it must have, "hybrid", "power" or "cnn"; any when none.
    probe, cross
        As in `ForwardModel` and `Recipe`; those of the recipe when none.

    Raises
    ------
    InputError
        The recipe has another architecture, or there is no such probe or kind.
    """
    name = next(name for name, bases in BASES.items() if type(next(iter(bases.values()))) is type(recipe.network))
    if summary is not None:
        check_choice("summary", summary, tuple(BASES))
        if summary != name:
            raise InputError(f"summary: {summary!r}; expected {name!r}, the architecture of the recipe")
    model = recipe.model if probe is None else replace(recipe.model, probe=probe)
    changes: dict[str, Any] = {"model": model} if cross is None else {"model": model, "cross": cross}
    return replace(recipe, **changes)
