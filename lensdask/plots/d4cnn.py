"""Pictures of the D4CNN experiments: they draw what the rows of a result file say."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lensdask.plots.shear import LSST_REQUIREMENT, plot_bias

__all__ = [
    "plot_conditions",
    "plot_cuts",
    "plot_nonlinearity",
    "plot_numbers",
    "plot_rotation",
    "plot_shape_noise",
    "plot_variants",
]

Result = dict[str, Any]
Row = dict[str, Any]

_BLUE, _RED, _GREEN, _PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"  # told apart with any colour vision
_COMPONENTS = (_BLUE, _RED)
_SHIFT = 0.004
"""Sideways shift of a component, as part of the axis, so that error bars stand side by side."""


def _points(result: Result) -> list[Row]:
    """Return the rows that are points of a curve."""
    return [row for row in result["rows"] if "x" in row]


def _names(rows: Sequence[Row]) -> list[str]:
    """Return the series of rows in order."""
    return list(dict.fromkeys(row["series"] for row in rows))


def _column(rows: Sequence[Row], key: str) -> list[float]:
    return [row[key] for row in rows]


def _values(result: Result) -> dict[tuple[str | None, str], float]:
    """Return the numbers that are no points, by series and quantity."""
    return {(row.get("series"), row["quantity"]): row["measured"] for row in result["rows"] if "x" not in row}


def _legend_below(figure: Figure, axes: Axes) -> None:
    """Draw the legend of one panel under the figure, for all."""
    handles, labels = axes.get_legend_handles_labels()
    columns = min(3, len(handles))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize="small")


def _finish(figure: Figure, result: Result, path: Path) -> None:
    figure.suptitle(f"{result['what']} ({result['source']}; size {result['size']})", fontsize="medium")
    figure.savefig(path, dpi=150)


def plot_rotation(result: Result, path: Path) -> None:
    """Draw e1 and e2 against the position angle, beside A cos 2φ and A sin 2φ, and what they differ by.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    figure = Figure(figsize=(7, 6), layout="constrained")
    curves, residuals = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    amplitude = _values(result)[None, "amplitude A"]
    fine = np.linspace(-90, 90, 181)
    turns: tuple[Callable[[Any], Any], ...] = (np.cos, np.sin)
    for name, turn, colour in zip(("e1", "e2"), turns, _COMPONENTS, strict=True):
        rows = [row for row in _points(result) if row["series"] == name]
        x, e = np.array(_column(rows, "x")), np.array(_column(rows, "measured"))
        label = f"A {turn.__name__} 2φ, A = {amplitude:.3g}"
        curves.plot(fine, amplitude * turn(2 * np.deg2rad(fine)), "--", color=colour, lw=1, label=label)
        curves.plot(x, e, "o", color=colour, ms=4, label=name)
        residuals.plot(x, e - amplitude * turn(2 * np.deg2rad(x)), "o-", color=colour, ms=4, lw=0.8)
    for axes in (curves, residuals):
        axes.axhline(0, color="black", lw=0.8)
        for angle in (-45, 0, 45):
            axes.axvline(angle, color="0.6", lw=0.8, ls=":")
    curves.set_ylabel("ellipticity e")
    residuals.set(xlabel="position angle φ [degrees]", ylabel="residual", xticks=range(-90, 91, 45))
    _legend_below(figure, curves)
    _finish(figure, result, path)


