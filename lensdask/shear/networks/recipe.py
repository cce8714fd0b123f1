"""Recipes of D4CNNs: everything that decides their weights, and the TOML files that say it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from lensdask.errors import InputError, check_choice, check_number, check_seed
from lensdask.shear.networks.score import ScoreConfig
from lensdask.shear.shapes.d4cnn import PAPER, SMALL, D4CNNConfig
from lensdask.shear.simulation.catsim import MAGNITUDE_LIMIT
from lensdask.training import MOST_EXAMPLES, TrainingConfig, find_recipe, recipe_of_file

__all__ = ["Recipe", "read_recipe"]

_NETWORKS = {"d4cnn": {"small": SMALL, "paper": PAPER, "shipped": SMALL}}
"""Networks that a recipe may start from; "shipped" is what "small" was called once."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, apart from the rounding of the machine."""

    network: D4CNNConfig = SMALL
    """Architecture."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Hyperparameters of the loop."""
    label: Literal["distortion", "fpfs", "score"] = "fpfs"
    """What the network learns: the catalogue's distortion, the FPFS ellipticity of the noiseless stamp, or, without a
    label, to measure shear with the least shape noise (`lensdask.shear.networks.score`)."""
    score: ScoreConfig = field(default_factory=ScoreConfig)
    """Settings of the training by score."""
    population: Literal["catalogue", "wide"] = "catalogue"
    """Galaxies of the catalogue, or of the mock, alone on their stamps; or those of a wide family, half of them with a
    neighbour (`lensdask.shear.networks.family`), which are learned from by score alone."""
    signal_to_noise: tuple[float, float] = (5.0, 150.0)
    """Range of the uniform distribution of signal-to-noise. The paper has 5 to 40 (section 2.3.2). Trained on that,
    this network over-weighs the brighter galaxies, which it has never seen, and its response to shear bends: on
    noiseless galaxies m = -5.5e-4 ± 0.7e-4 at g = 0.02."""
    galaxies: int = 10_000
    """Training stamps."""
    validation: int = 1_000
    """Validation stamps."""
    magnitude_limit: float = MAGNITUDE_LIMIT
    """Galaxies are brighter than this in i."""
    seed: int = 0
    """Seed of the weights, the galaxies and the noise."""

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        check_choice("label", self.label, ("distortion", "fpfs", "score"))
        check_choice("population", self.population, ("catalogue", "wide"))
        if self.population == "wide" and self.label != "score":
            raise InputError(f"population: 'wide' with label {self.label!r}; expected label = 'score'")
        if self.label == "score" and self.training.schedule == "plateau":
            # One per cent of a loss that passes through zero means nothing.
            raise InputError("label: 'score' with the schedule 'plateau'; expected [training] schedule = 'cosine'")
        for name in ("galaxies", "validation"):
            check_number(name, getattr(self, name), least=1, most=MOST_EXAMPLES, whole=True)
        check_number("magnitude_limit", self.magnitude_limit)
        if len(self.signal_to_noise) != 2 or not 0 < self.signal_to_noise[0] <= self.signal_to_noise[1] < np.inf:
            raise InputError(f"signal_to_noise: {self.signal_to_noise}; expected two positive numbers in order")
        check_seed(self.seed)


def read_recipe(name: str | Path = "d4cnn-fpfs") -> Recipe:
    """Return a recipe for `lensdask.shear.train`.

    Parameters
    ----------
    name
        Name of a recipe that comes with the package, such as ``d4cnn-paper``, or the path of a TOML file. The file may
        hold the fields of `Recipe` at its top, and tables ``[training]``, ``[score]`` and ``[network]`` with those of
        `TrainingConfig`, `ScoreConfig` and `D4CNNConfig`. ``base = "paper"`` in ``[network]`` starts from the paper's
        network.

    Raises
    ------
    InputError
        There is no such recipe, the file cannot be read, or it has a setting that does not exist.
    """
    return recipe_of_file(find_recipe(name, ("d4cnn", "cnn")), Recipe(), _NETWORKS)
