"""All 78 spectra of lognormal tiles of full size against input power, pixel window and the cut of the tile."""

import time

import numpy as np
import pytest
from tile_spectra import expected_spectra, measured_spectra, probability

from lensdask.sky import TileGrid, grid_cosmologies, tomographic_tiles, tomography_cosmology

TILES = 600
EDGES = np.geomspace(60, 2304, 9)

pytestmark = pytest.mark.science


@pytest.mark.parametrize("cosmology", ["fiducial", "largest sigma8", "least sigma8"])
def test_all_spectra_are_the_input(cosmology):
    points = grid_cosmologies()
    row = {"fiducial": 0, "largest sigma8": points[:, 1].argmax(), "least sigma8": points[:, 1].argmin()}[cosmology]
    universe, grid = tomography_cosmology(*points[row]), TileGrid()
    began = time.process_time()
    tiles = tomographic_tiles(range(TILES), universe)
    seconds = (time.process_time() - began) / TILES
    spectra, expected = measured_spectra(tiles, grid, EDGES), expected_spectra(universe, grid, EDGES)
    together = probability(spectra, expected)
    single = min(probability(spectra[:, i], expected[i]) for i in range(78))
    print(f"{cosmology}: p {together:.3g}, least of 78 {single:.3g}, {1e3 * seconds:.1f} ms of CPU a tile")
    assert together > 1e-3
    assert single > 1e-3 / 78
    assert probability(spectra, 1.03 * expected) < 1e-3
