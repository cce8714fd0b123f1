"""A catalogue of galaxies at a glance."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["plot_catalogue"]

Galaxies = npt.NDArray[np.void]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # told apart with any colour vision


def plot_catalogue(galaxies_by_label: Mapping[str, Galaxies], path: str | Path) -> None:
    """Draw the magnitudes, sizes, axis ratios and bulges of catalogues over one another.

    Histograms are densities, so that catalogues of any length compare; their bands are Poisson
    errors.

    Parameters
    ----------
    galaxies_by_label
        CatSim galaxies (structured arrays, as in ``lensdask.shear.simulation.catsim``) by the name in the
        legend, up to four.
    path
        The image file to write; its ending chooses the format.
    """
    figure = Figure(figsize=(15, 3.8), layout="constrained")
    counts, sizes, ratios, bulges = figure.subplots(1, 4)
    # Points of a long catalogue would hide those of a short one.
    longest_first = sorted(galaxies_by_label, key=lambda label: -len(galaxies_by_label[label]))
    for colour, label in zip(_COLOURS, longest_first, strict=False):
        rows = galaxies_by_label[label]
        discs = rows[rows["a_d"] > 0]
        _histogram(counts, rows["i_ab"], np.arange(17.0, 28.5, 0.5), colour, f"{label} ({len(rows)})")
        _points(sizes, discs, colour)
        _histogram(ratios, discs["b_d"] / discs["a_d"], np.linspace(0.0, 1.0, 11), colour)
        _bulge_curve(bulges, rows, colour)
    _name_axes(counts, sizes, ratios, bulges)
    counts.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=150)


def _histogram(
    axes: Axes,
    values: npt.NDArray[np.float64],
    edges: npt.NDArray[np.float64],
    colour: str,
    label: str | None = None,
) -> None:
    """Draw a density with its Poisson errors."""
    number, _ = np.histogram(values, edges)
    density = number / (max(len(values), 1) * np.diff(edges))
    error = density / np.sqrt(np.maximum(number, 1))
    axes.stairs(density, edges, color=colour, linewidth=1.8, label=label)
    axes.stairs(density + error, edges, baseline=density - error, fill=True, color=colour, alpha=0.2)


def _points(axes: Axes, discs: Galaxies, colour: str) -> None:
    """Draw the size of discs against magnitude, with smaller points for longer catalogues."""
    radius = np.sqrt(discs["a_d"] * discs["b_d"])
    area = np.clip(3000.0 / max(len(discs), 1), 1.5, 28.0)
    axes.scatter(
        discs["i_ab"],
        radius,
        s=area,
        color=colour,
        linewidths=0,
        alpha=0.9 if area > 5 else 0.35,
        rasterized=True,
    )


def _bulge_curve(axes: Axes, rows: Galaxies, colour: str) -> None:
    """Draw the share of galaxies whose bulge-to-total ratio exceeds a value."""
    edges = np.geomspace(1e-3, 1.0, 61)
    ratio = rows["fluxnorm_bulge"] / (rows["fluxnorm_bulge"] + rows["fluxnorm_disk"])
    above = np.count_nonzero(ratio[:, None] > edges, axis=0) / max(len(rows), 1)
    axes.plot(edges, above, color=colour, linewidth=1.8, drawstyle="steps-post")


def _name_axes(counts: Axes, sizes: Axes, ratios: Axes, bulges: Axes) -> None:
    """Label the axes."""
    counts.set(xlabel="i [AB magnitude]", ylabel="density per magnitude", yscale="log")
    sizes.set(xlabel="i [AB magnitude]", ylabel="disc half-light radius [arcsec]", yscale="log")
    ratios.set(xlabel="axis ratio b/a of the disc", ylabel="density", xlim=(0, 1), ylim=(0, None))
    bulges.set(xlabel="bulge-to-total ratio B/T", ylabel="share of galaxies above", xscale="log")
    bulges.set(xlim=(1e-3, 1.0), ylim=(0, None))
    for axes in (counts, sizes, ratios, bulges):
        axes.spines[["top", "right"]].set_visible(False)
