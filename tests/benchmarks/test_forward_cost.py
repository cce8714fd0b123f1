"""Cost of a mosaic of 6 x 6 tiles in the forward model of large-scale structure, by stage; CPU time of one thread."""

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from forward_tiles import GALAXIES, made_up_tiles
from machine import median_and_spread

from lensdask.lss.forward.galaxies import phase_amplitude, turned_phases
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.forward.mosaics import mosaic
from lensdask.lss.forward.observation import galaxy_counts, noisy_convergence, observe
from lensdask.lss.forward.samples import Boxes, draw_samples, take_tiles
from lensdask.lss.forward.smoothing import smoothed_tiles, smoothing_sigmas
from lensdask.lss.spectra import ell_edges, pairs, power_spectra
from lensdask.stats.poisson import poisson_counts

pytestmark = pytest.mark.benchmark

MODEL = ForwardModel()
REPEATS = 7


def milliseconds(function: Callable[[], object]) -> tuple[float, float]:
    """Return median and spread of the CPU time of a call."""
    function()
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        function()
        times.append(1e3 * (time.process_time() - began))
    return median_and_spread(times)


def one_by_one(maps: np.ndarray, masks: np.ndarray, *, transformed: bool) -> np.ndarray:
    """Return moduli of spectra of one pair after another, of whole planes; one tile after another, or all at once."""
    tiles = [np.fft.fft2(maps)] if transformed else maps.swapaxes(0, 1)
    result = np.zeros((len(pairs(len(maps))), len(masks)))
    for tile in tiles:
        for row, (i, j) in enumerate(pairs(len(maps))):
            one, two = (tile[i], tile[j]) if transformed else (np.fft.fft2(tile[i]), np.fft.fft2(tile[j]))
            result[row] += np.sum(abs(one * two.conj()).reshape(-1, masks.shape[1]) @ masks.T, axis=0)
    return result


def bin_masks() -> np.ndarray:
    """Return what takes the mean over the waves of a bin of the whole plane, shape (bin, wave)."""
    unit = np.radians(MODEL.pixel_scale / 60)
    ell = 2 * np.pi * np.hypot(np.fft.fftfreq(64, unit), np.fft.fftfreq(64, unit)[:, None]).ravel() * (1 - 1e-9)
    masks = [(ell > low) & (ell <= high) for low, high in pairwise(ell_edges(64, MODEL.pixel_scale))]
    return np.array([mask / mask.sum() for mask in masks], dtype=np.float32)


@pytest.mark.usefixtures("one_thread")
def test_stages_of_a_mosaic(record) -> None:
    boxes = Boxes([0.3], [0.8], 40)
    samples = draw_samples([17], boxes, MODEL, 1)
    store = made_up_tiles(1, 40, 64)
    tiles = take_tiles(store, samples)
    kappa, alignment, delta = (tiles[:, field] for field in range(3))
    noiseless = ForwardModel(counts="mean")
    expected, counts = (galaxy_counts(delta, samples, model, GALAXIES, 1) for model in (noiseless, MODEL))
    a, ids = phase_amplitude(samples.theta[:, 4]), samples.ids
    maps = observe(tiles, samples, MODEL, GALAXIES, 1).maps
    sigmas, pixel, masks = smoothing_sigmas(MODEL, GALAXIES), MODEL.pixel_scale, bin_masks()
    stages = {
        "samples and tiles": lambda: take_tiles(store, draw_samples([17], boxes, MODEL, 1)),
        "stochasticity": lambda: turned_phases(delta, a, ids, 1),
        "Poisson counts": lambda: poisson_counts(expected, ids, 1),
        "convergence, shape noise": lambda: noisy_convergence(kappa, alignment, counts, samples, MODEL, GALAXIES, 1),
        "smoothing": lambda: smoothed_tiles(maps, sigmas, pixel),
        "forward model": lambda: observe(tiles, samples, MODEL, GALAXIES, 1),
        "mosaic": lambda: mosaic(maps),
        "spectra": lambda: power_spectra(maps, pixel),
        "spectra, moduli": lambda: power_spectra(maps, pixel, "modulus"),
        "spectra by pair and tile": lambda: one_by_one(maps[0], masks, transformed=False),
        "spectra by pair": lambda: one_by_one(maps[0], masks, transformed=True),
    }
    cost = {name: milliseconds(stage) for name, stage in stages.items()}
    spectra = cost["spectra, moduli"][0]
    ratios = {name: cost[name][0] / spectra for name in ("spectra by pair and tile", "spectra by pair")}
    print(cost, ratios)
    record("lss_forward", {"milliseconds": cost, "ratios": ratios})
    np.testing.assert_allclose(
        one_by_one(maps[0], masks, transformed=True), one_by_one(maps[0], masks, transformed=False), rtol=1e-4
    )
    assert ratios["spectra by pair and tile"] >= 5
