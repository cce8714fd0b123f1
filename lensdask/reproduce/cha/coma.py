"""Figures 10 and 11 of Cha et al. 2025 of a simulated cluster in place of the real Coma, whose mass nobody knows.

An NFW fit, filaments by persistence, and the convergence by direction are held against what was planted. The same
cluster stands before another sky in every field. What differs between the maps of a method is thus noise, that of the
galaxies and that of the sky behind, and it sets the errors of the fit and the least persistence of a filament.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.maps.statistics.filaments import find_filaments, share_near
from lensdask.maps.statistics.metrics import (
    Float64,
    Maps,
    mean_over_maps,
    percentiles_over_maps,
    pooled,
    ratios,
    smoothed,
)
from lensdask.maps.statistics.profiles import azimuthal_profile, fit_halo, radial_profile
from lensdask.reproduce.cha.published import COMA_MASS, SMOOTHING
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.reproduce.massmaps.fields import Sample, curve, image, mean_rows
from lensdask.reproduce.massmaps.networks import METHODS, SKIES, smoothing_of
from lensdask.reproduce.massmaps.planted import Cluster, cluster_fields
from lensdask.sky.sources import find_source

__all__ = ["azimuthal_excess", "coma_like", "mass_and_filaments"]

Arc = npt.NDArray[np.int64]

FIELDS = {"tiny": 3, "small": 20, "paper": 100}
"""Fields with the same cluster by size."""

SIZES = {"tiny": 64, "small": 256, "paper": 512}
"""Pixels on a side: 3.5 degrees, but at size "tiny"."""

PERSISTENCE = 3.0
"""Least persistence of a filament in standard deviations of the noise of a map (section 4.3)."""

_REACH = 0.35
"""Length of the filaments over the side of the field."""
_RINGS = 6
_INNERMOST = 4.0
_NEAR = 5.0
"""Distance within which a filament is found, arcmin."""
_SECTORS = 24
_SECTOR_RINGS = np.array([0.35, 0.5, 0.65, 0.8])
"""Edges of the rings of Figure 11 over the length of the filaments."""


def coma_like(side: float) -> Cluster:
    """Return a cluster of the published mass of Coma for a field of `side` arcmin."""
    return Cluster(mass=COMA_MASS[0], reach=_REACH * side)


def _sample(job: Job) -> tuple[Sample, Cluster]:
    sky = replace(SKIES[job.size], size=SIZES[job.size])
    cluster = coma_like(sky.size * sky.pixel_scale)
    return cluster_fields(job, FIELDS[job.size], sky, cluster), cluster


def _centre(maps: Maps) -> tuple[float, float]:
    height, width = maps.shape[-2:]
    return (height - 1) / 2, (width - 1) / 2


def mass_and_filaments(job: Job) -> Outcome:
    """Fit an NFW halo to the cluster, and look for its filaments (Figure 10)."""
    with on_cluster(job) as job:
        sample, cluster = _sample(job)
        rows, images = [], []
        for label, kappa in sample.with_truth(METHODS):
            rows += _mass_rows(sample, label, kappa, cluster)
            # A fine map has ridges everywhere, with noise or without: all are smoothed alike, smooth ones again.
            arcs = _filaments(smoothed(kappa, SMOOTHING / 60, sample.pixel_scale))
            rows += _filament_rows(sample, label, arcs, cluster)
            lines = [_line(arc, sample.pixel_scale) for arc in arcs[0]]
            images.append(image(label, kappa[0], sample.pixel_scale, n=1, arcs=lines))
        # No number of the paper is beside these: its masses are of the real Coma, ours of what was planted.
        rows.append(row("M200 that was planted", cluster.mass, unit="Msun", series="truth"))
        return sample.outcome(rows + images)


def _line(arc: Arc, pixel_scale: float) -> str:
    """Return pixels (y, x) as points x,y in arcmin from the lower left corner of the field."""
    return " ".join(f"{x:.1f},{y:.1f}" for y, x in (arc + 0.5) * pixel_scale)


def _mass_rows(sample: Sample, label: str, kappa: Maps, cluster: Cluster) -> list[Row]:
    """Return the mean over fields of M200 by a fit of each map."""
    edges = np.geomspace(_INNERMOST, cluster.reach / 2, _RINGS + 1)
    profiles = [radial_profile(one, _centre(one), edges, pixel_scale=sample.pixel_scale) for one in kappa]
    error = np.std([profile.kappa for profile in profiles], axis=0, ddof=1)
    masses = [
        fit_halo(
            profile,
            error,
            redshift=cluster.redshift,
            source=find_source(sample.maps.attrs["source"]),
            pixel_scale=sample.pixel_scale,
            # How wide a network or the Wiener filter smooths a peak depends on the peak.
            smoothing=smoothing_of(label),
            concentration=cluster.concentration,
        ).mass
        for profile in profiles
    ]
    table = np.array(masses)[:, None]
    (mean,), (spread,) = mean_over_maps(table)
    low, median, high = (float(value) for value in percentiles_over_maps(table)[:, 0])
    found = row("M200 by an NFW fit", mean, spread, unit="Msun", series=label, n=sample.size)
    return [found | {"low": low, "median": median, "high": high}]


def _filaments(kappa: Maps) -> list[list[Arc]]:
    """Return the filaments of each map, by the noise that the maps do not share."""
    noise = float(np.sqrt(np.var(kappa, axis=0, ddof=1).mean(dtype=np.float64)))
    return [find_filaments(one, PERSISTENCE * noise) for one in kappa]


def _axes(cluster: Cluster, sample: Sample, turned: float = 0.0) -> list[Arc]:
    """Return the pixels (y, x) along the filaments of the cluster, from where they leave it."""
    row_of_centre, column = _centre(sample.truth)
    along = np.arange(cluster.reach / 4, cluster.reach, sample.pixel_scale) / sample.pixel_scale
    turns = np.deg2rad(np.array(cluster.directions) + turned)
    return [
        np.rint(np.stack([row_of_centre + along * np.sin(t), column + along * np.cos(t)], axis=-1)).astype(np.int64)
        for t in turns
    ]


def _filament_rows(sample: Sample, label: str, arcs: Sequence[list[Arc]], cluster: Cluster) -> list[Row]:
    """Return which share of the filaments is found, and of places opposite to them, where there are none."""
    near = _NEAR / sample.pixel_scale
    shares = [[share_near(_axes(cluster, sample, turned), found, near) for turned in (0.0, 180.0)] for found in arcs]
    names = ("share of the filaments found", "share of the filaments found, by chance")
    count = mean_rows(("filaments in a map",), label, np.array([[float(len(found))] for found in arcs]))
    return count + mean_rows(names, label, np.array(shares))


def azimuthal_excess(job: Job) -> Outcome:
    """Measure the convergence in sectors about the cluster (Figure 11)."""
    with on_cluster(job) as job:
        sample, cluster = _sample(job)
        rows, points, truth = [], [], np.empty(0)
        for label, kappa in sample.with_truth(METHODS):
            angle, excess = _excess(sample, kappa, cluster)
            contrast = _contrast(angle, excess, cluster)
            truth = contrast if label == "truth" else truth
            rows += mean_rows(("excess in the directions of filaments",), label, contrast[:, None])
            if label != "truth":
                (value,), (error,) = pooled(np.stack([contrast, truth], axis=-1), ratios)
                rows.append(row("excess / true excess", value, error, series=label, n=sample.size))
            points += curve("excess", label, angle, *mean_over_maps(excess), sample.size)
        return sample.outcome(rows + points)


def _excess(sample: Sample, kappa: Maps, cluster: Cluster) -> tuple[Float64, Float64]:
    """Return the middles of the sectors, degrees, and the excess in each, shape (field, sector)."""
    edges = _SECTOR_RINGS * cluster.reach
    found = [azimuthal_profile(m, _centre(m), edges, _SECTORS, pixel_scale=sample.pixel_scale) for m in kappa]
    return found[0].angle, np.stack([profile.excess for profile in found])


def _contrast(angle: Float64, excess: Float64, cluster: Cluster) -> Float64:
    """Return the excess in the sectors that hold filaments less that in the others, shape (field,)."""
    width = 360 / _SECTORS
    away = [np.abs((angle - direction + 180) % 360 - 180) for direction in cluster.directions]
    holds = np.min(away, axis=0) <= width / 2
    return np.asarray(excess[:, holds].mean(axis=1) - excess[:, ~holds].mean(axis=1))
