"""The experiments by name."""

from pathlib import Path
from typing import Any

from lensdask.errors import InputError
from lensdask.plots.d4cnn import (
    plot_conditions,
    plot_cuts,
    plot_nonlinearity,
    plot_numbers,
    plot_rotation,
    plot_shape_noise,
    plot_variants,
)
from lensdask.reproduce.d4cnn_biases import (
    ablations,
    conditions,
    magnitude_cuts,
    noise_schemes,
    training_sizes,
)
from lensdask.reproduce.d4cnn_precision import shape_noise, speed
from lensdask.reproduce.d4cnn_profiles import nonlinearity, rotation_of_cnn, rotation_of_d4cnn
from lensdask.reproduce.experiment import Experiment, Job, conduct
from lensdask.shear.execution import RunOptions

__all__ = ["EXPERIMENTS", "run_experiment"]

_D4CNN = (
    Experiment(
        "d4cnn.figure3",
        "one galaxy at many position angles, D4CNN",
        "Figure 3",
        "the ellipticity turns with the galaxy, exactly at 0 and ±90 degrees",
        rotation_of_d4cnn,
        plot_rotation,
    ),
    Experiment(
        "d4cnn.figure4",
        "m and c against image noise, PSF ellipticity and resmoothing kernel",
        "Figure 4",
        "all biases are consistent with zero, |m| < 1e-3",
        conditions,
        plot_conditions,
    ),
    Experiment(
        "d4cnn.figure5",
        "m and c under cuts in FPFS magnitude, with the response of the cut and without",
        "Figure 5",
        "with the response of the cut all biases are consistent with zero",
        magnitude_cuts,
        plot_cuts,
    ),
    Experiment(
        "d4cnn.figure6",
        "shape noise of D4CNN and FPFS against image noise, i < 24.5",
        "Figure 6",
        "alike without noise; D4CNN is about 10 % lower at LSST year-10 noise",
        shape_noise,
        plot_shape_noise,
    ),
    Experiment(
        "d4cnn.figure7",
        "one galaxy at many position angles, plain CNN",
        "Figure 7",
        "without the symmetry the ellipticity is shifted and does not turn with the galaxy",
        rotation_of_cnn,
        plot_rotation,
    ),
    Experiment(
        "d4cnn.figure8",
        "round galaxies under shear: what a linear response leaves",
        "Figure 8",
        "a cubic for D4CNN, rougher with ReLU, a parabola for the plain CNN",
        nonlinearity,
        plot_nonlinearity,
    ),
    Experiment(
        "d4cnn.table2",
        "m, c and shape noise of D4CNN with GELU, with ReLU, and of a plain CNN",
        "Table 2",
        "shape noise alike; the plain CNN has a large c and a larger m",
        ablations,
        plot_variants,
    ),
    Experiment(
        "d4cnn.table3",
        "m, c and shape noise of D4CNN against the size of its training set",
        "Table 3",
        "no bias and nearly the same shape noise from 1,000 to 20,000 stamps",
        training_sizes,
        plot_variants,
    ),
    Experiment(
        "d4cnn.variance",
        "error of m that 1e5 galaxies leave, for each way to draw the noise of pairs",
        "not in the paper",
        "exchanged noise lets far fewer galaxies test m",
        noise_schemes,
        plot_numbers,
    ),
    Experiment(
        "d4cnn.speed",
        "time to measure a galaxy with its responses, and to train the network",
        "section 5",
        "0.7 ms a galaxy and 10 minutes of training on an H100, input and output included",
        speed,
        plot_numbers,
    ),
)

EXPERIMENTS = {experiment.name: experiment for experiment in _D4CNN}
"""All experiments by name: D4CNN × AnaCal (Lin, Li et al. 2026)."""


def run_experiment(
    name: str,
    directory: Path,
    *,
    size: str = "small",
    seed: int = 0,
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
    return conduct(EXPERIMENTS[name], Job(directory, size, seed, options or RunOptions()))
