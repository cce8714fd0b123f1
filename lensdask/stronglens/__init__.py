"""Strong lenses: which dark matter is in a lens, from its image."""

from typing import TYPE_CHECKING

from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask.compute import RunOptions
    from lensdask.stronglens.evaluation.evaluate import evaluate
    from lensdask.stronglens.evaluation.information import mass_bounds, substructure_snr
    from lensdask.stronglens.fitting.run import fit_run
    from lensdask.stronglens.lenses import simulate, simulate_run
    from lensdask.stronglens.nets.recipe import Recipe, read_recipe
    from lensdask.stronglens.nets.training import train
    from lensdask.stronglens.network import LensNetwork, find_network, networks
    from lensdask.stronglens.observed import make_lenses
    from lensdask.stronglens.prediction import classify, classify_run
    from lensdask.stronglens.published import read_published
    from lensdask.stronglens.simulation.presets import CLASSES, PRESETS, SIGNALS, SURVEYS, Preset, Signal, Survey
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "CLASSES",
    "PRESETS",
    "SIGNALS",
    "SURVEYS",
    "LensNetwork",
    "Preset",
    "Recipe",
    "RunOptions",
    "Signal",
    "Survey",
    "classify",
    "classify_run",
    "evaluate",
    "find_network",
    "fit_run",
    "make_lenses",
    "mass_bounds",
    "networks",
    "read_published",
    "read_recipe",
    "simulate",
    "simulate_run",
    "substructure_snr",
    "train",
]
