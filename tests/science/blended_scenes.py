"""Galaxies of the mock, alone or beside another one as bright at 3 arcsec, drawn by GalSim under shear."""

import galsim
import numpy as np

from lensdask.random import Stream
from lensdask.shear import Imaging, find_estimator, measure_stamps, mock_galaxies
from lensdask.shear.noise import draw_noise
from lensdask.shear.shapes.measurement import COLUMNS
from lensdask.shear.simulation import observation as simulated

OBSERVATION = simulated.Observation()
G = 0.02
FOUR_SHEARS = simulated.four_shears(G)
DISTANCE = 3.0


def scenes(pairs, limit, neighbour, shears, seed=41):
    """Return stamps, shape (galaxy, shear, n, n), of orthogonal pairs of galaxies.

    `neighbour` is "none", "shared" (under the same shear), or "still" (under none).
    """
    rng, rows = np.random.default_rng(seed), mock_galaxies(seed, np.arange(pairs), limit)
    angle, place, other_angle = rng.uniform(0, 2 * np.pi, (3, pairs))
    offset = rng.uniform(-0.1, 0.1, (pairs, 2))
    others = rows[rng.permutation(pairs)].copy()
    others["i_ab"] = rows["i_ab"]
    profiles = []
    for n in range(pairs):
        galaxy = simulated._galaxy(rows[n]).rotate(angle[n] * galsim.radians).shift(*offset[n])
        beside = simulated._galaxy(others[n]).rotate(other_angle[n] * galsim.radians)
        beside = beside.shift(DISTANCE * np.cos(place[n]), DISTANCE * np.sin(place[n]))
        for quarter in (0, 1):
            one, two = (each.rotate(90 * quarter * galsim.degrees) for each in (galaxy, beside))
            for g1, g2 in shears:
                light = {"none": [], "still": [two], "shared": [two.shear(g1=g1, g2=g2)]}[neighbour]
                profiles.append(galsim.Sum([one.shear(g1=g1, g2=g2), *light]))
    size = OBSERVATION.size
    return simulated.draw_profiles(profiles, OBSERVATION).reshape(2 * pairs, len(shears), size, size)


def measured(stamps, estimator, noise_sigma, seed=42):
    """Return columns by name, shape (galaxy, shear)."""
    ids = np.arange(len(stamps))
    if noise_sigma:
        stamps = stamps + draw_noise(ids, OBSERVATION.size, noise_sigma, seed, Stream.NOISE)[:, None]
    imaging = Imaging(simulated.draw_psf(OBSERVATION), OBSERVATION.pixel_scale, noise_sigma)
    table = measure_stamps(stamps, ids, imaging, find_estimator(estimator), seed=seed)
    return dict(zip(COLUMNS, np.moveaxis(table, -1, 0), strict=True))


def multiplicative_bias(columns, replicas=300):
    """Return m of both components and their errors, of resamplings of the pairs, from the four shears."""
    rng = np.random.default_rng(0)
    values, errors = [], []
    for i in (1, 2):
        plus, minus = 2 * i - 2, 2 * i - 1
        difference = (columns[f"e{i}"][:, plus] - columns[f"e{i}"][:, minus]) / (2 * G)
        response = columns[f"de{i}_dg{i}"][:, [plus, minus]].mean(1)
        e, R = (each.reshape(-1, 2).sum(1) for each in (difference, response))
        chosen = rng.integers(len(e), size=(replicas, len(e)))
        values.append(e.sum() / R.sum() - 1)
        errors.append((e[chosen].sum(1) / R[chosen].sum(1)).std())
    return np.array(values), np.array(errors)


def response_and_noise(columns, replicas=300):
    """Return the mean response, the shape noise of a component, and the errors of both."""
    R = (columns["de1_dg1"] + columns["de2_dg2"])[:, 0] / 2
    square = (columns["e1"] ** 2 + columns["e2"] ** 2)[:, 0] / 2
    chosen = np.random.default_rng(0).integers(len(R), size=(replicas, len(R)))
    noise = np.sqrt(square[chosen].mean(1)) / R[chosen].mean(1)
    return np.array([R.mean(), np.sqrt(square.mean()) / R.mean()]), np.array([R[chosen].mean(1).std(), noise.std()])
