"""Pictures of the shear pillar."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

__all__ = ["plot_bias", "plot_bias_in_bins"]

LSST_REQUIREMENT = 2e-3
"""Tolerated |m| of LSST after ten years."""

_PANELS = (
    ("m", "multiplicative bias m", (1e-3, 1e-2)),
    ("c", "additive bias c", (1e-5, 1e-3)),
    ("shape_noise_", "shape noise Std(e) / R", ()),
)
"""Quantity, title, and ticks; at the first of them the axis turns from linear to logarithmic."""

_COLOURS = ("tab:blue", "tab:red")


def plot_bias(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw m, c and the shape noise of bias tests with their 1σ and 3σ errors, beside the published values.

    Parameters
    ----------
    results
        Contents of ``result.json`` files.
    path
        Picture to write.
    """
    figure = Figure(figsize=(11, 1.8 + 0.8 * len(results)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (quantity, title, ticks) in zip(panels, _PANELS, strict=True):
        for place, result in enumerate(results):
            _draw(axes, place, {row["quantity"]: row for row in result["rows"]}, quantity)
        axes.set_title(title)
        axes.grid(axis="x", alpha=0.3)
        if ticks:
            _scale(axes, ticks)
    panels[0].axvspan(-LSST_REQUIREMENT, LSST_REQUIREMENT, color="0.9", zorder=0, label="LSST requirement")
    panels[0].set_yticks(range(len(results)), [_label(result) for result in results])
    panels[0].set_ylim(len(results) - 0.5, -0.5)
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
    )
    figure.savefig(path, dpi=150)


def _scale(axes: Axes, ticks: tuple[float, ...]) -> None:
    """Scale an axis of biases: noiseless tests reach 1e-8 and noisy ones 1e-2, which one linear axis cannot show."""
    axes.axvline(0, color="black", lw=0.8)
    axes.set_xscale("symlog", linthresh=ticks[0])
    reach = max(3 * ticks[0], *map(abs, axes.get_xlim()))
    axes.set_xlim(-reach, reach)
    axes.set_xticks([0.0, *(sign * tick for tick in ticks if tick < reach for sign in (-1, 1))])
    axes.minorticks_off()


def _label(result: dict[str, Any]) -> str:
    return f"{result['experiment'].removeprefix('shear.bias ')}\n{result['size']:,} galaxies"


def _draw(axes: Axes, place: int, rows: dict[str, dict[str, Any]], quantity: str) -> None:
    for component, colour in zip((1, 2), _COLOURS, strict=True):
        row = rows.get(f"{quantity}{component}")
        if row is None or row["measured"] is None or row["error"] is None:
            continue
        height = place + 0.16 * (2 * component - 3)
        axes.errorbar(
            row["measured"],
            height,
            xerr=3 * row["error"],
            fmt="none",
            ecolor=colour,
            alpha=0.3,
            lw=4,
        )
        axes.errorbar(
            row["measured"],
            height,
            xerr=row["error"],
            fmt="o",
            color=colour,
            ms=5,
            label=f"component {component}, 1σ and 3σ",
        )
        if row["published"] is not None:
            axes.errorbar(
                row["published"],
                height,
                xerr=row["published_error"],
                fmt="x",
                color="black",
                ms=7,
                elinewidth=0.8,
                label="published (40 million galaxies)",
            )


def plot_bias_in_bins(binned: xr.Dataset, path: str | Path, expected: xr.DataArray | None = None) -> None:
    """Draw m in bins with 1σ errors, with and without the response of the edges, over the number of galaxies.

    Parameters
    ----------
    binned
        From `lensdask.shear.bias_in_bins`.
    path
        Picture to write.
    expected
        True m in each bin, where it is known.
    """
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axes.axhspan(-LSST_REQUIREMENT, LSST_REQUIREMENT, color="0.9", zorder=0, label="LSST requirement")
    axes.axhline(0, color="black", lw=0.8)
    if expected is not None:
        axes.plot(binned["mean"], expected, color="black", ls="--", lw=1, label="truth")
    for component, colour in zip((1, 2), _COLOURS, strict=True):
        _points_in_bins(axes, binned, f"m{component}", colour)
    axes.set_ylabel("multiplicative bias m")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    counts.stairs(binned["selected"], [*binned["lower"].values, binned["upper"].values[-1]], color="0.3", fill=True)
    counts.set(xlabel=str(binned.attrs["quantity"]), ylabel="galaxies", yscale="log")
    counts.yaxis.set_minor_formatter(NullFormatter())
    figure.savefig(path, dpi=150)


def _points_in_bins(axes: Axes, binned: xr.Dataset, quantity: str, colour: str) -> None:
    """Draw one component: filled points, and hollow ones for an analysis that forgets the response of the edges."""
    # The components side by side.
    shift = 0.02 * (binned["upper"] - binned["lower"]) * (-1 if quantity == "m1" else 1)
    for suffix, face, label in (("", colour, "corrected"), ("_uncorrected", "white", "edges forgotten")):
        axes.errorbar(
            binned["mean"] + shift,
            binned[f"{quantity}{suffix}"],
            yerr=binned[f"{quantity}{suffix}_error"],
            fmt="o",
            ms=5,
            color=colour,
            mfc=face,
            label=f"{quantity}, {label}",
        )
