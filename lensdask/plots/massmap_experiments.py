"""Pictures of the mass-map experiments: they draw what the rows of a result file say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.plots.massmap import (
    Curve,
    plot_completeness,
    plot_correlation,
    plot_curves,
    plot_maps,
    plot_pdf,
    plot_power,
)

__all__ = [
    "curves_of",
    "images_of",
    "pixels_of",
    "plot_azimuth",
    "plot_correlations",
    "plot_densities",
    "plot_found",
    "plot_heights",
    "plot_images",
    "plot_masses",
    "plot_pair_frames",
    "plot_power_ratios",
    "plot_relation",
]

Float64 = npt.NDArray[np.float64]
Result = dict[str, Any]
Row = dict[str, Any]

_UNIT = 1e-4
"""Convergence that 1 stands for in the images of rows."""


def curves_of(result: Result, quantity: str) -> dict[str, Curve]:
    """Return the points of a quantity by series, with their errors as bands."""
    rows = [row for row in result["rows"] if "x" in row and row["quantity"] == quantity]
    names = dict.fromkeys(row["series"] for row in rows)
    return {name: _curve([row for row in rows if row["series"] == name]) for name in names}


def _curve(rows: Sequence[Row]) -> Curve:
    x, y, error = (np.array([row[key] or 0.0 for row in rows]) for key in ("x", "measured", "error"))
    return Curve(x, y, y - error, y + error)


def images_of(result: Result) -> list[Row]:
    """Return the rows that hold an image."""
    return [row for row in result["rows"] if "image" in row]


def pixels_of(row: Row) -> Float64:
    """Return the image of a row, NaN outside of the footprint."""
    lines = [line.split() for line in row["image"]]
    return np.array([[np.nan if word == "-" else int(word) * _UNIT for word in line] for line in lines])


def _places(arc: str) -> Float64:
    """Return the points of a line, y and x, arcmin from the lower left corner, shape (n, 2)."""
    return np.array([point.split(",")[::-1] for point in arc.split()], dtype=np.float64)


def plot_images(result: Result, path: Path) -> None:
    """Draw the maps side by side, each with its filaments where there are any.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    rows = images_of(result)
    scale = rows[0]["pixel_scale"]
    arcs = {row["series"]: [_places(arc) / scale - 0.5 for arc in row.get("arcs", [])] for row in rows}
    maps = {row["series"]: pixels_of(row) for row in rows}
    plot_maps(maps, path, pixel_scale=scale, columns=4, arcs=arcs, mask=np.isfinite(next(iter(maps.values()))))


def plot_pair_frames(result: Result, path: Path) -> None:
    """Draw the mean surroundings of pairs, with the separation as the unit of length.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    rows = images_of(result)
    maps = {row["series"]: pixels_of(row) for row in rows}
    plot_maps(maps, path, pixel_scale=rows[0]["pixel_scale"], columns=2, unit="separations")


def plot_relation(result: Result, path: Path) -> None:
    """Draw the mean reconstructed κ of pixels against the true one.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    curves = curves_of(result, "mean reconstructed kappa")
    ends = np.array([min(c.x.min() for c in curves.values()), max(c.x.max() for c in curves.values())])
    both = {"truth": Curve(ends, ends), **curves}
    plot_curves(both, path, xlabel="true κ of a pixel", ylabel="mean reconstructed κ")


def plot_densities(result: Result, path: Path) -> None:
    """Draw the distributions of κ.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    plot_pdf(_without_zeros(curves_of(result, "density")), path)


def _without_zeros(curves: dict[str, Curve]) -> dict[str, Curve]:
    """Return curves for a logarithmic axis: NaN where they are not above 0, no band below the lowest value of any.

    Where one map alone has a value, the lower edge of the band is 0 but for rounding.
    """
    lowest = min((c.y[c.y > 0].min(initial=np.inf) for c in curves.values()), default=np.inf)
    return {name: _above(c, float(lowest)) for name, c in curves.items()}


def _above(curve: Curve, lowest: float) -> Curve:
    def seen(values: Float64 | None) -> Float64 | None:
        return None if values is None else np.where(curve.y > 0, values, np.nan)

    low = None if curve.low is None else np.maximum(curve.low, lowest)
    return curve._replace(y=np.where(curve.y > 0, curve.y, np.nan), low=seen(low), high=seen(curve.high))


def plot_correlations(result: Result, path: Path) -> None:
    """Draw the correlation functions of κ.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    plot_correlation(_without_zeros(curves_of(result, "xi")), path)


def plot_masses(result: Result, path: Path) -> None:
    """Draw the mean mass found against the true mass of clusters.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    curves = curves_of(result, "mean mass found")
    ends = np.array([10**13.625, 10**15.125])
    both = {"truth": Curve(ends, ends), **_without_zeros(curves)}
    label = "projected mass within 1 Mpc [Msun]"
    plot_curves(both, path, xlabel=f"true {label}", ylabel=f"found: {label}", xscale="log", yscale="log")


def plot_found(result: Result, path: Path) -> None:
    """Draw the share of the clusters found against their mass, and that by chance.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    curves = {
        name: curve._replace(is_companion=name.endswith("by chance"))
        for name, curve in curves_of(result, "completeness").items()
    }
    known = [r for r in result["rows"] if "x" in r and r["published"] is not None]
    points = {f"published: {r['series']}, {r['x']:.1g} Msun": (r["x"], r["published"]) for r in known}
    plot_completeness(curves, path, points)


def plot_azimuth(result: Result, path: Path) -> None:
    """Draw the convergence in sectors about a cluster.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    curves = curves_of(result, "excess")
    plot_curves(curves, path, xlabel="direction, from x towards y [degrees]", ylabel="κ above its ring", level=0.0)


def plot_heights(result: Result, path: Path) -> None:
    """Draw the height of peaks in reconstructed maps against the true one.

    Parameters
    ----------
    result
        Content of ``result.json``.
    path
        Picture to write.
    """
    curves = curves_of(result, "highest within 2 pixels")
    ends = np.array([0.0, max(c.x.max() for c in curves.values())])
    both = {"truth": Curve(ends, ends), **curves}
    plot_curves(both, path, xlabel="true κ of a peak", ylabel="highest reconstructed κ within 2 pixels")


def plot_power_ratios(result: Result, path: Path) -> None:
    """Draw the power of maps over the true one.

    Parameters
    ----------
    result
        Content of ``result.json``; the published accuracy is the grey band.
    path
        Picture to write.
    """
    within = next((row["published"] for row in result["rows"] if row["published"]), None)
    plot_power(curves_of(result, "power ratio"), path, within=within)
