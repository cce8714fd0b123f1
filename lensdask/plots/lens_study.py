"""Pictures of the study of networks of strong lenses: they draw what the rows of a result file say."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["plot_convergence", "plot_learning_curve", "plot_rotation", "plot_table1", "plot_table2"]

Result = dict[str, Any]
Row = dict[str, Any]

_COLOURS = {
    "ResNet50": "#555555",
    "C8 steerable CNN": "#0072b2",
    "Harmonic Network": "#009e73",
    "Equivariant Transformer": "#e69f00",
    "lens-net": "#d55e00",
}
"""Of the networks of the tables; the one without symmetry is grey."""

_SWAPPED = {"ResNet50 with residual": "#aaaaaa", "lens-net without residual": "#cc79a7"}
"""Of those whose inputs are swapped, in the learning curve."""

_EVERY = _COLOURS | _SWAPPED

_MARKS = dict(zip(_EVERY, "osD^vP<", strict=True))

_MODELS = ("Model A", "Model B")

_CALIBRATION = "calibration error"


def plot_learning_curve(result: Result, path: Path) -> None:
    """Draw accuracy, likelihood and calibration by the number of images, at equal epochs and at equal compute.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    shown = [("accuracy", "equal epochs"), *((name, "equal compute") for name in ("accuracy", "NLL", _CALIBRATION))]
    figure = Figure(figsize=(13.2, 4.4), layout="constrained")
    panels = figure.subplots(1, len(shown))
    for axes, (quantity, how) in zip(panels, shown, strict=True):
        for name in _shown(result, _EVERY):
            _errorbars(axes, name, _points(result, quantity, f"{name}, {how}"))
        images = sorted({row["x"] for row in result["rows"] if "x" in row})
        axes.set(xscale="log", xlabel="training images of each class", xlim=(0.7 * images[0], 1.4 * images[-1]))
        axes.set_title(f"{quantity}, {how}", fontsize="medium")
        axes.set_xticks(images, [f"{number:g}" for number in images])
        axes.minorticks_off()
    panels[0].sharey(panels[1])
    _line(
        panels[3], _points(result, f"{_CALIBRATION} of perfect calibration", "lens-net, equal compute"), "k:", "chance"
    )
    panels[3].set_ylim(bottom=0)
    _finish(figure, path, "bars: resamplings of the test lenses and of the trainings")


def plot_convergence(result: Result, path: Path) -> None:
    """Draw the validation accuracy against epochs and against CPU time, for each number of images.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    rows = [row for row in result["rows"] if row["quantity"] == "validation accuracy"]
    sizes = list(dict.fromkeys(row["series"].rpartition(", ")[2] for row in rows))
    figure = Figure(figsize=(max(4.2 * len(sizes), 9.6), 6.8), layout="constrained")
    panels = figure.subplots(2, len(sizes), squeeze=False, sharey=True)
    for column, size in enumerate(sizes):
        for name, colour in _shown(result, _EVERY).items():
            here = [row for row in rows if row["series"] == f"{name}, {size}"]
            accuracy = [row["measured"] for row in here]
            for axes, key in zip(panels[:, column], ("x", "cpu_s"), strict=True):
                axes.plot([row[key] for row in here], accuracy, color=colour, lw=1.2, label=name)
        panels[0, column].set(xlabel="epochs", title=size)
        panels[1, column].set(xlabel="CPU time [s]")
    for axes in panels[:, 0]:
        axes.set_ylabel("validation accuracy")
    _finish(figure, path, f"size {result['size']}, first training of each network")


def plot_rotation(result: Result, path: Path) -> None:
    """Draw the accuracy of each network at each angle, as bars.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    rows = [row for row in result["rows"] if row["quantity"] == "accuracy"]
    angles = sorted({row["x"] for row in rows})
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    axes = figure.subplots()
    for number, (name, colour) in enumerate(_shown(result).items()):
        here = {row["x"]: row for row in rows if row["series"] == name}
        place = np.arange(len(angles)) + 0.16 * (number - 2)
        values, errors = ([here[angle][key] for angle in angles] for key in ("measured", "error"))
        axes.bar(place, values, 0.15, yerr=errors, color=colour, label=name, error_kw={"lw": 1})
    axes.axhline(1 / 3, color="k", ls=":", lw=0.8, label="chance")
    axes.set_xticks(range(len(angles)), [f"{angle:g}°" for angle in angles])
    axes.set(xlabel="angle by which lenses are turned", ylabel="accuracy", ylim=(0, 1.02))
    _finish(figure, path, f"size {result['size']}")


