"""Lognormal tiles: their spectra, and that each depends on its own number alone."""

import numpy as np
import pytest
import torch
from tile_spectra import expected_spectra, measured_spectra, probability

from lensdask.errors import InputError
from lensdask.sky import STAGE3_BINS, TileGrid, grid_cosmologies, redshift_bins, tomographic_tiles, tomography_cosmology
from lensdask.sky.tomography import tiles as module
from lensdask.sky.tomography.tiles import lost_shell_variance

FIDUCIAL = tomography_cosmology(0.2915, 0.7835)
COARSE = TileGrid(size=32, pixel_scale=9.375)
EDGES = np.geomspace(60, 1152, 6)


@pytest.fixture(scope="module")
def tiles():
    """Return coarse tiles, shape (tile, field, bin, y, x)."""
    return tomographic_tiles(range(400), FIDUCIAL, grid=COARSE)


def test_all_spectra_are_the_input(tiles):
    spectra = measured_spectra(tiles, COARSE, EDGES)
    expected = expected_spectra(FIDUCIAL, COARSE, EDGES)
    assert probability(spectra, expected) > 1e-3
    # And it would say so: of power 3 % too high, and of one that pixels do not smooth.
    assert probability(spectra, 1.03 * expected) < 1e-3
    assert probability(spectra, expected_spectra(FIDUCIAL, COARSE, EDGES, windowed=False)) < 1e-3


def test_the_periodic_area_is_large_enough():
    grid = TileGrid()
    edges = np.geomspace(60, 2304, 9)
    periodic, wide = (expected_spectra(FIDUCIAL, grid, edges, area=area) for area in (grid.area, 512))
    # Auto spectra; of the waves as long as the tile is wide, less than 2 %.
    autos = [0, 12, 23, 33, 42, 50, 57, 63, 68, 72, 75, 77]
    np.testing.assert_allclose(periodic[autos], wide[autos], rtol=0.02)
    np.testing.assert_allclose(periodic[autos, 1:], wide[autos, 1:], rtol=0.006)


def test_matter_and_alignment_are_nearly_one_field(tiles):
    flat = tiles.reshape(400, 3, 4, -1)
    for b in range(4):
        assert np.corrcoef(flat[:, 1, b].ravel(), flat[:, 2, b].ravel())[0, 1] < -0.99
    assert tiles.dtype == np.float32
    assert (tiles[:, 2] > -1).all()
    # Skewed as matter is.
    assert all(((flat[:, 2, b] / flat[:, 2, b].std()) ** 3).mean() > 0.2 for b in range(4))


def test_a_tile_depends_on_its_own_number_alone(tiles):
    np.testing.assert_array_equal(tomographic_tiles([17, 3], FIDUCIAL, grid=COARSE), tiles[[17, 3]])
    for other in (
        tomographic_tiles([17], FIDUCIAL, grid=COARSE, seed=1),
        tomographic_tiles([17], FIDUCIAL, grid=COARSE, number=1),
        tomographic_tiles([17], tomography_cosmology(*grid_cosmologies()[1]), grid=COARSE),
    ):
        assert abs(np.corrcoef(other[0, 2, 0].ravel(), tiles[17, 2, 0].ravel())[0, 1]) < 0.3


def test_torch_makes_the_same_tiles(tiles, monkeypatch):
    monkeypatch.setattr(module, "held_on", lambda array, _: torch.from_numpy(array))
    result = tomographic_tiles([17], FIDUCIAL, grid=COARSE)
    assert isinstance(result, torch.Tensor)
    np.testing.assert_allclose(result.numpy()[0], tiles[17], rtol=1e-3, atol=2e-6)


def test_other_galaxies_see_the_same_matter(tiles):
    z = np.linspace(0, 1.75, 176)
    bins = redshift_bins(z, STAGE3_BINS.n_of_z[[1, 1, 2, 3]])
    other = tomographic_tiles([5], FIDUCIAL, grid=COARSE, bins=bins)
    np.testing.assert_allclose(other[0, :, 0], tiles[5, :, 1], rtol=1e-4, atol=1e-7)


def test_little_of_the_variance_is_lost():
    strongest = grid_cosmologies()[grid_cosmologies()[:, 1].argmax()]
    for cosmology in (FIDUCIAL, tomography_cosmology(*strongest)):
        lost = lost_shell_variance(cosmology, TileGrid())
        assert lost.shape == (48,)
        # In the nearest shell, which counts for 1e-4 of the nearest galaxies, and in the others.
        assert lost.max() < 0.01
        assert lost[1:].max() < 0.003


def test_bad_numbers_are_refused():
    for settings in ({"number": 1024}, {"seed": -1}, {"number": 0.5}):
        with pytest.raises(InputError, match="expected a whole number"):
            tomographic_tiles([0], FIDUCIAL, **settings)
    for numbers in ([], [-1], [2**20], [[0]]):
        with pytest.raises(InputError, match="tiles: expected"):
            tomographic_tiles(numbers, FIDUCIAL)
    with pytest.raises(InputError, match="even"):
        TileGrid(size=7)
