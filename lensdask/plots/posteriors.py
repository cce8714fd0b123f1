"""Posteriors of large-scale structure: contours of all pairs of parameters, and whether they can be trusted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from scipy.ndimage import gaussian_filter
from scipy.stats import binom

__all__ = ["draw_corner", "plot_corner", "plot_trust"]

Float64 = npt.NDArray[np.float64]

_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#000000", "#999999", "#7b3f00"),
)
"""Told apart with any colour vision, as many as there are parameters."""

_MASSES = (0.95, 0.68)
_CELLS = 60
_SPREAD = 9.0
"""Cells in a standard deviation of draws that fill the range."""
_BINS = 10


def plot_corner(
    draws_by_label: Mapping[str, npt.ArrayLike],
    labels: Sequence[str],
    path: str | Path,
    *,
    truth: npt.ArrayLike | None = None,
) -> None:
    """Draw the posteriors of all pairs of parameters, with contours around 68 % and 95 % of the draws.

    Parameters
    ----------
    draws_by_label
        Draws, shape (draw, parameter), by the name in the legend.
    labels
        TeX of the parameters, without dollar signs.
    path
        The image file to write; its ending chooses the format.
    truth
        Parameters that are marked, shape (parameter,).
    """
    count = len(labels)
    figure = Figure(figsize=(1.5 * count + 1.5, 1.5 * count + 1.5), layout="constrained")
    draw_corner(figure, draws_by_label, labels, truth=truth)
    figure.savefig(path, dpi=130)


def draw_corner(
    figure: FigureBase,
    draws_by_label: Mapping[str, npt.ArrayLike],
    labels: Sequence[str],
    *,
    truth: npt.ArrayLike | None = None,
) -> None:
    """Draw what `plot_corner` draws into a figure or a part of one; arguments as there."""
    draws = {name: np.asarray(values, dtype=np.float64) for name, values in draws_by_label.items()}
    count = len(labels)
    every = np.concatenate(list(draws.values()))
    ranges = np.quantile(every, [0.0005, 0.9995], axis=0).T
    known = None if truth is None else np.asarray(truth, dtype=np.float64)
    if known is not None:
        ranges = np.stack([np.minimum(ranges[:, 0], known), np.maximum(ranges[:, 1], known)], axis=1)
    grid = figure.subplots(count, count, squeeze=False)
    for y in range(count):
        for x in range(count):
            _draw_cell(grid[y, x], draws, ranges, known, x, y)
        grid[-1, y].set_xlabel(f"${labels[y]}$")
        grid[y, 0].set_ylabel(f"${labels[y]}$" if y else "")
    handles = [grid[0, 0].plot([], [], color=colour)[0] for _, colour in zip(draws, _COLOURS, strict=False)]
    figure.legend(handles, list(draws), loc="upper right", frameon=False)


def _draw_cell(
    axes: Axes, draws: Mapping[str, Float64], ranges: Float64, truth: Float64 | None, x: int, y: int
) -> None:
    """Draw one pair of parameters, or one parameter on the diagonal."""
    axes.set_visible(x <= y)
    for (_, values), colour in zip(draws.items(), _COLOURS, strict=False):
        if x == y:
            counts, edges = np.histogram(values[:, x], bins=_CELLS, range=ranges[x], density=True)
            axes.stairs(gaussian_filter(counts, _width(len(values)), mode="nearest"), edges, color=colour)
        elif x < y:
            _contours(axes, values[:, [x, y]], ranges[[x, y]], colour)
    if truth is not None:
        axes.axvline(truth[x], color="0.4", lw=0.8, ls="--")
        if x < y:
            axes.axhline(truth[y], color="0.4", lw=0.8, ls="--")
    axes.set_xlim(*ranges[x])
    axes.tick_params(labelsize=7, labelbottom=y == len(ranges) - 1, labelleft=x == 0 and y > 0, rotation=30)
    if x == y:
        axes.set_yticks([])
    else:
        axes.set_ylim(*ranges[y])


def _width(count: int) -> float:
    """Return the standard deviation, in cells, of the kernel for a number of draws: Scott's rule."""
    return float(_SPREAD * max(count, 1) ** (-1 / 6))


