"""The networks of the mass-map experiments: those that ship with the package, or trained for the experiment."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lensdask.data import configuration_hash
from lensdask.maps.mock import NoiseModel
from lensdask.massmap.method import SHIPPED
from lensdask.massmap.networks.architectures import Config
from lensdask.massmap.networks.cha import CHA_PAPER, ChaConfig
from lensdask.massmap.networks.h21 import H21_LIKE, H21Config
from lensdask.massmap.networks.miu2net import MIU2NET_PAPER, MIU2NetConfig
from lensdask.massmap.networks.recipe import MassmapRecipe
from lensdask.massmap.networks.training import train_massmap
from lensdask.reproduce.cha.published import SMOOTHING
from lensdask.reproduce.experiment import Job
from lensdask.sky.simulate import SkyConfig
from lensdask.training import TrainingConfig

__all__ = ["LABELS", "METHODS", "NOISES", "SKIES", "method_of", "recipe_of", "smoothing_of", "weights_of"]

SKIES = {
    "tiny": SkyConfig(size=64, pixel_scale=0.82),
    "small": SkyConfig(size=128, pixel_scale=0.82),
    "paper": SkyConfig(source="zs2.5"),
}
"""Fields by size: 1.75 degrees in front of galaxies at redshift 1, for which the shipped networks were trained; at size
"paper" the 3.5 degrees and the redshift of 2.5 of Cha et al. 2025."""

NOISES = {"tiny": NoiseModel(), "small": NoiseModel(), "paper": NoiseModel(measurement_error=0.2)}
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

_CHA_TRAINING = TrainingConfig(
    epochs=6000,
    batch=16,
    micro_batch=4,
    learning_rate=1e-5,
    minimum_rate=0.0,
    weight_decay=0.0,
    schedule="cosine",
    validate_every=438,
    clip_norm=1.0,
)
_CHA = MassmapRecipe(
    CHA_PAPER, SKIES["paper"], NOISES["paper"], _CHA_TRAINING, loss="cha", exponent=6.0, fields=7000, validation=2800
)
# Of the published training, the second stage, on quarters of the fields of this paper.
_MIU2NET = MassmapRecipe(
    network=MIU2NET_PAPER,
    sky=replace(SKIES["paper"], size=256),
    noise=NOISES["paper"],
    training=TrainingConfig(
        epochs=2000,
        batch=128,
        micro_batch=32,
        learning_rate=1e-4,
        weight_decay=0.0,
        schedule="cosine",
        validate_every=79,
        bfloat16=True,
    ),
    loss="miu2net",
    ring_weight=3.0,
    fields=10000,
    validation=500,
    fresh=True,
)
_PAPER = {"cha": _CHA, "h21": replace(_CHA, network=H21_LIKE, exponent=1.0), "miu2net": _MIU2NET}

_SCALES: dict[str, Any] = {"inputs": "weighted+weight", "input_scale": 0.05, "output_scale": 0.02}
_TINY: dict[str, Config] = {
    "cha": ChaConfig(channels=2, first_kernels=(3, 5, 9), large_kernel=9, **_SCALES),
    "h21": H21Config(channels=2, reduction=2, first_kernel=4, kernel=5, pairs=1, **_SCALES),
    "miu2net": MIU2NetConfig(
        heights=(3, 0), middle=(2, 2), channels=(4, 4), middle_up=(2,), channels_up=(4,), **_SCALES
    ),
}


def recipe_of(name: str, size: str, seed: int = 0) -> MassmapRecipe:
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
    if size == "paper":
        return replace(_PAPER[name], seed=seed)
    training = TrainingConfig(epochs=1, batch=4, micro_batch=4, learning_rate=1e-3)
    return MassmapRecipe(_TINY[name], SKIES[size], NOISES[size], training, fields=8, validation=4, seed=seed)


def _weights(job: Job, name: str) -> Path:
    """Return the file of a network; the name of one that the experiment trains contains the hash of the recipe."""
    if job.size == "small":
        return SHIPPED[name]
    recipe = configuration_hash(asdict(recipe_of(name, job.size, job.seed)))
    return job.parts / "networks" / f"{name}-{recipe[:12]}.safetensors"


def method_of(job: Job, label: str) -> str:
    """Return the method of a label, as `lensdask.massmap.find_method` takes it; a network is trained if it has to be.

    A training that was interrupted is continued.
    """
    name = LABELS[label]
    if name not in SHIPPED or job.size == "small":
        return name
    path = _weights(job, name)
    # The card is written last.
    if not path.with_suffix(".json").exists():
        recipe = recipe_of(name, job.size, job.seed)
        train_massmap(path, recipe, device=job.device_here, overwrite=True, resume=True)
    return str(path)


def smoothing_of(label: str) -> float:
    """Return the standard deviation in arcmin of the Gaussian by which a method smooths; 0 for all but KS93."""
    return float(LABELS[label].partition(":")[2] or 0) if label in LABELS else 0.0


def weights_of(*labels: str) -> Callable[[Job], list[Path]]:
    """Return the function from an experiment to the files of the networks among methods with these labels."""
    return lambda job: [_weights(job, LABELS[label]) for label in labels if LABELS[label] in SHIPPED]
