"""The networks of the paper's experiments: those that ship with the package, or trained for the experiment."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from lensdask.data import configuration_hash
from lensdask.reproduce.experiment import Job
from lensdask.shear import read_recipe, train
from lensdask.shear.networks.recipe import Recipe
from lensdask.shear.shapes.estimator import find_estimator

__all__ = ["ABLATIONS", "network", "recipe_of", "trained", "trained_path", "weights_of"]

ABLATIONS = {"d4cnn-fpfs": "D4CNN (GELU)", "d4cnn-relu": "D4CNN (ReLU)", "cnn": "CNN"}
"""The three networks of section 4, all trained on FPFS ellipticities, with the names that the paper gives them."""


def recipe_of(name: str, size: str, seed: int = 0) -> Recipe:
    """Return how a network is trained for an experiment.

    Parameters
    ----------
    name
        ``d4cnn`` (learns distortions), ``d4cnn-fpfs``, ``d4cnn-relu`` or ``cnn`` (learn FPFS ellipticities).
    size
        Size of the experiment, "tiny", "small" or "paper"; the recipe is the one named ``d4cnn-SIZE``.
    seed
        Seed of weights, galaxies and noise.
    """
    recipe = replace(read_recipe(f"d4cnn-{size}"), label="distortion" if name == "d4cnn" else "fpfs", seed=seed)
    activation: Literal["gelu", "relu"] = "relu" if name == "d4cnn-relu" else "gelu"
    return replace(recipe, network=replace(recipe.network, activation=activation, equivariant=name != "cnn"))


def _recipe(job: Job, name: str, galaxies: int | None) -> Recipe:
    recipe = recipe_of(name, job.size, job.seed)
    return recipe if galaxies is None else replace(recipe, galaxies=galaxies)


def trained_path(job: Job, name: str, galaxies: int | None = None) -> Path:
    """Return the file of a network that the experiment trains; its name contains the hash of the recipe.

    Parameters
    ----------
    job
        Experiment; the weights are among its parts.
    name
        As in `recipe_of`.
    galaxies
        Training stamps; those of the recipe when not given.
    """
    recipe = asdict(_recipe(job, name, galaxies))
    # What plays no part in these trainings: the settings of another kind of training, gradients that are not shortened,
    # a window that these networks do not have.
    del recipe["score"], recipe["population"], recipe["training"]["clip_norm"], recipe["network"]["window_fwhm"]
    return job.parts / "networks" / f"{name}-{recipe['galaxies']}-{configuration_hash(recipe)[:12]}.safetensors"


def trained(job: Job, name: str, galaxies: int | None = None) -> Path:
    """Return the weights of `trained_path`, trained unless they lie there: by the same recipe, to judge by the name.

    A training that was interrupted is continued.
    """
    path = trained_path(job, name, galaxies)
    # The card is written last.
    if not path.with_suffix(".json").exists():
        train(path, _recipe(job, name, galaxies), device=job.device_here, overwrite=True, resume=True)
    return path


def network(job: Job, name: str) -> str:
    """Return the estimator of a name: the one that ships with the package at size "small", a trained one otherwise."""
    return name if job.size == "small" else str(trained(job, name))


def weights_of(*names: str) -> Callable[[Job], list[Path]]:
    """Return the function from an experiment to the files of the networks with these names, as `network` picks them."""

    def files(job: Job) -> list[Path]:
        is_shipped = job.size == "small"
        return [find_estimator(name).weights if is_shipped else trained_path(job, name) for name in names]

    return files
