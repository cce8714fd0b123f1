"""The picture of where the information on dark matter is in images of lenses: it draws what a result file says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from lensdask.plots.massmap_experiments import curves_of, images_of, pixels_of

__all__ = ["plot_information"]

Result = dict[str, Any]
Row = dict[str, Any]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_MARKS = ("o", "s", "^", "D")
_PRIOR = 2 / 12**0.5
"""Standard deviation of the prior of log10 m, uniform from -24 to -22."""


def plot_information(result: Result, path: Path) -> None:
    """Draw S/N of substructure, bounds on the axion mass, classifiers without physics, and where a network looks.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    images = images_of(result)
    figure = Figure(figsize=(14, 4.4 + 5.4 * bool(images)), layout="constrained")
    parts = figure.subfigures(1 + bool(images), 1, squeeze=False, height_ratios=[4.4, 5.4][: 1 + bool(images)])[:, 0]
    ratios, bounds, leaks = parts[0].subplots(1, 3, width_ratios=[1, 0.8, 0.8])
    rows = [each for each in result["rows"] if "x" not in each and "image" not in each]
    _draw_points(ratios, [each for each in rows if each["quantity"].startswith("median S/N of")], " substructure, ")
    ratios.set(xscale="log", xlabel="median S/N of the substructure, smooth lens fitted")
    figure.suptitle(_title(result))
    ratios.axvline(1.0, color="0.5", lw=0.8)
    _draw_bounds(bounds, result)
    _draw_points(leaks, [each for each in rows if each["quantity"].startswith("accuracy")], " of ")
    leaks.set(xlabel="accuracy without physics", xlim=(0.2, 1.02))
    for chance in (1 / 3, 1 / 2):
        leaks.axvline(chance, color="0.5", lw=0.8)
    if images:
        _draw_images(parts[1], images)
    figure.savefig(path, dpi=130)


def _title(result: Result) -> str:
    lenses = next(each["n"] for each in result["rows"] if each["quantity"].startswith("median S/N of"))
    return f"size {result['size']}, {lenses:,} lenses a row"


def _draw_points(axes: Axes, rows: Sequence[Row], before: str) -> None:
    """Draw rows as points, a line for each series and a colour for each quantity, named by what follows some words."""
    series = list(dict.fromkeys(each["series"] for each in rows))
    quantities = list(dict.fromkeys(each["quantity"] for each in rows))
    for number, quantity in enumerate(quantities):
        chosen = [each for each in rows if each["quantity"] == quantity]
        place = [series.index(each["series"]) + 0.15 * (number - (len(quantities) - 1) / 2) for each in chosen]
        values, errors = (np.array([each[key] for each in chosen]) for key in ("measured", "error"))
        about = {"fmt": _MARKS[number], "ms": 4, "color": _COLOURS[number], "label": quantity.partition(before)[2]}
        axes.errorbar(values, place, xerr=errors, **about)
    axes.set_yticks(range(len(series)), series, fontsize="small")
    axes.invert_yaxis()
    # Above: the points leave no room, whatever they are.
    axes.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1.05, 1.0))


def _draw_bounds(axes: Axes, result: Result) -> None:
    curves = curves_of(result, "median bound on log10 m")
    surveys = list(dict.fromkeys(name.rpartition(", ")[2] for name in curves))
    vortices = list(dict.fromkeys(name.rpartition(", ")[0] for name in curves))
    for name, curve in curves.items():
        vortex, _, survey = name.rpartition(", ")
        mark, colour = _MARKS[surveys.index(survey)], _COLOURS[vortices.index(vortex)]
        line = "-" if survey == surveys[0] else "--"
        error = None if curve.high is None else curve.high - curve.y
        axes.errorbar(curve.x, curve.y, error, fmt=f"{mark}{line}", ms=4, color=colour, label=name)
    axes.axhline(_PRIOR, color="0.5", lw=0.8, label="prior")
    axes.set(yscale="log", xlabel="log10 (m / eV) of the axion", ylabel="least error of log10 m, dex")
    axes.legend(frameon=False, fontsize="small", ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _draw_images(figure: SubFigure, images: Sequence[Row]) -> None:
    """Draw images of lenses, and below each the change of the output of its class with each pixel."""
    axes = figure.subplots(2, len(images) // 2)
    for one, row in zip(axes.T.ravel(), images, strict=True):
        pixels = pixels_of(row)
        end = float(abs(pixels).max())
        is_change = pixels.min() < -0.3 * end
        about = {"cmap": "RdBu_r", "vmin": -end} if is_change else {"cmap": "magma"}
        one.imshow(pixels, origin="lower", vmax=end, **about)
        one.set(title=row["series"], xticks=[], yticks=[])
