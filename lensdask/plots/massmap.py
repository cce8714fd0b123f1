"""Pictures of mass maps and of what is measured on them. Maps are drawn with x to the right and y upwards."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

__all__ = [
    "Curve",
    "plot_completeness",
    "plot_correlation",
    "plot_curves",
    "plot_maps",
    "plot_pdf",
    "plot_pixels",
    "plot_power",
]

Float64 = npt.NDArray[np.float64]
Image = npt.NDArray[Any]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart with any colour vision."""

_TRUTH = "truth"
"""Name of the curve that is drawn in black."""

_MOST_IN_LEGEND = 8
"""Lines whose names find room inside of a picture."""

_MARKS = ("o", "s", "^", "D")


class Curve(NamedTuple):
    """A measured curve with a band about it."""

    x: Float64
    """Places."""
    y: Float64
    """Values; NaN where there is none."""
    low: Float64 | None = None
    """Lower edge of the band."""
    high: Float64 | None = None
    """Upper edge of the band."""
    is_companion: bool = False
    """Whether it belongs to the curve before it: drawn dashed, in the same colour, without a band."""


def plot_maps(
    maps: Mapping[str, Image],
    path: str | Path,
    *,
    pixel_scale: float,
    mask: Image | None = None,
    places: Mapping[str, tuple[Float64, Float64]] | None = None,
    arcs: Mapping[str, Sequence[npt.NDArray[Any]]] | None = None,
    limits: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
    columns: int = 4,
    label: str = "κ",
    unit: str = "arcmin",
    compass: bool = False,
) -> None:
    """Draw maps side by side, with one colour scale or each with its own.

    Parameters
    ----------
    maps
        By title, shape (y, x), of one shape.
    path
        Picture to write.
    pixel_scale
        Side of a pixel, arcmin or another unit.
    mask
        0 where nothing is drawn.
    places
        Rows and columns of what is marked in every map, by the name in the legend: peaks, X-ray clusters. The first
        have the largest marks.
    arcs
        Pixels (y, x) in order of each line to draw over a map, as of filaments, by its title.
    limits
        Ends of the colour scale, or by title those of the scale that each map then has of its own; 0.5 and 99.9 % of
        all pixels drawn when none.
    columns
        Maps in a row.
    label
        Of the colour scale.
    unit
        Of the axes and of ``pixel_scale``.
    compass
        Draw arrows to the north, upwards, and to the east, to the left: maps of a catalogue in RA and Dec.
    """
    shown = {title: np.where(True if mask is None else mask != 0, one, np.nan) for title, one in maps.items()}
    own = limits if isinstance(limits, Mapping) else {}
    common = None if own else limits or np.nanpercentile(np.stack(list(shown.values())), (0.5, 99.9))
    across = min(columns, len(maps))
    down = -(-len(maps) // across)
    height, width = next(iter(maps.values())).shape
    size = 1.0 + (4.2 if own else 3.6) * across, 0.6 + (0.4 + 3.2 * height / width) * down
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(maps) :]:
        axes.set_visible(False)
    for axes, (title, one) in zip(panels.flat, shown.items(), strict=False):
        # Pixel centres are whole numbers of rows and columns.
        extent = [edge * pixel_scale for edge in (-0.5, one.shape[1] - 0.5, -0.5, one.shape[0] - 0.5)]
        image = axes.imshow(one, origin="lower", extent=extent, clim=own.get(title, common), cmap="magma")
        if own:
            figure.colorbar(image, ax=axes, label=label, shrink=0.8)
        _mark(axes, places or {}, (arcs or {}).get(title, ()), pixel_scale)
        axes.set_title(title, fontsize="medium")
        if compass:
            _compass(axes)
    # The lowest map of each column: the last row may have room for more.
    for axes in panels.flat[max(len(maps) - across, 0) : len(maps)]:
        axes.set_xlabel(f"x [{unit}]")
        axes.tick_params(labelbottom=True)
    for axes in panels[:, 0]:
        axes.set_ylabel(f"y [{unit}]")
    if not own:
        figure.colorbar(image, ax=panels, label=label, shrink=0.8)
    _legend_below(figure, panels[0, 0])
    figure.savefig(path, dpi=150)


def _mark(
    axes: Axes,
    places: Mapping[str, tuple[Float64, Float64]],
    arcs: Sequence[npt.NDArray[Any]],
    pixel_scale: float,
) -> None:
    """Draw places and lines over a map."""
    reach = axes.axis()
    for arc in arcs:
        axes.plot(arc[:, 1] * pixel_scale, arc[:, 0] * pixel_scale, color="#ff9ed8", lw=1.2)
    for name, (rows, columns), marker, colour, size in zip(
        places, places.values(), _MARKS, ("white", "#56b4e9", "#009e73", "#e69f00"), (10, 5, 5, 5), strict=False
    ):
        x, y = np.asarray(columns) * pixel_scale, np.asarray(rows) * pixel_scale
        axes.plot(x, y, marker, mfc="none", color=colour, mec=colour, ms=size, ls="", label=name)
    axes.axis(reach)


def _compass(axes: Axes) -> None:
    """Draw arrows to the north and the east in the lower right corner, with an edge that shows on any map."""
    edge, corner = [withStroke(linewidth=3, foreground="black")], (0.95, 0.05)
    for name, tip in (("N", (0.95, 0.18)), ("E", (0.82, 0.05))):
        arrow = {"arrowstyle": "<-", "color": "white", "lw": 1.5, "shrinkA": 0, "shrinkB": 0, "path_effects": edge}
        look: dict[str, Any] = {"color": "white", "ha": "center", "va": "center", "path_effects": edge}
        axes.annotate(name, corner, tip, "axes fraction", "axes fraction", arrow, **look)


