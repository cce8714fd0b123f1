"""Pictures of strong lenses: what smooth ones leave of them, what networks call them, and what confidence is worth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ["SeenLens", "plot_classes", "plot_lenses", "plot_masses"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Result = dict[str, Any]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart with any colour vision."""

_BINS = 8
"""Of the true mass, of equal numbers of lenses."""


class SeenLens(NamedTuple):
    """An image of a lens, and what the smooth lens that fits it best leaves.

    Parameters
    ----------
    image
        Electrons per second, shape (y, x).
    residual
        Standard deviations of the noise, shape (y, x).
    pixel_scale
        Side of a pixel, arcsec.
    """

    image: Float32
    residual: Float32
    pixel_scale: float


def plot_lenses(lenses: Mapping[str, SeenLens], path: str | Path, *, columns: int = 4, limit: float = 5.0) -> None:
    """Draw images of lenses, and below each its residual, x to the right and y upwards, all of one field.

    Parameters
    ----------
    lenses
        By title.
    path
        Picture to write.
    columns
        Lenses side by side.
    limit
        Residual at the ends of the colours. Those of images are linear in the root of the brightness, each on its own.
    """
    rows = 2 * -(-len(lenses) // columns)
    figure = Figure(figsize=(2.1 * columns + 0.9, 2.15 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    places = [places for pair in zip(panels[::2], panels[1::2], strict=True) for places in zip(*pair, strict=True)]
    field = min(lens.pixel_scale * lens.image.shape[0] / 2 for lens in lenses.values())
    for (above, below), (title, lens) in zip(places, lenses.items(), strict=False):
        ends = lens.pixel_scale * lens.image.shape[0] / 2 * np.array([-1, 1, -1, 1])
        about = {"origin": "lower", "extent": ends}
        above.imshow(np.sqrt(np.maximum(lens.image, 0.0)), cmap="magma", **about)
        drawn = below.imshow(lens.residual, cmap="RdBu_r", vmin=-limit, vmax=limit, **about)
        above.set_title(title, fontsize="medium")
    for unused in places[len(lenses) :]:
        for axes in unused:
            axes.set_axis_off()
    panels[0, 0].set(xlim=(-field, field), ylim=(-field, field))
    figure.supxlabel("arcsec", fontsize="medium")
    figure.colorbar(drawn, ax=panels, label="(image - smooth lens) / σ", extend="both", fraction=0.03, aspect=40)
    figure.savefig(path, dpi=130)


def plot_classes(result: Result, path: str | Path) -> None:
    """Draw the confusion matrix, the reliability diagram and the curve of each class, side by side.

    Parameters
    ----------
    result
        Content of ``result.json`` of `lensdask.stronglens.evaluate`.
    path
        Picture to write.
    """
    figure = Figure(figsize=(12.5, 4.0), layout="constrained")
    confusion, reliability, curves = figure.subplots(1, 3)
    _draw_confusion(confusion, result)
    _draw_reliability(reliability, result)
    _draw_curves(curves, result)
    figure.suptitle(f"{result['network']}, {result['size']} lenses", fontsize=10)
    figure.savefig(path, dpi=130)


def _draw_confusion(axes: Axes, result: Result) -> None:
    rows = [one for one in result["rows"] if one["quantity"].startswith("called ")]
    names = list(dict.fromkeys(one["series"] for one in rows))
    shares = np.array([np.nan if one["measured"] is None else one["measured"] for one in rows])
    shares = shares.reshape(len(names), len(names))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for y, x in np.argwhere(np.isfinite(shares)):
        text = f"{shares[y, x]:.3f}"
        axes.text(x, y, text, ha="center", va="center", color="white" if shares[y, x] > 0.5 else "black")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="called", ylabel="true class", title="share of the lenses of a class")


def _draw_reliability(axes: Axes, result: Result) -> None:
    rows = [one for one in result["rows"] if one["series"] == "reliability"]
    x, y, error = np.array([[one["x"], one["measured"], one["error"]] for one in rows], dtype=np.float64).T
    known = {one["quantity"]: one["measured"] for one in result["rows"]}
    axes.plot([0, 1], [0, 1], color="0.5", lw=0.8, ls="--", label="perfect")
    label = f"ECE {known['ECE']:.3f}; by chance alone {known['ECE of perfect calibration']:.3f}"
    axes.errorbar(x, y, error, fmt="o", ms=4, color=_COLOURS[0], label=label)
    axes.set(xlabel="probability of the class that a lens is called", ylabel="share that is right", title="reliability")
    low = min(x.min(), (y - error).min()) - 0.03
    axes.set(xlim=(low, 1.02), ylim=(low, 1.02))
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _draw_curves(axes: Axes, result: Result) -> None:
    areas = {one["series"]: one["measured"] for one in result["rows"] if one["quantity"] == "AUC"}
    axes.plot([0, 1], [0, 1], color="0.5", lw=0.8, ls="--")
    for (name, area), colour in zip(areas.items(), _COLOURS, strict=False):
        rows = [one for one in result["rows"] if one["quantity"] == "true positives" and one["series"] == name]
        if rows:
            x, y = np.array([[one["x"], one["measured"]] for one in rows]).T
            axes.plot(x, y, color=colour, label=f"{name}: area {area:.3f}")
    axes.set(xlabel="false positives", ylabel="true positives", title="one class against the others", ylim=(0, 1.02))
    axes.legend(frameon=False, loc="lower right")


def plot_masses(predicted: Float64, error: Float64, true: Float64, path: str | Path, *, title: str = "") -> None:
    """Draw predicted against true masses of axions, and how far they are apart in units of the errors.

    Parameters
    ----------
    predicted, error
        log10 (m / eV) and its error, shape (lens,).
    true
        log10 (m / eV), shape (lens,).
    path
        Picture to write.
    title
        Above the panels.
    """
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    masses, pulls = figure.subplots(1, 2)
    masses.plot(true, predicted, "o", ms=1.5, alpha=0.3, color=_COLOURS[0], rasterized=True, zorder=1)
    ends = [true.min(), true.max()]
    masses.plot(ends, ends, color="0.3", lw=0.8, ls="--", zorder=2)
    bins = np.array_split(np.argsort(true), _BINS)
    low, middle, high = np.array([np.quantile(predicted[part], [0.16, 0.5, 0.84]) for part in bins]).T
    x, ends = [np.median(true[part]) for part in bins], [middle - low, high - middle]
    masses.errorbar(x, middle, ends, fmt="s", ms=4, color=_COLOURS[1], label="median and 68 % of the lenses", zorder=3)
    masses.set(xlabel=r"true $\log_{10}(m\,/\,\mathrm{eV})$", ylabel=r"predicted $\log_{10}(m\,/\,\mathrm{eV})$")
    masses.xaxis.set_major_locator(MaxNLocator(5))
    masses.legend(frameon=False, loc="upper left")
    places = np.linspace(-5, 5, 201)
    pulls.hist((predicted - true) / error, bins=40, range=(-5, 5), density=True, color=_COLOURS[0], alpha=0.5)
    pulls.plot(places, np.exp(-(places**2) / 2) / np.sqrt(2 * np.pi), color="0.3", lw=0.8, ls="--", label="unit normal")
    pulls.set(xlabel="(predicted - true) / error", ylabel="lenses per unit")
    pulls.legend(frameon=False)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=130)
