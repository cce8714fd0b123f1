"""MIU²Net (Han, Zhao, Chen et al. 2026): distribution of κ and RMSE, dynamic range, power, and pairs of clusters."""

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.maps.statistics.metrics import Float64, binned_sums, pooled, ratios
from lensdask.maps.statistics.pairs import CELLS, PAIR_STATISTICS, close_pairs, pair_frames, pair_statistics
from lensdask.maps.statistics.peaks import find_peaks, heights_near, peaks_of_haloes
from lensdask.reproduce.cha.maps import DENSITY_EDGES, density
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.reproduce.massmaps.fields import Sample, curve, image, mean_rows, simulated_fields
from lensdask.reproduce.massmaps.networks import METHODS
from lensdask.reproduce.miu2net.published import POWER_ACCURACY, TEST_MAPS
from lensdask.stats import map_moments

__all__ = ["distribution", "dynamic_range", "merging_clusters", "power"]

FIELDS = {"tiny": 4, "small": 60, "paper": TEST_MAPS}
"""Test fields by size."""

PEAK_FIELDS = {"tiny": 4, "small": TEST_MAPS, "paper": TEST_MAPS}
"""Test fields of the dynamic range by size: high peaks are few."""

PAIR_MASSES = {"tiny": 6e13, "small": 1e14, "paper": 1e14}
"""Least M200m of either cluster of a pair by size, Msun."""

SEPARATIONS = (4.0, 12.0)
"""Least and largest distance of the two, arcmin."""

_HEIGHT_EDGES = np.linspace(0.0, 0.4, 17)
_HIGH = 0.1


def distribution(job: Job) -> Outcome:
    """Measure the distribution of κ, and the RMSE raw and smoothed by 1 arcmin."""
    with on_cluster(job) as job:
        sample = simulated_fields(job, FIELDS[job.size])
        points: list[Row] = []
        rows = sample.compared(METHODS, ("rmse", "rmse smoothed", "rmse / wiener", "rmse / wiener smoothed"))
        for label, kappa in sample.with_truth(METHODS):
            rows += mean_rows(("standard deviation", "skewness"), label, np.stack(map_moments(kappa), axis=-1))
            points += density(label, kappa, DENSITY_EDGES)
        return sample.outcome(rows + points)


def dynamic_range(job: Job) -> Outcome:
    """Measure what each method makes of the height of peaks, in bins of the true height."""
    with on_cluster(job) as job:
        sample = simulated_fields(job, PEAK_FIELDS[job.size])
        peaks = find_peaks(sample.truth)
        rows, points = [], []
        for label, kappa in sample.reconstructions(METHODS):
            for name, radius in (("at the peak", 0.0), ("highest within 2 pixels", 2.0)):
                height = heights_near(peaks, kappa, radius)
                sums = binned_sums(peaks.height, height, _HEIGHT_EDGES, field=peaks.field, fields=sample.size)
                x = (_HEIGHT_EDGES[1:] + _HEIGHT_EDGES[:-1]) / 2
                points += curve(name, label, x, *pooled(sums, ratios), sample.size)
                rows += _recovered(label, name, peaks.height, height, sample, peaks.field)
        return sample.outcome(rows + points)


def _recovered(
    label: str, name: str, true: Float64, found: Float64, sample: Sample, field: npt.NDArray[np.int64]
) -> list[Row]:
    """Return the height found over the true one of all high peaks."""
    edges = np.array([_HIGH, np.inf])
    above, below = (binned_sums(true, part, edges, field=field, fields=sample.size)[:, 0] for part in (found, true))
    (value,), (error,) = pooled(np.stack([above, below], axis=-1), ratios)
    if not np.isfinite([value, error]).all():
        return []
    return [row(f"share of the height above {_HIGH:g}, {name}", value, error, series=label, n=sample.size)]


def power(job: Job) -> Outcome:
    """Measure the power of maps over that of the truth, and how well their modes agree, with ℓ."""
    accuracy, reach = POWER_ACCURACY
    with on_cluster(job) as job:
        sample = simulated_fields(job, FIELDS[job.size])
        points = [r | {"quantity": r["quantity"].partition(" at ")[0]} for r in sample.evaluated(METHODS) if "x" in r]
        rows = []
        for label in METHODS:
            low = [r for r in points if r["series"] == label and r["quantity"] == "power ratio" and r["x"] < reach]
            worst = max(low, key=lambda r: abs(r["measured"] - 1))
            known = label == "MIU²Net"
            rows.append(
                row(
                    f"largest |power ratio - 1| below l = {reach:g}",
                    abs(worst["measured"] - 1),
                    worst["error"],
                    series=label,
                    n=sample.size,
                    published=accuracy if known else None,
                    comparable=known and job.size == "paper",
                )
            )
        return sample.outcome(rows + points)


def merging_clusters(job: Job) -> Outcome:
    """Measure pairs of massive haloes: both cores, the middle, and a bridge, in the truth and in each method's maps."""
    with on_cluster(job) as job:
        sample = simulated_fields(job, FIELDS[job.size], generator="halo")
        scale, truth = sample.pixel_scale, sample.truth
        mass, x, y = (sample.maps[f"halo_{name}"].values for name in ("mass", "x", "y"))
        haloes, _ = peaks_of_haloes(
            mass, x, y, shape=truth.shape[1:], pixel_scale=scale, threshold=PAIR_MASSES[job.size]
        )
        pairs = close_pairs(haloes, (SEPARATIONS[0] / scale, SEPARATIONS[1] / scale))
        first, second = (haloes.select(rows) for rows in pairs)
        rows, images = [], []
        for label, kappa in sample.with_truth(METHODS):
            frames = pair_frames(kappa, first, second)
            rows += _pair_rows(label, pair_statistics(frames), first.field, sample)
            with np.errstate(invalid="ignore"):
                mean = np.nansum(frames, axis=0) / np.isfinite(frames).sum(axis=0)
            images.append(image(label, mean, 1 / CELLS, n=len(frames)))
        return sample.outcome(rows + images)


def _pair_rows(label: str, values: Float64, field: npt.NDArray[np.int64], sample: Sample) -> list[Row]:
    """Return the means over pairs, with errors over fields."""
    everything = np.array([-np.inf, np.inf])
    rows = []
    for name, column in zip(PAIR_STATISTICS, values.T, strict=True):
        sums = binned_sums(np.zeros(len(column)), column, everything, field=field, fields=sample.size)
        (value,), (error,) = pooled(sums, ratios)
        if np.isfinite([value, error]).all():
            rows.append(row(f"kappa, {name}", value, error, series=label, n=len(column)))
    return rows
