"""Figures 6 and 7 of Cha et al. 2025: projected masses of clusters, and how many of them are found.

Clusters are the local maxima of the true maps within 6 pixels of a halo, whose redshift they take; the fields are made
of haloes for this. A cluster is found if the reconstruction has a maximum within 6 pixels. The paper gives the maxima
no threshold, but noise has maxima everywhere: as many of them count, the highest ones, as there are clusters, the same
for every method, and the share that maxima of *other* fields would find is given beside it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.maps.statistics.metrics import (
    PIXEL_STATISTICS,
    Float64,
    Maps,
    binned_sums,
    percentiles_over_maps,
    pixel_statistics,
    point_sums,
    pooled,
    ratios,
)
from lensdask.maps.statistics.peaks import (
    Peaks,
    completeness_sums,
    find_peaks,
    match_peaks,
    peaks_of_haloes,
    projected_masses,
    shuffled,
)
from lensdask.reproduce.cha.maps import FIELDS
from lensdask.reproduce.cha.published import COMPLETENESS, MATCHED_PIXELS
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.reproduce.massmaps.fields import Sample, curve, simulated_fields
from lensdask.reproduce.massmaps.networks import METHODS
from lensdask.sky.simulate import SkyConfig
from lensdask.sky.sources import find_source

__all__ = ["cluster_masses", "completeness"]

MASS_EDGES = 10 ** np.arange(13.625, 15.2, 0.25)
"""Bins of mass in Msun with 1e14 in the middle of the second: the masses that the paper names."""

REDSHIFTS = (0.1, 0.6)
"""Lenses that count: behind these, and next to us, galaxies at redshift 1 are hardly lensed."""

_RADIUS = MATCHED_PIXELS * SkyConfig().pixel_scale
"""Largest distance between partners, arcmin: 6 pixels of the paper."""

_PUBLISHED = {"cha": "Cha", "ks93": "KS93"}


class _Clusters(NamedTuple):
    """The true clusters of a sample."""

    places: Peaks
    redshift: Float64
    mass: Float64


def _radius(sample: Sample) -> float:
    return _RADIUS / sample.pixel_scale


def _masses(sample: Sample, maps: Maps, places: Peaks, redshift: Float64) -> Float64:
    source = find_source(sample.maps.attrs["source"])
    return projected_masses(maps, places, pixel_scale=sample.pixel_scale, lens_redshift=redshift, source=source)


def _true_clusters(sample: Sample) -> _Clusters:
    """Return the maxima of the true maps that have a halo, with the redshift of the nearest one."""
    mass, x, y, z = (sample.maps[f"halo_{name}"].values for name in ("mass", "x", "y", "redshift"))
    truth = sample.truth
    haloes, used = peaks_of_haloes(mass, x, y, shape=truth.shape[1:], pixel_scale=sample.pixel_scale)
    lens = (z[used] > REDSHIFTS[0]) & (z[used] < REDSHIFTS[1])
    haloes, redshift = haloes.select(lens), z[used][lens]
    peaks = find_peaks(truth)
    partner = match_peaks(peaks, haloes, _radius(sample))
    places, redshift = peaks.select(partner >= 0), redshift[partner[partner >= 0]]
    return _Clusters(places, redshift, _masses(sample, truth, places, redshift))


def _highest(kappa: Maps, count: int) -> Peaks:
    """Return the highest maxima of all maps together."""
    found = find_peaks(kappa)
    return found.select(np.argsort(-found.height, kind="stable")[:count])


def completeness(job: Job) -> Outcome:
    """Measure which share of the clusters is found in bins of their projected mass (Figure 7)."""
    with on_cluster(job) as job:
        sample = simulated_fields(job, FIELDS[job.size], generator="halo")
        clusters = _true_clusters(sample)
        rows: list[Row] = []
        for label, kappa in sample.reconstructions(METHODS):
            found = _highest(kappa, len(clusters.mass))
            partner = match_peaks(clusters.places, found, _radius(sample))
            rows += _completeness_rows(sample, label, clusters, partner)
            chance = match_peaks(clusters.places, shuffled(found, sample.size), _radius(sample))
            rows += _completeness_rows(sample, f"{label}, by chance", clusters, chance)
        return sample.outcome(rows)


def _completeness_rows(sample: Sample, label: str, clusters: _Clusters, partner: npt.NDArray[np.int64]) -> list[Row]:
    sums = completeness_sums(clusters.places, partner, clusters.mass, MASS_EDGES, sample.size)
    low, median, high = percentiles_over_maps(ratios(sums))
    x = np.sqrt(MASS_EDGES[1:] * MASS_EDGES[:-1])
    points = curve("completeness", label, x, *pooled(sums, ratios), sample.size, low=low, median=median, high=high)
    for (method, mass), share in COMPLETENESS.items():
        for r in points:
            if label == _PUBLISHED[method] and np.isclose(r["x"], mass, rtol=0.1):
                r |= {"published": share, "comparable": sample.job.size == "paper"}
    return [_all_masses(sample, label, clusters, partner), *points]


def _all_masses(sample: Sample, label: str, clusters: _Clusters, partner: npt.NDArray[np.int64]) -> Row:
    """Return the share of all clusters in the bins that is found."""
    ends = MASS_EDGES[[0, -1]]
    (value,), (error,) = pooled(completeness_sums(clusters.places, partner, clusters.mass, ends, sample.size), ratios)
    name = f"completeness above {ends[0]:.1e} Msun"
    return row(name, value, error, series=label, n=sample.size)


def cluster_masses(job: Job) -> Outcome:
    """Compare the projected masses within 1 Mpc of the clusters found with the true ones (Figure 6)."""
    with on_cluster(job) as job:
        sample = simulated_fields(job, FIELDS[job.size], generator="halo")
        clusters = _true_clusters(sample)
        rows: list[Row] = []
        for label, kappa in sample.reconstructions(METHODS):
            found = _highest(kappa, len(clusters.mass))
            partner = match_peaks(clusters.places, found, _radius(sample))
            is_found = partner >= 0
            masses = np.full(len(clusters.mass), np.nan)
            masses[is_found] = _masses(sample, kappa, found.select(partner[is_found]), clusters.redshift[is_found])
            rows += _mass_rows(sample, label, clusters, masses)
        return sample.outcome(rows)


def _mass_rows(sample: Sample, label: str, clusters: _Clusters, masses: Float64) -> list[Row]:
    field = clusters.places.field
    values, errors = pooled(point_sums(clusters.mass, masses, field=field, fields=sample.size), pixel_statistics)
    found = dict(zip(PIXEL_STATISTICS, zip(values, errors, strict=True), strict=True))
    units = {"slope": "1", "correlation": "1", "scatter": "Msun", "bias": "Msun"}
    rows = [
        row(f"{name} of masses", *found[name], unit=unit, series=label, n=sample.size)
        for name, unit in units.items()
        if np.isfinite(found[name]).all()
    ]
    x = np.sqrt(MASS_EDGES[1:] * MASS_EDGES[:-1])
    means = pooled(binned_sums(clusters.mass, masses, MASS_EDGES, field=field, fields=sample.size), ratios)
    return rows + [r | {"unit": "Msun"} for r in curve("mean mass found", label, x, *means, sample.size)]
