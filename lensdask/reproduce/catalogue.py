"""The experiments by name."""

from pathlib import Path
from typing import Any

from lensdask.compute import RunOptions
from lensdask.errors import InputError
from lensdask.reproduce.d4cnn.experiments import D4CNN
from lensdask.reproduce.deeplss.experiments import DEEPLSS
from lensdask.reproduce.enn.experiments import ENN
from lensdask.reproduce.experiment import Job, conduct
from lensdask.reproduce.massmaps.experiments import CHA, MIU2NET

__all__ = ["EXPERIMENTS", "run_experiment"]

EXPERIMENTS = {experiment.name: experiment for experiment in (*D4CNN, *CHA, *MIU2NET, *ENN, *DEEPLSS)}
"""All experiments by name: D4CNN × AnaCal (Lin, Li et al. 2026), the mass maps of Cha et al. 2025,
MIU²Net, equivariant networks of strong lenses (Cheeramvelil, Gleyzer & Toomey 2023), and DeepLSS (Kacprzak & Fluri
2022)."""


def run_experiment(
    name: str,
    directory: Path,
    *,
    size: str = "small",
    seed: int = 0,
    study: Path | None = None,
    options: RunOptions | None = None,
) -> dict[str, Any]:
    """Reproduce a figure or a table: write ``result.json`` and the picture ``NAME.png`` into a directory.

    Parameters
    ----------
    name
        A key of `EXPERIMENTS`.
    directory
        Directory of the results.
    size
        ``tiny``, ``small`` or ``paper``.
    seed
        Seed of galaxies, noise and training.
    study
        Directory of what the experiments of a paper share: simulations, networks, posteriors, each made once. In the
        directory of the results when none.
    options
        Cluster, device, resumption.

    Returns
    -------
    dict
        Content of ``result.json``.

    Raises
    ------
    InputError
        There is no such experiment or size, or the directory is taken.
    """
    if name not in EXPERIMENTS:
        raise InputError(f"experiment {name!r} is unknown; expected {', '.join(EXPERIMENTS)}")
    return conduct(EXPERIMENTS[name], Job(directory, size, seed, options or RunOptions(), study))