def _legend_below(figure: Figure, axes: Axes) -> None:
    """Draw the legend of one panel under the figure, for all; on grey, where white marks show."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), facecolor="0.4", labelcolor="w")


def plot_pixels(
    truth: Image,
    maps: Mapping[str, Image],
    path: str | Path,
    *,
    slopes: Mapping[str, float] | None = None,
    limits: tuple[float, float] = (-0.1, 0.3),
) -> None:
    """Draw the reconstructed against the true κ of each pixel, as two-dimensional histograms.

    Parameters
    ----------
    truth
        True κ of pixels, any shape.
    maps
        Reconstructed κ of the same pixels, by title.
    path
        Picture to write.
    slopes
        Slope of the line to draw through the mean of the pixels, by title.
    limits
        Ends of both axes.
    """
    figure = Figure(figsize=(1.0 + 3.5 * len(maps), 3.9), layout="constrained")
    panels = figure.subplots(1, len(maps), sharex=True, sharey=True, squeeze=False)[0]
    edges = np.linspace(*limits, 121)
    ends = np.array(limits)
    for axes, (title, one) in zip(panels, maps.items(), strict=True):
        *_, image = axes.hist2d(truth.ravel(), one.ravel(), bins=[edges, edges], norm=LogNorm(), cmap="viridis")
        axes.plot(ends, ends, color="#009e73", lw=1, label="truth")
        if slopes is not None and title in slopes:
            line = one.mean() + slopes[title] * (ends - truth.mean())
            axes.plot(ends, line, "--", color="#d55e00", lw=1.2, label=f"slope {slopes[title]:.2f}")
        axes.set(title=title, xlabel="true κ", xlim=limits, ylim=limits, aspect="equal")
        axes.legend(frameon=False, fontsize="small", loc="upper left")
    panels[0].set_ylabel("reconstructed κ")
    figure.colorbar(image, ax=panels, label="pixels")
    figure.savefig(path, dpi=150)


def plot_curves(
    curves: Mapping[str, Curve],
    path: str | Path,
    *,
    xlabel: str,
    ylabel: str,
    level: float | None = None,
    band: tuple[float, float] | None = None,
    points: Mapping[str, tuple[float, float]] | None = None,
    **settings: Any,
) -> None:
    """Draw curves with their bands; the one named "truth" is black.

    Parameters
    ----------
    curves
        By the name in the legend.
    path
        Picture to write.
    xlabel, ylabel
        Names of the axes.
    level
        Height of a horizontal line: what a perfect method reaches.
    band
        Heights between which the background is grey.
    points
        Single values, such as published ones, (x, y) by the name in the legend.
    **settings
        Of the axes: ``xscale``, ``ylim``, …
    """
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    if band is not None:
        axes.axhspan(*band, color="0.92", zorder=0)
    if level is not None:
        axes.axhline(level, color="0.5", lw=0.8)
    colours = iter(_COLOURS)
    colour = "black"
    for name, curve in curves.items():
        if not curve.is_companion:
            colour = "black" if name == _TRUTH else next(colours)
        line, marker = "--" if curve.is_companion else "-", "." if len(curve.x) < 30 else None
        axes.plot(curve.x, curve.y, line, color=colour, lw=1.6, marker=marker, label=name)
        if curve.low is not None and curve.high is not None and not curve.is_companion:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.2, lw=0)
    for (name, (x, y)), marker in zip((points or {}).items(), ("x", "+", "1", "2"), strict=False):
        axes.plot([x], [y], marker, color="black", ms=9, mew=1.5, ls="", label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel, **settings)
    if len(axes.get_lines()) > _MOST_IN_LEGEND:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    else:
        axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=150)


def plot_pdf(curves: Mapping[str, Curve], path: str | Path) -> None:
    """Draw the probability density of κ of maps (Figures 4 and 8 of Cha et al. 2025)."""
    plot_curves(curves, path, xlabel="κ", ylabel="probability density", yscale="log")


def plot_correlation(curves: Mapping[str, Curve], path: str | Path) -> None:
    """Draw κκ correlation functions against the angle in arcmin (Figure 5)."""
    plot_curves(curves, path, xlabel="θ [arcmin]", ylabel="ξ(θ)", xscale="log", yscale="log")


def plot_completeness(
    curves: Mapping[str, Curve], path: str | Path, points: Mapping[str, tuple[float, float]] | None = None
) -> None:
    """Draw the share of clusters found against their projected mass in Msun (Figure 7), with published values."""
    mass = "projected mass within 1 Mpc [Msun]"
    plot_curves(
        curves, path, xlabel=mass, ylabel="completeness", xscale="log", ylim=(0, 1.03), level=1.0, points=points
    )


def plot_power(curves: Mapping[str, Curve], path: str | Path, *, within: float | None = None) -> None:
    """Draw the power of maps over that of the truth against ℓ, with a grey band of relative accuracy about 1."""
    band = None if within is None else (1 - within, 1 + within)
    plot_curves(
        curves, path, xlabel="multipole ℓ", ylabel="C(ℓ) / true C(ℓ)", xscale="log", ylim=(0, 1.5), level=1.0, band=band
    )