def _contours(axes: Axes, pairs: Float64, ranges: Float64, colour: str) -> None:
    counts, first, second = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=_CELLS, range=list(ranges))
    smooth = gaussian_filter(counts, _width(len(pairs)), mode="nearest")
    ordered = np.sort(smooth, axis=None)[::-1]
    mass = ordered.cumsum() / ordered.sum()
    levels = [float(ordered[np.searchsorted(mass, share)]) for share in _MASSES]
    centres = [(edges[1:] + edges[:-1]) / 2 for edges in (first, second)]
    if levels[0] < levels[1] < smooth.max():
        axes.contourf(*centres, smooth.T, [*levels, smooth.max()], colors=[colour], alpha=0.25)
        axes.contour(*centres, smooth.T, levels, colors=[colour], linewidths=1.0)


def plot_trust(
    path: str | Path,
    *,
    labels: Sequence[str],
    mean_difference: npt.ArrayLike,
    scatter_difference: npt.ArrayLike,
    ranks: npt.ArrayLike | None = None,
    tarp: Mapping[str, npt.ArrayLike] | None = None,
) -> None:
    """Draw how well a likelihood describes simulations and, with mocks, whether its posteriors cover the truth.

    Parameters
    ----------
    path
        The image file to write; its ending chooses the format.
    labels
        TeX of the parameters, without dollar signs.
    mean_difference, scatter_difference
        Δ_μ and Δ_σ (eqs. C1, C2), shape (group, parameter).
    ranks
        Ranks of the truth as fractions, shape (mock, parameter); bands hold 99 % of uniform ones.
    tarp
        Shares of draws closer than the truth, shape (mock,), by the name in the legend.
    """
    figure = Figure(figsize=(15, 7.5) if ranks is not None else (8, 3.8), layout="constrained")
    panels = figure.subplots(2, 3).ravel() if ranks is not None else figure.subplots(1, 2)
    for axes, values, name, limit in (
        (panels[0], mean_difference, r"$\Delta_\mu$", 0.3),
        (panels[1], scatter_difference, r"$\Delta_\sigma$", 0.2),
    ):
        axes.hist(np.clip(np.ravel(np.asarray(values)), -1, 1), bins=60, color=_COLOURS[0])
        axes.axvspan(-limit, limit, color="0.5", alpha=0.15)
        axes.set(xlabel=name, ylabel="groups and parameters", xlim=(-1, 1))
    if ranks is not None:
        values = np.asarray(ranks, dtype=np.float64)
        _draw_ranks(panels[2], values, labels)
        _draw_tarp(panels[3], {name: np.asarray(one, dtype=np.float64) for name, one in (tarp or {}).items()})
        for axes, level in zip(panels[4:], (0.68, 0.95), strict=True):
            _draw_coverage(axes, values, labels, level)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def _draw_ranks(axes: Axes, ranks: Float64, labels: Sequence[str]) -> None:
    edges = np.linspace(0, 1, _BINS + 1)
    low, high = binom.interval(0.99, len(ranks), 1 / _BINS)
    axes.axhspan(low, high, color="0.5", alpha=0.15)
    for number, (values, label) in enumerate(zip(ranks.T, labels, strict=True)):
        counts, _ = np.histogram(values, edges)
        axes.stairs(counts, edges, color=_COLOURS[number % len(_COLOURS)], lw=1.2, label=f"${label}$")
    axes.set(xlabel="rank of the truth among the draws", ylabel="mocks", xlim=(0, 1), ylim=(0, None))
    axes.legend(frameon=False, ncols=3, fontsize=8)


def _draw_tarp(axes: Axes, fractions: Mapping[str, Float64]) -> None:
    credibility = np.linspace(0, 1, 101)
    for (name, values), colour in zip(fractions.items(), _COLOURS, strict=False):
        expected = (values[:, None] <= credibility).mean(axis=0)
        low, high = (edge / len(values) for edge in binom.interval(0.99, len(values), credibility))
        axes.plot(credibility, expected, color=colour, label=name)
        axes.fill_between(credibility, low, high, color="0.5", alpha=0.1, lw=0)
    axes.plot([0, 1], [0, 1], color="0.4", lw=0.8, ls="--")
    axes.set(xlabel="credibility", ylabel="expected coverage", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False)


def _draw_coverage(axes: Axes, ranks: Float64, labels: Sequence[str], level: float) -> None:
    inside = (np.abs(ranks - 0.5) < level / 2).mean(axis=0)
    error = np.sqrt(level * (1 - level) / len(ranks))
    axes.axhspan(level - 3 * error, level + 3 * error, color="0.5", alpha=0.15)
    axes.axhline(level, color="0.4", lw=0.8, ls="--")
    axes.errorbar(range(len(labels)), inside, yerr=error, fmt="o", color=_COLOURS[0])
    axes.set_xticks(range(len(labels)), [f"${label}$" for label in labels])
    axes.set(ylabel=f"coverage of the {level:.0%} interval")
