"""Figures 2 to 5, 8 and 9 of Cha et al. 2025: maps pixel by pixel, with and without a mask, and maps of noise alone."""

import numpy as np
import numpy.typing as npt
import torch

from lensdask.compute import Row, row
from lensdask.maps.statistics.distributions import NULL_STATISTICS, correlation_functions, null_statistics, pdf
from lensdask.maps.statistics.metrics import Float64, Maps, binned_sums, mean_over_maps, pooled, ratios
from lensdask.massmap.networks.losses import cha_loss
from lensdask.reproduce.cha.published import LOSS_RANGE, NULL_MODE, NULL_RANGE, SLOPES
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.reproduce.massmaps.fields import Sample, curve, image, mean_rows, simulated_fields
from lensdask.reproduce.massmaps.networks import METHODS, SKIES
from lensdask.reproduce.massmaps.planted import empty_fields
from lensdask.stats import map_moments

__all__ = [
    "DENSITY_EDGES",
    "FIELDS",
    "correlations",
    "density",
    "distributions",
    "masked_maps",
    "null_test",
    "reconstructions",
    "slopes",
]

FIELDS = {"tiny": 4, "small": 60, "paper": 200}
"""Test fields by size."""

NULL_FIELDS = {"tiny": 4, "small": 1000, "paper": 1000}
"""Fields without mass by size."""

MASKED = 0.2
"""Part of the fields of Figure 9 behind discs; the paper has the footprint of the Subaru survey of Coma."""

DENSITY_EDGES = np.linspace(-0.09, 0.36, 46)
"""Bins of κ of densities."""

_NULL_EDGES = np.linspace(-0.05, 0.07, 49)

_KAPPA_EDGES = np.linspace(-0.06, 0.3, 37)
_LONGEST = 60.0
_SEPARATIONS = ((1.0, 3.0), (3.0, 30.0))
_SLOPES = {"Cha": SLOPES["cha"], "H21": SLOPES["h21"]}


def _losses(truth: Maps, kappa: Maps, mask: Maps) -> Float64:
    """Return equation 8 of each map, shape (field, 1)."""
    loss = cha_loss()
    maps = [torch.from_numpy(np.asarray(part, dtype=np.float64)) for part in (kappa[:, None], truth, mask)]
    return np.array([[float(loss(*(part[k : k + 1] for part in maps)))] for k in range(len(truth))])


def _loss_rows(sample: Sample, *, is_published: bool) -> list[Row]:
    """Return the losses of the methods, and a field of each and of the truth for the picture."""
    truth, mask = sample.truth, sample.mask
    rows, images = [], []
    for label, kappa in sample.with_truth(METHODS):
        images.append(image(label, kappa[0], sample.pixel_scale, mask[0], n=1))
        if label == "truth":
            continue
        loss, error = mean_over_maps(_losses(truth, kappa, mask))
        found = row("loss (equation 8)", loss[0], error[0], series=label, n=sample.size)
        if is_published and label == "Cha":
            middle, half = float(np.mean(LOSS_RANGE)), float(np.ptp(LOSS_RANGE)) / 2
            found |= {"published": middle, "published_error": half, "comparable": sample.job.size == "paper"}
        rows.append(found)
    return rows + images


def _slope_rows(sample: Sample, *, is_published: bool) -> list[Row]:
    """Return how the pixels of the methods compare with the truth, the slope beside the published one."""
    rows = sample.compared(METHODS)
    for r in rows:
        if is_published and r["quantity"] == "slope by total least squares" and r["series"] in _SLOPES:
            r |= {"published": _SLOPES[r["series"]], "comparable": sample.job.size == "paper"}
    return rows


def reconstructions(job: Job) -> Outcome:
    """Reconstruct fields with each method, with the loss of equation 8 (Figure 2)."""
    with on_cluster(job) as job:
        sample = simulated_fields(job, FIELDS[job.size])
        return sample.outcome(_loss_rows(sample, is_published=True))


def slopes(job: Job) -> Outcome:
    """Compare reconstructed and true κ pixel by pixel (Figure 3)."""
    with on_cluster(job) as job:
        sample = simulated_fields(job, FIELDS[job.size])
        rows = _slope_rows(sample, is_published=True)
        truth, x = sample.truth, (_KAPPA_EDGES[1:] + _KAPPA_EDGES[:-1]) / 2
        for label, kappa in sample.reconstructions(METHODS):
            found = pooled(_in_bins(truth, kappa), ratios)
            rows += curve("mean reconstructed kappa", label, x, *found, sample.size)
        return sample.outcome(rows)


