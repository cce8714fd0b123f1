"""Pictures of the experiments of large-scale structure: they draw what the rows of a result file say."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from lensdask.plots.massmap import Curve, plot_curves, plot_maps
from lensdask.plots.massmap_experiments import curves_of, images_of, pixels_of

__all__ = ["plot_parameters", "plot_redshifts", "plot_stochasticity", "plot_tiles"]

Float64 = npt.NDArray[np.float64]
Result = dict[str, Any]


def plot_parameters(result: Result, path: Path) -> None:
    """Draw the simulated cosmologies, and the fiducial one.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    rows = result["rows"]
    points = np.array([(row["x"], row["measured"]) for row in rows if "x" in row])
    values = {(row["series"], row["quantity"]): row["measured"] for row in rows if "x" not in row}
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(*points.T, "o", color="#0072b2", ms=4, label="simulated")
    axes.plot(
        values["omega_m", "fiducial value"],
        values["sigma8", "fiducial value"],
        "*",
        color="#d55e00",
        ms=12,
        label="fiducial",
    )
    axes.set(xlabel="$\\Omega_m$", ylabel="$\\sigma_8$")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def plot_redshifts(result: Result, path: Path) -> None:
    """Draw n(z) of the bins.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    curves = {name: curve._replace(low=None, high=None) for name, curve in curves_of(result, "n(z)").items()}
    plot_curves(curves, path, xlabel="redshift", ylabel="n(z)")


def plot_tiles(result: Result, path: Path) -> None:
    """Draw the maps of all bins, convergence above matter, each with its own colour scale.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    rows = images_of(result)
    maps = {row["series"]: pixels_of(row) for row in rows}
    limits = {title: _ends(one) for title, one in maps.items()}
    plot_maps(maps, path, pixel_scale=rows[0]["pixel_scale"], limits=limits, columns=4, label="")


def _ends(pixels: Float64) -> tuple[float, float]:
    low, high = np.percentile(pixels, (0.5, 99.5))
    return float(low), float(high)


def plot_stochasticity(result: Result, path: Path) -> None:
    """Draw the correlation of galaxies with matter against r_g.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    curves = curves_of(result, "correlation with matter")
    curves = {"r": Curve(np.array([0.4, 1.0]), np.array([0.4, 1.0])), **curves}
    plot_curves(curves, path, xlabel="$r_g$", ylabel="correlation with matter")
