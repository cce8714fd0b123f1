"""Light cones: their shells, and that tiles depend on their own numbers alone."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from lensdask.errors import InputError
from lensdask.sky import STAGE3_BINS, NbodyBox, TileGrid, nbody_tiles, tomography_cosmology
from lensdask.sky.cosmology import comoving_distance
from lensdask.sky.nbody import lightcone, start
from lensdask.sky.nbody.lightcone import light_cone_shells
from lensdask.sky.tomography.kernels import field_kernels

COSMOLOGY = tomography_cosmology(0.2915, 0.7835)
BOX, GRID = NbodyBox(particles=16, side=380.0, steps=4), TileGrid(size=16, pixel_scale=18.75)
SETTINGS = {"box": BOX, "grid": GRID, "number": 2, "seed": 3}


@pytest.fixture(scope="module")
def tiles():
    return nbody_tiles(range(12), COSMOLOGY, **SETTINGS)


def test_what_tiles_are(tiles):
    assert tiles.shape == (12, 3, 4, 16, 16)
    assert tiles.dtype == np.float32
    assert np.isfinite(tiles).all()
    for b in range(4):
        assert np.corrcoef(tiles[:, 1, b].ravel(), tiles[:, 2, b].ravel())[0, 1] < -0.98
    assert (tiles[:, 2] > -1).all()
    # Matter in front of the last bin lenses it.
    assert np.corrcoef(tiles[:, 0, 3].ravel(), tiles[:, 2, 0].ravel())[0, 1] > 0.2


def test_tiles_depend_on_their_numbers_alone(tiles):
    np.testing.assert_array_equal(nbody_tiles([7, 2], COSMOLOGY, **SETTINGS), tiles[[7, 2]])
    for other in ({"number": 3}, {"seed": 4}):
        found = nbody_tiles([7], COSMOLOGY, **SETTINGS | other)
        assert abs(np.corrcoef(found[0, 2, 3].ravel(), tiles[7, 2, 3].ravel())[0, 1]) < 0.5


def test_particles_are_shown_displaced(tiles, monkeypatch):
    monkeypatch.setattr(lightcone, "descended", lambda positions, _: positions)
    moved = nbody_tiles([7, 2], COSMOLOGY, **SETTINGS)
    assert np.abs(tiles[[7, 2]] - moved)[:, 2].max() > 1e-3
    assert np.corrcoef(tiles[[7, 2], 2].ravel(), moved[:, 2].ravel())[0, 1] > 0.98


def test_torch_makes_the_same_tiles(tiles, monkeypatch):
    monkeypatch.setattr(start, "held_on", lambda array, _: torch.from_numpy(array))
    found = nbody_tiles([7, 2], COSMOLOGY, **SETTINGS)
    assert isinstance(found, torch.Tensor)
    # A particle on the edge of a cell may be counted on its other side.
    difference = np.abs(found.numpy() - tiles[[7, 2]])
    assert np.median(difference, axis=(0, 3, 4)).max() < 1e-5
    assert (difference.std(axis=(0, 3, 4)) < 0.05 * tiles.std(axis=(0, 3, 4))).all()


def test_the_shells_are_the_kernels():
    shells = light_cone_shells(COSMOLOGY, NbodyBox(), STAGE3_BINS, TileGrid())
    chi = np.concatenate([shell.chi for shell in reversed(shells)])
    assert np.diff(chi) == pytest.approx(95.0)
    assert [shell.scale_factor for shell in shells] == sorted(shell.scale_factor for shell in shells)
    farthest = float(comoving_distance(1.75, COSMOLOGY))
    assert farthest < chi[-1] + 95 / 2 + 95
    # All of every kernel is in them: ∫ W dz of matter is 1.
    whole = sum(shell.weight.sum(axis=-1) for shell in shells)
    np.testing.assert_allclose(whole[2], 1.0, atol=2e-3)
    z = np.linspace(1e-4, 1.75, 3000)
    kernels = field_kernels(z, STAGE3_BINS, COSMOLOGY)
    np.testing.assert_allclose(whole, np.trapezoid(kernels, comoving_distance(z, COSMOLOGY)), rtol=2e-3)
    # Cells: a quarter of a pixel far away, a 16th of those of the forces nearby.
    pixel = TileGrid().pixel_scale * np.pi / 180 / 60
    assert 380 / shells[0].cells == pytest.approx(shells[0].chi[0] * pixel / 4, rel=0.01)
    assert shells[-1].cells == 16 * 256
    for shell in shells[:-1]:
        assert 380 / shell.cells <= shell.chi[0] * pixel / 2


def test_both_halves_of_a_box_follow_each_other():
    places = lightcone._places(np.arange(50), 27, seed=0)
    assert len(places) == 27
    # From the observer outwards; the last box is cut.
    nearest_first = places[::-1]
    for near, far in zip(nearest_first[:-1:2], nearest_first[1::2], strict=True):
        slices = [2 * each.half + (role ^ each.turned) for each in (near, far) for role in (0, 1)]
        step = np.where(near.turned, -1, 1)
        for one, two in pairwise(slices):
            np.testing.assert_array_equal((one + step) % 4, two)
        np.testing.assert_array_equal(near.shift, far.shift)
    assert {len(set(getattr(places[5], name).tolist())) for name in ("half", "turned", "transposed")} == {2}
    assert set(places[5].axis.tolist()) == {0, 1, 2}


def test_a_lump_is_seen_where_it_is():
    places = lightcone._places(np.arange(10), 2, seed=0)[0]
    shell = light_cone_shells(COSMOLOGY, BOX, STAGE3_BINS, GRID)[-4]
    pixel = shell.chi * GRID.pixel_scale * np.pi / 180 / 60 * BOX.mesh / BOX.side
    for tile in range(10):
        axis, role = places.axis[tile], tile % 2
        # In the middle of pixel (3, 12), before the map is turned; in the slice of one of the roles.
        slice_of_box = 2 * places.half[tile] + (role ^ places.turned[tile])
        away = pixel[role] * (np.array([3.5, 12.5]) - 8) * places.flip[tile]
        place = np.zeros((3, 4096), np.float32)
        place[axis] = (slice_of_box + 0.5) / 4 * BOX.mesh
        place[[(axis + 1) % 3, (axis + 2) % 3]] = ((places.shift[tile] * BOX.mesh + away) % BOX.mesh)[:, None]
        seen = lightcone._seen(place, shell, places, BOX, GRID)[:, tile]
        expected = (12, 3) if places.transposed[tile] else (3, 12)
        assert np.unravel_index(seen[role].argmax(), (16, 16)) == expected
        assert seen[role].max() > 1
        np.testing.assert_allclose(seen[1 - role], -1)


def test_bad_numbers_are_refused():
    for settings in ({"number": 1024}, {"seed": -1}):
        with pytest.raises(InputError, match="expected a whole number"):
            nbody_tiles([0], COSMOLOGY, **SETTINGS | settings)
    for numbers in ([], [-1], [2**20], [[0]]):
        with pytest.raises(InputError, match="tiles: expected"):
            nbody_tiles(numbers, COSMOLOGY, **SETTINGS)
