"""Displacements of particles along the gradient of a potential of short waves."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.sky import NbodyBox
from lensdask.sky.nbody.descent import DESCENT, descended, descent_kernel, displaced

BOX = NbodyBox(particles=8, side=50.0, steps=2)
SIZE, CELL = BOX.mesh, BOX.side / BOX.mesh
KERNEL = descent_kernel(BOX, np.zeros(0, np.float32))


def displacement(position):
    """Return how far `displaced` moves particles, shape (3, particle), float64."""
    moved = displaced(position, KERNEL).astype(np.float64) - position
    return (moved + SIZE / 2) % SIZE - SIZE / 2


def at_centres(seed, particles):
    """Return particles at the centres of cells, each of which adds to one cell and reads one."""
    return np.random.default_rng(seed).integers(0, SIZE, (3, particles)).astype(np.float32)


def potential(position, place):
    """Return α φ at some places (place, 3) as a sum of waves, with the windows of the mesh but without a transform."""
    numbers = np.arange(-SIZE // 2, SIZE // 2)
    k = 2 * np.pi / SIZE * np.stack(np.meshgrid(numbers, numbers, numbers, indexing="ij"), axis=-1).reshape(-1, 3)
    k = k[np.any(k != 0, axis=1)]
    square = (k**2).sum(axis=1)
    density = np.exp(-1j * k @ position).sum(axis=1) / position.shape[1]
    windows = np.prod(np.sinc(k / (2 * np.pi)) ** 4, axis=1)
    force = np.exp(-((square / (0.7 * np.pi) ** 2) ** 4)) / windows
    longest, shortest = DESCENT.longest * CELL, DESCENT.shortest * CELL
    band = np.exp(-(longest**2) / square) * np.exp(-(square**2) / shortest**4)
    return -DESCENT.amplitude * CELL * (np.exp(1j * place @ k.T) @ (density * force * band / square)).real


def test_displacement_is_minus_the_gradient_of_the_potential():
    position = at_centres(seed=0, particles=40)
    found, step = displacement(position), 1e-4
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        slope = (potential(position, position.T + shift) - potential(position, position.T - shift)) / (2 * step)
        np.testing.assert_allclose(found[axis], -slope, atol=2e-3 * np.abs(found).max() + 1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), particles=st.integers(2, 300))
def test_the_centre_of_mass_stays(seed, particles):
    position = np.random.default_rng(seed).uniform(0, SIZE, (3, particles)).astype(np.float32)
    found = displacement(position)
    assert np.abs(found.mean(axis=1)).max() < 1e-6 + 1e-5 * np.abs(found).max()


def test_a_regular_grid_stays():
    grid = 2 * np.indices((SIZE // 2,) * 3, dtype=np.float32).reshape(3, -1)
    for offset in (0.0, 0.5, 0.8):
        np.testing.assert_allclose(displacement(grid + np.float32(offset)), 0, atol=2e-6)


def test_neighbours_come_closer():
    position = np.array([[3.0, 4.5], [4.0, 4.0], [4.0, 4.0]], np.float32)
    found = displacement(position)
    assert found[0, 0] > 1e-4
    assert found[0, 1] < -1e-4
    np.testing.assert_allclose(found[1:], 0, atol=1e-6)


def test_torch_moves_particles_alike():
    position = np.random.default_rng(1).uniform(0, SIZE, (3, 500)).astype(np.float32)
    kernel = descent_kernel(BOX, torch.zeros(0))
    found = displaced(torch.from_numpy(position), kernel)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), displaced(position, KERNEL), atol=2e-6)


def test_particles_given_are_not_changed():
    position = at_centres(seed=2, particles=50)
    before = position.copy()
    one, two = descended([position, position], BOX)
    np.testing.assert_array_equal(position, before)
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - position).max() > 1e-4
