"""Slices of a box and means over pixels: by brute force, over periodic edges, the same on torch."""

import numpy as np
import pytest
import torch

from lensdask.sky.nbody.planes import SLICES, integral_image, rectangle_means, slice_counts

MESH, CELLS, COUNT = 8, 12, 400


@pytest.fixture
def position():
    drawn = np.random.default_rng(1).uniform(0, MESH, (3, COUNT)).astype(np.float32)
    # On the far face, where rounding puts some.
    drawn[:, 0] = MESH
    return drawn


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_count_every_particle_once(position, axis):
    edges = [np.linspace(0, MESH, number + 1) for number in (SLICES, CELLS, CELLS)]
    expected, _ = np.histogramdd(np.roll(position, -axis, axis=0).T, edges)
    for library in (np.asarray, torch.from_numpy):
        found = np.stack([np.asarray(one) for one in slice_counts(library(position), MESH, axis, CELLS)])
        np.testing.assert_array_equal(found, expected)


def test_means_over_pixels():
    counts = np.random.default_rng(2).poisson(3, (CELLS, CELLS))
    particles = int(counts.sum()) * SLICES + 50
    contrast = counts * SLICES * CELLS**2 / particles - 1
    image = integral_image(counts, particles)
    # Rectangles of whole cells, around the periodic edge several times, forwards and backwards.
    y, x = np.array([[-30.0, -20.0, -19.0], [7.0, 5.0, -3.0]]), np.array([[10.0, 13.0, 14.0], [2.0, 1.0, -25.0]])
    found = rectangle_means(image, y, x)
    for grid, row, column in np.ndindex(2, 2, 2):
        rows, columns = (np.arange(*sorted(e[grid, i : i + 2])) for e, i in ((y, row), (x, column)))
        cells = np.ix_(rows.astype(int) % CELLS, columns.astype(int) % CELLS)
        assert found[grid, row, column] == pytest.approx(contrast[cells].mean(), abs=1e-12)
    on_torch = rectangle_means(integral_image(torch.from_numpy(counts), particles), *map(torch.from_numpy, (y, x)))
    np.testing.assert_allclose(on_torch.numpy(), found, atol=1e-12)


def test_parts_of_cells_count_as_parts():
    counts = np.zeros((CELLS, CELLS), dtype=np.int64)
    counts[3, 4] = 100
    image = integral_image(counts, 100 * SLICES)
    found = rectangle_means(image, np.array([[3.25, 3.75, 4.5]]), np.array([[4.5, 5.5]]))
    # Half of the width holds matter, and a third of the second height.
    np.testing.assert_allclose(found[0, :, 0], CELLS**2 * np.array([0.5, 0.5 / 3]) - 1, rtol=1e-12)