def plot_table1(result: Result, path: Path) -> None:
    """Draw error rate and 1 - AUC of the networks on both models beside the published ones.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    for line, quantity in zip(panels, ("accuracy", "macro AUC"), strict=True):
        for axes, model in zip(line, _MODELS, strict=True):
            for number, (name, colour) in enumerate(_shown(result).items()):
                (row,) = _rows(result, quantity, f"{model}: {name}")
                axes.errorbar(number, 1 - row["measured"], row["error"], fmt=_MARKS[name], color=colour, capsize=3)
                if row["published"] is not None:
                    axes.plot(number, 1 - row["published"], "kx", label="published")
            axes.set_title(f"{model}: 1 - {quantity}", fontsize="medium")
            axes.set_ylim(bottom=0)
            names = [name.replace(" ", "\n") for name in _shown(result)]
            axes.set_xticks(range(len(names)), names, fontsize="small")
    images = max(row["measured"] for row in result["rows"] if row["quantity"].startswith("images"))
    size = f"size {result['size']}, {images:.0f} training images of each class"
    is_comparable = any(row["comparable"] for row in result["rows"])
    _finish(figure, path, size if is_comparable else f"{size}: not comparable with the published numbers")


def plot_table2(result: Result, path: Path) -> None:
    """Draw errors of log10 m, and scatter over slope with its bound, by mass, for both models.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    figure = Figure(figsize=(9.6, 7.6), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    for (above, below), model in zip(panels.T, _MODELS, strict=True):
        for name in _shown(result):
            _errorbars(above, name, _points(result, "RMSE of log10 m", f"{model}: {name}"))
            _errorbars(below, name, _points(result, "scatter over slope", f"{model}: {name}"))
        _line(above, _points(result, "RMSE of log10 m", f"{model}: the same mass for all"), "k--", "one mass for all")
        for which, style in (("median", "k-"), ("mean information", "k:")):
            name = f"Cramér-Rao bound, {which}"
            _line(below, _points(result, name, model), style, name)
        above.set_title(f"{model}: RMSE of log10 m [dex]", fontsize="medium")
        below.set_title(f"{model}: scatter over slope [dex]", fontsize="medium")
        below.set(yscale="log", xlabel="log10 (m / eV)")
    _finish(figure, path, "Table 2 prints errors of another quantity: not comparable")


def _shown(result: Result, colours: dict[str, str] = _COLOURS) -> dict[str, str]:
    """Return the colours of the networks that a result has."""
    series = [row.get("series", "") for row in result["rows"]]
    return {name: colour for name, colour in colours.items() if any(name in one for one in series)}


def _rows(result: Result, quantity: str, series: str) -> list[Row]:
    return [row for row in result["rows"] if row["quantity"] == quantity and row.get("series") == series]


def _points(result: Result, quantity: str, series: str) -> list[Row]:
    return sorted((row for row in _rows(result, quantity, series) if "x" in row), key=lambda row: float(row["x"]))


def _errorbars(axes: Axes, name: str, rows: list[Row]) -> None:
    """Draw the points of a network with their intervals."""
    columns = ("x", "measured", "low", "high")
    x, value, low, high = (np.array([row[key] for row in rows], dtype=np.float64) for key in columns)
    # An interval of resamplings need not hold the value.
    bars = np.nan_to_num(np.maximum([value - low, high - value], 0.0))
    axes.errorbar(x, value, bars, fmt=f"{_MARKS[name]}-", ms=4, lw=1, capsize=2, color=_EVERY[name], label=name)


def _line(axes: Axes, rows: list[Row], style: str, label: str) -> None:
    axes.plot([row["x"] for row in rows], [row["measured"] for row in rows], style, lw=1.2, label=label)


def _finish(figure: Figure, path: Path, remark: str) -> None:
    """Write a picture with one legend for all of its panels, and a remark below."""
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, title=remark)
    figure.savefig(path, dpi=130)
