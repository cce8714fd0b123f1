"""Recipes of networks of strong lenses: everything that decides their weights, and the TOML files that say it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast, get_args

from lensdask.errors import InputError, check_choice, check_number, check_seed
from lensdask.stronglens.fitting.maps import INPUTS
from lensdask.stronglens.nets.architectures import ARCHITECTURES, BASES, Config
from lensdask.stronglens.nets.lens_net import LENS_NET_SMALL
from lensdask.stronglens.nets.loss import OUTPUTS, Task
from lensdask.training import TrainingConfig, describe_network, find_recipe, recipe_of_file

__all__ = ["Recipe", "read_recipe", "recipe_for"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, apart from the lenses and the rounding of the machine."""

    network: Config = LENS_NET_SMALL
    """Architecture. Its outputs are set to those of the task."""
    inputs: tuple[str, ...] = ("image",)
    """Maps that the network sees: "image", and "residual", what the smooth lens that fits best leaves of it. The maps
    of the network are set to their number."""
    task: Task = "classify"
    """What it is for; for "mass", lenses with a vortex are taken alone."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Hyperparameters of the loop. `TrainingConfig.huber_delta` has no meaning here."""
    validation: float = 0.1
    """Share of the lenses for validation, which choose the best weights."""
    per_class: int = 0
    """Lenses of each class for training; 0 for all that are not for validation."""
    turns: bool = False
    """Whether in every epoch each image is turned by quarters and mirrored at random."""
    seed: int = 0
    """Seed of the weights, of the split, and of order and turns of the images."""

    def __post_init__(self) -> None:
        """Refuse what cannot train, and fit the network to the task."""
        check_choice("task", self.task, get_args(Task))
        check_number("validation", self.validation, above=0, below=1)
        check_number("per_class", self.per_class, least=0, whole=True, meaning="0 for all")
        check_seed(self.seed)
        if not self.inputs or len(set(self.inputs)) < len(self.inputs) or set(self.inputs) - set(INPUTS):
            raise InputError(f"inputs: {', '.join(self.inputs)}; expected some of {', '.join(INPUTS)}, each once")
        network = replace(self.network, outputs=OUTPUTS[self.task], maps=len(self.inputs))
        object.__setattr__(self, "network", network)


def read_recipe(name: str | Path = "lens-net") -> Recipe:
    """Return a recipe for `lensdask.stronglens.train`.

    Parameters
    ----------
    name
        Name of a recipe that comes with the package, such as ``lens-c8-paper``, or the path of a TOML file. The file
        may hold the fields of `Recipe` at its top, and tables ``[network]`` and ``[training]``. In ``[network]``,
        `architecture` ("lens-net", "resnet50", "c8", "harmonic" or "et") and `base` ("small", "paper", ...) say which
        of `lensdask.stronglens.nets.architectures.BASES` the other settings change.

    Raises
    ------
    InputError
        There is no such recipe, the file cannot be read, or it has a setting that does not exist.
    """
    return recipe_of_file(find_recipe(name, ("lens-",)), Recipe(), BASES)


def recipe_for(network: str | None = None, task: str | None = None, config: str | Path | None = None) -> Recipe:
    """Return the recipe that trains a network for a task.

    Parameters
    ----------
    network
        Architecture, "lens-net", "resnet50", "c8", "harmonic" or "et"; when none that of `config`.
    task
        "classify" or "mass"; when none that of the recipe.
    config
        As for `read_recipe`; when none the recipe of the network for a CPU, of the lens-net if there is no name either.

    Raises
    ------
    InputError
        There is no such network, task or recipe, or the recipe is of another network.
    """
    if network is not None:
        check_choice("network", network, tuple(BASES))
    own = f"lens-{(network or 'lens-net').removeprefix('lens-')}"
    recipe = read_recipe(own if config is None else config)
    found = describe_network(recipe.network, ARCHITECTURES)["architecture"]
    if network is not None and network != found:
        raise InputError(f"network: {network!r}; expected {found!r}, the architecture of the recipe")
    return recipe if task is None else replace(recipe, task=cast(Task, task))
