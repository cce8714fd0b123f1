"""Power of N-body boxes against halofit, and spectra of tiles of their light cones against theory."""

import time

import numpy as np
import pytest
from tile_spectra import PAIRS, expected_spectra, measured_spectra

from lensdask.sky import NbodyBox, TileGrid, matter_power, nbody_tiles, simulate_box, tomography_cosmology
from lensdask.sky.nbody.mesh import mesh_wave_numbers, paint, transform_of
from lensdask.sky.nbody.start import linear_density

pytestmark = pytest.mark.science

COSMOLOGY, BOX, GRID = tomography_cosmology(0.2915, 0.7835), NbodyBox(particles=128, side=380.0, steps=20), TileGrid()
BOXES, TILES = 4, 200
EDGES = np.array([0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 0.6, 0.7])
"""Of bands in k, h / Mpc."""
BANDS = np.array([100, 200, 300, 400, 500, 600])
"""Edges of bands in ℓ."""


def band_power(transform, window):
    """Return the mean k in 1 / Mpc and the power in Mpc³ of bands, without the window of the mesh."""
    size = len(transform)
    waves = mesh_wave_numbers(size, np.zeros(0))
    smooth = 1.0
    for wave in waves:
        smooth = smooth * np.sinc(wave / (2 * np.pi)) ** (2 * window)
    k = np.sqrt(sum(wave**2 for wave in waves)) * size / BOX.side
    power = np.abs(transform / smooth) ** 2 * BOX.side**3 / size**6
    # A wave stands for two, but for those along the faces of the half space.
    weight = np.full(k.shape, 2.0)
    weight[..., [0, -1]] = 1.0
    band = np.digitize(k / COSMOLOGY.h, EDGES).ravel()
    sums = [np.bincount(band, (each * weight).ravel(), minlength=len(EDGES) + 1)[1:-1] for each in (1, k, power)]
    return sums[1] / sums[0], sums[2] / sums[0]


def test_power_today_is_that_of_halofit():
    theory, ratios, seconds = matter_power(COSMOLOGY), [], time.process_time()
    for number in range(BOXES):
        k, start = band_power(transform_of_start(number), window=0)
        (today,) = simulate_box(COSMOLOGY, BOX, [1.0], number=number)
        density = paint(today, BOX.mesh) * (BOX.mesh / BOX.particles) ** 3
        k, end = band_power(transform_of(density), window=1)
        linear = np.exp(np.interp(np.log(k), np.log(theory.wave_number), theory.linear))
        ratios.append(end / start / (theory.at(k, 0.0) / linear))
    seconds = (time.process_time() - seconds) / BOXES
    mean, error = np.mean(ratios, axis=0), np.std(ratios, axis=0, ddof=1) / BOXES**0.5
    print(f"power over halofit at k = {(k / COSMOLOGY.h).round(2)} h / Mpc: {mean.round(3)} ± {error.round(3)}")
    print(f"{seconds:.0f} s of CPU a box")
    assert np.abs(mean[:4] - 1).max() < 0.06
    # The band from 0.3 to 0.5 is not promised.
    assert np.abs(mean[5:] - 1).max() < 0.12


def transform_of_start(number):
    return linear_density(COSMOLOGY, BOX, number=number)


@pytest.fixture(scope="module")
def ratios():
    """Return spectra over theory by the two maps, of each box, shape (box, band); κ4 is map 3, δ1 map 8."""
    expected, spectra, seconds = expected_spectra(COSMOLOGY, GRID, BANDS), [], time.process_time()
    for number in range(BOXES):
        tiles = nbody_tiles(range(TILES), COSMOLOGY, number=number, box=BOX, grid=GRID)
        spectra.append(measured_spectra(tiles, GRID, BANDS).mean(axis=0))
        pairs = [np.corrcoef(tiles[:, 1, b].ravel(), tiles[:, 2, b].ravel())[0, 1] for b in range(4)]
        assert max(pairs) <= -0.99
    seconds = (time.process_time() - seconds) / BOXES
    print(
        f"{seconds:.0f} s of CPU for {TILES} tiles of a box; correlation of alignment and matter {np.round(pairs, 4)}"
    )
    found = np.array(spectra) / expected
    return {pair: found[:, row] for row, pair in enumerate(zip(*(each.tolist() for each in PAIRS), strict=True))}


def test_alignment_and_matter_are_one_field(ratios):
    # The fixture holds it for each box; here the spectra are printed, also those of which nothing is promised.
    names = {"κ4κ4": (3, 3), "δ1κ4": (3, 8), "κ1κ1": (0, 0), "κ2κ4": (1, 3), "δ1δ1": (8, 8), "δ3δ3": (10, 10)}
    for name, pair in names.items():
        mean, error = ratios[pair].mean(axis=0), ratios[pair].std(axis=0, ddof=1) / BOXES**0.5
        print(f"{name} over theory in bands of ℓ {BANDS}: {mean.round(3)} ± {error.round(3)}")
        assert np.isfinite(mean).all()


@pytest.mark.parametrize("pair", [(3, 3), (3, 8)], ids=["kappa4", "delta1-kappa4"])
def test_spectra_of_tiles_are_those_of_theory_to_400(ratios, pair):
    assert np.abs(ratios[pair].mean(axis=0)[:3] - 1).max() < 0.1


@pytest.mark.xfail(reason="the forces of a mesh of 1 Mpc / h: κ4κ4 is 10 % low at ℓ = 550, δ1κ4 13 %", strict=True)
@pytest.mark.parametrize("pair", [(3, 3), (3, 8)], ids=["kappa4", "delta1-kappa4"])
def test_spectra_of_tiles_are_those_of_theory_to_600(ratios, pair):
    assert np.abs(ratios[pair].mean(axis=0) - 1).max() < 0.1
