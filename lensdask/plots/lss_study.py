"""Pictures of the study of DeepLSS: they draw what the rows of a result file say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from lensdask.lss.forward.model import PRIORS
from lensdask.plots.massmap import plot_maps
from lensdask.plots.massmap_experiments import curves_of, images_of, pixels_of
from lensdask.plots.posteriors import draw_corner

__all__ = ["plot_contours", "plot_convergence", "plot_gains", "plot_likelihoods", "plot_novelty", "plot_sensitivities"]

Float64 = npt.NDArray[np.float64]
Result = dict[str, Any]

LABELS = {name: one.label for name, one in PRIORS["table1"].items()} | {"sigma8": r"\sigma_8"}
"""TeX of the parameters."""

_STYLES = ("-", "--", ":", "-.", (0, (1, 4)))
"""Of the alternatives, in grey."""

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def plot_contours(result: Result, path: Path) -> None:
    """Draw the posteriors of the panels of a figure, side by side.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    panels: dict[str, dict[str, Any]] = {}
    for one in result["rows"]:
        if "draws" in one:
            probe, _, label = one["series"].partition(": ")
            panels.setdefault(probe, {})[label] = one
    sizes = [1.35 * len(next(iter(rows.values()))["names"]) + 1.2 for rows in panels.values()]
    figure = Figure(figsize=(sum(sizes), max(sizes)), layout="constrained")
    parts = figure.subfigures(1, len(panels), width_ratios=sizes, squeeze=False)[0]
    for part, (probe, rows) in zip(parts, panels.items(), strict=True):
        shown = next(iter(rows.values()))
        draws = {label: _draws_of(one) for label, one in rows.items()}
        draw_corner(part, draws, [LABELS[name] for name in shown["names"]], truth=shown["truth"])
        part.suptitle(probe, x=0.02, ha="left")
    figure.savefig(path, dpi=120)


def _draws_of(row: Mapping[str, Any]) -> Float64:
    """Return the draws that a row keeps, shape (draw, parameter)."""
    steps = np.array([line.split() for line in row["draws"]], dtype=np.float64)
    low, high = (np.array(row[end]) for end in ("low", "high"))
    # Each somewhere in its step: many in one place would draw lines.
    jitter = np.random.default_rng(0).uniform(-0.5, 0.5, steps.shape)
    return np.asarray(low + (high - low) * (steps + jitter) / 999)


def plot_gains(result: Result, path: Path) -> None:
    """Draw the gains in each parameter, a panel for each probe and scales, with the published ones.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    rows = [one for one in result["rows"] if " scales: " in one["series"]]
    columns = dict.fromkeys(one["series"].partition(": ")[0] for one in rows)
    figure = Figure(figsize=(3.3 * len(columns), 4.2), layout="constrained")
    for axes, column in zip(figure.subplots(1, len(columns), sharey=True, squeeze=False)[0], columns, strict=True):
        here = [one for one in rows if one["series"].startswith(column)]
        names = list(dict.fromkeys(one["quantity"].removeprefix("gain in ") for one in here))
        for number, (label, colour) in enumerate(
            zip(dict.fromkeys(one["series"].partition(": ")[2] for one in here), _COLOURS, strict=False)
        ):
            chosen = [one for one in here if one["series"].endswith(label)]
            place = np.arange(len(chosen)) + 0.2 * (number - 1)
            values, errors = (np.array([one[key] for one in chosen]) for key in ("measured", "error"))
            axes.errorbar(place, values, errors, fmt="o", ms=4, color=colour, label=label)
        printed = {one["quantity"].removeprefix("gain in "): one["published"] for one in here if one["published"]}
        axes.plot(
            [names.index(name) for name in printed], list(printed.values()), "kx", label="published, CNN over PSD"
        )
        axes.axhline(1.0, color="0.5", lw=0.8)
        axes.set_xticks(range(len(names)), [f"${LABELS[name]}$" if name in LABELS else "FOM" for name in names])
        axes.set(yscale="log", title=column)
    axes = figure.axes[0]
    axes.set_ylabel("width of the posterior with the second / with the first")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)


def plot_sensitivities(result: Result, path: Path) -> None:
    """Draw maps and gradients of one tile, a line for each parameter.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    rows = images_of(result)
    maps = {one["series"]: pixels_of(one) for one in rows}
    limits = {title: _symmetric(one) for title, one in maps.items()}
    plot_maps(maps, path, pixel_scale=rows[0]["pixel_scale"], limits=limits, columns=4, label="")


def _symmetric(pixels: Float64) -> tuple[float, float]:
    high = float(np.percentile(abs(pixels), 99.5))
    return -high, high


def plot_likelihoods(result: Result, path: Path) -> None:
    """Draw the histograms of Δμ and Δσ of all likelihoods.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    for axes, (name, label, limit) in zip(
        figure.subplots(1, 2), (("Δμ", r"$\Delta_\mu$", 0.3), ("Δσ", r"$\Delta_\sigma$", 0.2)), strict=True
    ):
        axes.axvspan(-limit, limit, color="0.92", zorder=0)
        for (series, curve), colour in zip(curves_of(result, f"share of {name}").items(), _COLOURS, strict=False):
            axes.step(curve.x, curve.y, where="mid", color=colour, label=series)
        axes.set(xlabel=label, ylabel="share of groups and parameters", xlim=(-1, 1))
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)


def plot_convergence(result: Result, path: Path) -> None:
    """Draw the loss of each network against the mosaics that it has seen.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    for number, (name, curve) in enumerate(curves_of(result, "validation loss").items()):
        # The first two are compared; the alternatives show how much the choice of a network matters.
        is_main = number < 2
        colour, style = (_COLOURS[number], "-") if is_main else ("0.55", _STYLES[number - 2])
        axes.plot(curve.x, curve.y, ls=style, color=colour, lw=1.8 if is_main else 1.0, label=name, marker=".")
    axes.set(xlabel="mosaics seen", ylabel="loss on validation mosaics, eq. 14")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


def plot_novelty(result: Result, path: Path) -> None:
    """Draw the distributions of the p-values of mocks; those of more of the same are uniform.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([1e-4, 1], [1e-4, 1], color="0.5", lw=0.8, ls="--", label="uniform")
    curves = curves_of(result, "share of mocks with no higher p-value")
    for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
        axes.step(curve.x, curve.y, where="post", color=colour, label=name)
    axes.set(
        xscale="log", xlabel="p-value among the simulations", ylabel="share of mocks with no higher one", ylim=(0, 1.02)
    )
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)
