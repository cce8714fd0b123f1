"""Shape noise of networks over that of the best weighted FPFS, on populations of several kinds."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from lensdask.random import Stream
from lensdask.shear import (
    Imaging,
    Observation,
    draw_psf,
    find_estimator,
    measure_stamps,
    mock_galaxies,
    optimal_weights,
    read_catsim,
)
from lensdask.shear.noise import draw_noise
from lensdask.shear.shapes.measurement import COLUMNS
from lensdask.shear.simulation.render import render_stamps

GALAXIES, LIMIT, NETWORKS = 10_000, 24.5, ("d4cnn", "d4cnn-wide")
FPFS = [f"fpfs:{sigma},{C}" for sigma in (0.42, 0.47, 0.52, 0.58, 0.64) for C in (8.4, 25, 60)]
OBSERVATION = Observation()
CATSIM = Path(__file__).parents[3] / "shared" / "data" / "catsim_sample.fits"
"""A hundred real rows of CatSim, where they are at hand."""


def mock(count):
    return mock_galaxies(31, np.arange(count), LIMIT)


def discs(count):
    """Exponential discs of the mock's sizes, |g| Rayleigh distributed."""
    rows, rng = mock_galaxies(32, np.arange(count), LIMIT).copy(), np.random.default_rng(32)
    g = np.minimum(rng.rayleigh(0.27, count), 0.9)
    radius = np.where(rows["a_d"] > 0, np.sqrt(rows["a_d"] * rows["b_d"]), 0.3)
    return _with(rows, "disk", "d", radius, (1 - g) / (1 + g), rng.uniform(0, 360, count), only=True)


def misaligned(count):
    """Discs and bulges of equal light whose angles have nothing to do with each other."""
    rows, rng = mock_galaxies(33, np.arange(count), LIMIT).copy(), np.random.default_rng(33)
    radius = 0.35 * np.exp(rng.normal(0, 0.35, count))
    for part, axis, size in (("disk", "d", 1.0), ("bulge", "b", 0.6)):
        g = np.minimum(np.hypot(*rng.normal(0, 0.2, (2, count))), 0.8)
        rows = _with(rows, part, axis, size * radius, (1 - g) / (1 + g), rng.uniform(0, 360, count))
    return rows


def catsim(count):
    rows = read_catsim(CATSIM, 25.3).rows
    return rows[np.random.default_rng(34).integers(len(rows), size=count)]


def _with(rows, part, axis, radius, ratio, angle, *, only=False):
    if only:
        rows["fluxnorm_bulge"] = 0.0
    rows[f"fluxnorm_{part}"], rows[f"pa_{part}"] = 1.0, angle
    rows[f"a_{axis}"], rows[f"b_{axis}"] = radius / np.sqrt(ratio), radius * np.sqrt(ratio)
    return rows


def noisy_stamps(rows):
    ids = 2 * np.arange(len(rows))
    parts = [slice(start, start + 500) for start in range(0, len(rows), 500)]
    stamps = np.concatenate([render_stamps(rows[p], ids[p], OBSERVATION, 1, np.zeros((1, 2)))[:, 0] for p in parts])
    return ids, stamps + draw_noise(ids, OBSERVATION.size, OBSERVATION.noise_sigma, 35, Stream.NOISE)


def squares_and_responses(table, weights=None):
    w, dw_dg = (np.ones(len(table)), np.zeros((len(table), 2))) if weights is None else weights.weights(table)
    e, R = table[:, :2], table[:, 2] + table[:, 5]
    return w**2 * (e**2).sum(1) / 2, (w * R + (e * dw_dg).sum(1)) / 2


def shape_noise(squares, responses):
    return np.sqrt(squares.mean(-1)) / responses.mean(-1)


def noise_of(estimator, ids, stamps):
    """Return what the shape noise is made of, without and with the best weights."""
    imaging = Imaging(draw_psf(OBSERVATION), OBSERVATION.pixel_scale, OBSERVATION.noise_sigma)
    table = measure_stamps(stamps, ids, imaging, find_estimator(estimator), seed=35)
    shapes = xr.Dataset({name: ("galaxy", table[:, i]) for i, name in enumerate(COLUMNS)}, {"galaxy": ids})
    return squares_and_responses(table), squares_and_responses(table, optimal_weights(shapes))


@pytest.mark.science
@pytest.mark.parametrize("population", [mock, discs, misaligned, catsim])
def test_shape_noise_over_the_best_weighted_fpfs(population):
    if population is catsim and not CATSIM.exists():
        pytest.skip("no rows of CatSim here")
    ids, stamps = noisy_stamps(population(GALAXIES))
    fpfs = {name: noise_of(name, ids, stamps)[1] for name in FPFS}
    best = min(fpfs, key=lambda name: shape_noise(*fpfs[name]))
    chosen = np.random.default_rng(0).integers(GALAXIES, size=(200, GALAXIES))
    least = [shape_noise(*fpfs[best]), *(shape_noise(*(part[rows] for part in fpfs[best])) for rows in chosen)]
    print(f"{population.__name__}: best weighted FPFS is {best}, shape noise {least[0]:.4f}")
    for network in NETWORKS:
        ratios = []
        for parts in noise_of(network, ids, stamps):
            noise = [shape_noise(*parts), *(shape_noise(*(part[rows] for part in parts)) for rows in chosen)]
            ratio = np.array(noise) / least
            ratios.append((ratio[0], ratio[1:].std()))
        (plain, error), (weighted, weighted_error) = ratios
        print(f"  {network} over it: {plain:.3f} ± {error:.3f}, weighted {weighted:.3f} ± {weighted_error:.3f}")
        assert weighted + 2 * weighted_error < 1