def _in_bins(truth: Maps, kappa: Maps) -> Float64:
    """Return sums of the reconstructed κ and counts in bins of the true κ, shape (field, 2 bins)."""
    parts = [
        binned_sums(t.ravel(), k.ravel(), _KAPPA_EDGES, field=np.zeros(t.size, dtype=np.int64), fields=1)
        for t, k in zip(truth, kappa, strict=True)
    ]
    return np.concatenate(parts)


def masked_maps(job: Job) -> Outcome:
    """Reconstruct fields with holes, of which nothing is known (Figure 9)."""
    with on_cluster(job) as job:
        sample = simulated_fields(job, FIELDS[job.size], mask_fraction=MASKED)
        return sample.outcome(_slope_rows(sample, is_published=False) + _loss_rows(sample, is_published=False))


def distributions(job: Job) -> Outcome:
    """Measure the distribution of κ (Figure 4)."""
    with on_cluster(job) as job:
        sample = simulated_fields(job, FIELDS[job.size])
        rows, points = [], []
        for label, kappa in sample.with_truth(METHODS):
            rows += mean_rows(("standard deviation", "skewness"), label, np.stack(map_moments(kappa), axis=-1))
            points += density(label, kappa, DENSITY_EDGES)
        return sample.outcome(rows + points)


def density(label: str, kappa: npt.NDArray[np.float32], edges: Float64) -> list[Row]:
    """Return the distribution of κ as points of a curve."""
    middle = (edges[1:] + edges[:-1]) / 2
    return curve("density", label, middle, *mean_over_maps(pdf(kappa, edges)), len(kappa))


def correlations(job: Job) -> Outcome:
    """Measure the κκ correlation (Figure 5)."""
    with on_cluster(job) as job:
        sample = simulated_fields(job, FIELDS[job.size])
        edges = np.geomspace(0.9 * sample.pixel_scale, _LONGEST, 16)
        theta, true_xi = correlation_functions(sample.truth, sample.pixel_scale, edges)
        rows, points = [], curve("xi", "truth", theta, *mean_over_maps(true_xi), sample.size)
        for label, kappa in sample.reconstructions(METHODS):
            xi = correlation_functions(kappa, sample.pixel_scale, edges)[1]
            points += curve("xi", label, theta, *mean_over_maps(xi), sample.size)
            for low, high in _SEPARATIONS:
                near = (theta >= low) & (theta < high)
                sums = np.stack([xi[:, near].sum(axis=1), true_xi[:, near].sum(axis=1)], axis=-1)
                (value,), (error,) = pooled(sums, ratios)
                name = f"xi / true xi, {low:g}' to {high:g}'"
                rows.append(row(name, value, error, series=label, n=sample.size))
        return sample.outcome(rows + points)


def null_test(job: Job) -> Outcome:
    """Reconstruct fields without mass (Figure 8)."""
    with on_cluster(job) as job:
        sample = empty_fields(job, NULL_FIELDS[job.size], SKIES[job.size])
        rows, points = [], []
        for label, kappa in sample.reconstructions(METHODS):
            rows += _null_rows(label, kappa, is_paper=job.size == "paper")
            points += density(label, kappa, _NULL_EDGES)
        return sample.outcome(rows + points)


def _null_rows(label: str, kappa: npt.NDArray[np.float32], is_paper: bool) -> list[Row]:
    """Return what maps of noise are like: each map, and the extremes of all of them, which have no error."""
    rows = mean_rows([f"{name} of a map" for name in NULL_STATISTICS], label, null_statistics(kappa))
    extremes = {"lowest of all maps": float(kappa.min()), "highest of all maps": float(kappa.max())}
    rows += [row(name, value, series=label, n=len(kappa)) for name, value in extremes.items()]
    known = {"mode of a map": NULL_MODE, **dict(zip(extremes, NULL_RANGE, strict=True))}
    for r in rows:
        if label == "Cha" and r["quantity"] in known:
            r |= {"published": known[r["quantity"]], "comparable": is_paper}
    return rows
