"""The networks of the mass-map experiments: those that ship with the package, or trained for the experiment."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from lensdask.data import configuration_hash
from lensdask.maps.mock import Survey
from lensdask.massmap import read_recipe, train
from lensdask.massmap.method import SHIPPED_WEIGHTS
from lensdask.massmap.networks.recipe import Recipe
from lensdask.reproduce.cha.published import SMOOTHING
from lensdask.reproduce.experiment import Job
from lensdask.sky.simulate import SkyConfig

__all__ = ["LABELS", "METHODS", "SKIES", "SURVEYS", "method_of", "recipe_of", "smoothing_of", "weights_of"]

SKIES = {
    "tiny": SkyConfig(size=64, pixel_scale=0.82),
    "small": SkyConfig(size=128, pixel_scale=0.82),
    "paper": SkyConfig(source="zs2.5"),
}
"""Fields by size: 1.75 degrees in front of galaxies at redshift 1, for which the shipped networks were trained; at size
"paper" the 3.5 degrees and the redshift of 2.5 of Cha et al. 2025."""

SURVEYS = {"tiny": Survey(), "small": Survey(), "paper": Survey(measurement_error=0.2)}
"""Rubin after ten years, 33 galaxies per arcmin² and σ_e = 0.24 per component (section 2.2 of Cha et al. 2025); at size
"paper" with errors of the measurement, which the paper's network is told."""

LABELS = {
    "Wiener": "wiener",
    "KS93": f"ks93:{SMOOTHING / 60:g}",
    "KS93 1.6'": "ks93:1.6",
    "H21": "h21",
    "Cha": "cha",
    "MIU²Net": "miu2net",
}
"""Methods by the name in figures. The smoothing of KS93 is that of Cha et al. 2025; 1.6 arcmin leaves the least error
on the lognormal fields of size "small"."""

METHODS = tuple(LABELS)
"""What every experiment compares: Wiener first, against which errors are measured."""


def recipe_of(name: str, size: str, seed: int = 0) -> Recipe:
    """Return how a network is trained for an experiment.

    Parameters
    ----------
    name
        ``cha``, ``h21`` or ``miu2net``.
    size
        "tiny" or "paper"; what size "small" measures with ships with the package.
    seed
        Seed of weights, skies and noise.
    """
    recipe = read_recipe(f"massmap-{name}-{size}")
    # The fields of the experiment, cut to the size that the network is trained on.
    sky = replace(SKIES[size], size=recipe.sky.size)
    return replace(recipe, sky=sky, survey=SURVEYS[size], seed=seed)


def _weights(job: Job, name: str) -> Path:
    """Return the file of a network; the name of one that the experiment trains contains the hash of the recipe."""
    if job.size == "small":
        return SHIPPED_WEIGHTS[name]
    recipe = configuration_hash(asdict(recipe_of(name, job.size, job.seed)))
    return job.parts / "networks" / f"{name}-{recipe[:12]}.safetensors"


def method_of(job: Job, label: str) -> str:
    """Return the method of a label, as `lensdask.massmap.find_method` takes it; a network is trained if it has to be.

    A training that was interrupted is continued.
    """
    name = LABELS[label]
    if name not in SHIPPED_WEIGHTS or job.size == "small":
        return name
    path = _weights(job, name)
    # The card is written last.
    if not path.with_suffix(".json").exists():
        recipe = recipe_of(name, job.size, job.seed)
        train(path, recipe, device=job.device_here, overwrite=True, resume=True)
    return str(path)


def smoothing_of(label: str) -> float:
    """Return the standard deviation in arcmin of the Gaussian by which a method smooths; 0 for all but KS93."""
    return float(LABELS[label].partition(":")[2] or 0) if label in LABELS else 0.0


def weights_of(*labels: str) -> Callable[[Job], list[Path]]:
    """Return the function from an experiment to the files of the networks among methods with these labels."""
    return lambda job: [_weights(job, LABELS[label]) for label in labels if LABELS[label] in SHIPPED_WEIGHTS]