def plot_conditions(result: Result, path: Path) -> None:
    """Draw m and c against each condition, a row of panels for each, with 1σ and 3σ errors.

    Parameters
    ----------
    result
        Content of ``result.json``; each series is a condition, and its points are the values of it.
    path
        Picture to write.
    """
    points = _points(result)
    names = _names(points)
    figure = Figure(figsize=(10, 2.8 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 2, squeeze=False)
    for (left, right), name in zip(panels, names, strict=True):
        rows = [row for row in points if row["series"] == name]
        _draw_biases(left, rows, "m", "o")
        _draw_biases(right, rows, "c", "o")
        for axes, quantity in ((left, "m"), (right, "c")):
            axes.set(xlabel=name, ylabel=_TITLES[quantity])
    _legend_below(figure, panels[0, 0])
    _finish(figure, result, path)


def plot_cuts(result: Result, path: Path) -> None:
    """Draw m and c against the cut in magnitude, with the response of the cut (filled) and without (open).

    Parameters
    ----------
    result
        Content of ``result.json``; the series are kinds of cuts, a row of panels each, with and without.
    path
        Picture to write.
    """
    points = _points(result)
    names = _names(points)
    kinds = list(dict.fromkeys(name.split(", ")[0] for name in names))
    figure = Figure(figsize=(10, 3.6 * len(kinds)), layout="constrained")
    panels = figure.subplots(len(kinds), 2, sharex=True, squeeze=False)
    for line, kind in zip(panels, kinds, strict=True):
        for axes, quantity in zip(line, "mc", strict=True):
            for name, marker in zip((n for n in names if n.startswith(kind)), ("o", "s"), strict=True):
                rows = [row for row in points if row["series"] == name]
                _draw_biases(axes, rows, quantity, marker, name.split(", ")[1], is_open=marker == "s")
            axes.set(title=kind, ylabel=_TITLES[quantity])
    for axes in panels[-1]:
        axes.set_xlabel("cut in FPFS magnitude")
    _legend_below(figure, panels[0, 0])
    _finish(figure, result, path)


_TITLES = {"m": "multiplicative bias m (1σ, 3σ)", "c": "additive bias c (1σ, 3σ)"}


def _draw_biases(
    axes: Axes, points: Sequence[Row], quantity: str, marker: str, name: str = "", *, is_open: bool = False
) -> None:
    """Draw both components of m or c."""
    if quantity == "m" and not axes.patches:
        axes.axhspan(-LSST_REQUIREMENT, LSST_REQUIREMENT, color="0.9", zorder=0, label="LSST requirement")
    axes.axhline(0, color="black", lw=0.8)
    width = np.ptp(_column(points, "x")) or 1.0
    for component, colour in zip((1, 2), _COMPONENTS, strict=True):
        rows = [row for row in points if row["quantity"] == f"{quantity}{component}"]
        x = np.array(_column(rows, "x")) + width * _SHIFT * (2 * component - 3) * (3 if is_open else 1)
        e, error = _column(rows, "measured"), np.array(_column(rows, "error"))
        axes.errorbar(x, e, 3 * error, fmt="none", ecolor=colour, alpha=0.25, lw=3)
        label = f"component {component} {name}".strip()
        fill = "white" if is_open else colour
        axes.errorbar(x, e, error, fmt=marker, color=colour, mfc=fill, ms=4, label=label)


def plot_shape_noise(result: Result, path: Path) -> None:
    """Draw the shape noise of the network and of FPFS against image noise, and their ratio.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    figure = Figure(figsize=(7, 6.5), layout="constrained")
    noise, ratio = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    noises = [row for row in _points(result) if row["quantity"].startswith("shape_noise")]
    ratios = [row for row in _points(result) if not row["quantity"].startswith("shape_noise")]
    for name, colour, marker in zip(_names(noises), (_RED, _PURPLE, _BLUE, _GREEN), "sDo^", strict=True):
        for component in (1, 2):
            rows = [r for r in noises if r["series"] == name and r["quantity"] == f"shape_noise_{component}"]
            label = name if component == 1 else None
            _draw_curve(noise, rows, colour, marker, label, ls="-" if component == 1 else ":")
    # In the colour of the network; triangles where FPFS is at its best.
    styles = ((_RED, "o"), (_RED, "^"), (_PURPLE, "o"), (_PURPLE, "^"))
    for name, (colour, marker) in zip(_names(ratios), styles, strict=True):
        rows = [row for row in ratios if row["series"] == name]
        _draw_curve(ratio, rows, colour, marker, name)
    _mark_published(ratio, ratios)
    ratio.axhline(1, color="black", lw=0.8)
    noise.set_ylabel("shape noise Std(e) / R (dotted: e2)")
    ratio.set(xlabel="image noise per pixel, zero point 30", ylabel="ratio")
    for axes in (noise, ratio):
        axes.legend(frameon=False, fontsize="x-small")
    _finish(figure, result, path)


def _draw_curve(axes: Axes, rows: Sequence[Row], colour: str, marker: str, label: str | None, ls: str = "-") -> None:
    x, value, error = (_column(rows, key) for key in ("x", "measured", "error"))
    axes.errorbar(x, value, error, fmt=marker, ls=ls, color=colour, ms=4, lw=1, label=label)


def _mark_published(axes: Axes, rows: Sequence[Row]) -> None:
    published = [row for row in rows if row["published"] is not None][:1]
    axes.plot(_column(published, "x"), _column(published, "published"), "x", color="black", ms=8, label="published")


def plot_nonlinearity(result: Result, path: Path) -> None:
    """Draw what a linear response to shear leaves of e1 and e2, with the fitted polynomial, for each network.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    points, values = _points(result), _values(result)
    names = _names(points)
    figure = Figure(figsize=(3.6 * len(names), 5.5), layout="constrained")
    panels = figure.subplots(2, len(names), sharex=True, squeeze=False)
    for component, line in zip((1, 2), panels, strict=True):
        for axes, name in zip(line, names, strict=True):
            rows = [row for row in points if row["series"] == name and row["component"] == component]
            _draw_residual(axes, rows, [values[name, f"{term} of e{component}"] for term in "ABQ"])
            axes.set_ylabel(f"e{component} - linear fit" if name == names[0] else "")
            axes.text(0.5, 1.12, name if component == 1 else "", ha="center", transform=axes.transAxes)
    for axes in panels[1]:
        axes.set_xlabel("shear g")
    _finish(figure, result, path)


def _draw_residual(axes: Axes, rows: Sequence[Row], fit: Sequence[float]) -> None:
    A, B, Q = fit
    x, residual = np.array(_column(rows, "x")), np.array(_column(rows, "measured"))
    fine = np.linspace(x.min(), x.max(), 201)
    # The constant of the fit is what makes the mean of an even term vanish, as the linear fit does.
    curve = A * fine**3 - B * fine + Q * (fine**2 - np.mean(x**2))
    axes.axhline(0, color="black", lw=0.8)
    axes.plot(x, residual, "o", color=_BLUE, ms=3)
    axes.plot(fine, curve, color=_RED, lw=1)
    axes.set_title(f"A = {A:+.2g}, B = {B:+.1e}, Q = {Q:+.1e}", loc="right", fontsize="x-small")
    axes.ticklabel_format(axis="y", scilimits=(0, 0))


def plot_variants(result: Result, path: Path) -> None:
    """Draw m, c and shape noise of networks beside the published values.

    Parameters
    ----------
    result
        Content of ``result.json``; each series is a network.
    path
        Picture to write.
    """
    by_name = [[row for row in result["rows"] if row["series"] == name] for name in _names(result["rows"])]
    plot_bias([{"experiment": rows[0]["series"], "size": rows[0]["n"], "rows": rows} for rows in by_name], path)


def plot_numbers(result: Result, path: Path) -> None:
    """Draw positive numbers on logarithmic axes, one for each unit, beside the published ones.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    units = list(dict.fromkeys(row["unit"] for row in result["rows"]))
    counts = [sum(row["unit"] == unit for row in result["rows"]) for unit in units]
    figure = Figure(figsize=(9, 1.4 + 0.4 * len(result["rows"]) + 0.6 * len(units)), layout="constrained")
    panels = figure.subplots(len(units), 1, squeeze=False, height_ratios=[count + 1 for count in counts])[:, 0]
    for axes, unit in zip(panels, units, strict=True):
        rows = [row for row in result["rows"] if row["unit"] == unit]
        places = np.arange(len(rows))
        error = [row["error"] or 0.0 for row in rows]
        axes.errorbar(_column(rows, "measured"), places, xerr=error, fmt="o", color=_BLUE, label="measured")
        known = [(row["published"], place) for row, place in zip(rows, places, strict=True) if row["published"]]
        if known:
            axes.plot(*zip(*known, strict=True), "x", color="black", ms=8, label="published")
        axes.set_yticks(places, [f"{row['series']}: {row['quantity']}" for row in rows])
        axes.set(xscale="log", xlabel="" if unit == "1" else unit, ylim=(len(rows) - 0.4, -0.6))
        axes.grid(alpha=0.3)
    _legend_below(figure, panels[0])
    _finish(figure, result, path)
