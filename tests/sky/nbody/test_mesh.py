"""Painting and reading: against brute force, the same on every library, nothing lost."""

import sys

import numpy as np
import pytest
import torch

from lensdask.sky.nbody import loops, mesh

SIZE = 6


@pytest.fixture(params=["numba", "numpy", "torch"])
def library(request, monkeypatch):
    """Return what takes arrays of NumPy to those of a library; numba is a way of NumPy's."""
    if request.param == "numba":
        pytest.importorskip("numba")
    if request.param == "numpy":
        monkeypatch.setitem(sys.modules, "numba", None)
        loops.compiled_loops.cache_clear()
    yield torch.from_numpy if request.param == "torch" else np.asarray
    if request.param == "numpy":
        loops.compiled_loops.cache_clear()


@pytest.fixture
def position():
    """Return particles, some of them on faces of the box, where rounding puts them too."""
    drawn = np.random.default_rng(1).uniform(0, SIZE, (3, 500)).astype(np.float32)
    drawn[:, :5] = [[0, SIZE, SIZE, 2.5, 5.99], [0, 0, SIZE, SIZE, 5.5], [0, SIZE, SIZE, 5.5, 0]]
    return drawn


def overlap(position):
    """Return the share of each cell in each particle, by the distance of their centres, (particle, x, y, z)."""
    distance = np.abs((position[..., None] - np.arange(SIZE) + SIZE / 2) % SIZE - SIZE / 2)
    x, y, z = np.clip(1 - distance, 0, None)
    return x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]


def test_painting_is_the_overlap_of_cubes(library, position):
    field = np.asarray(mesh.paint(library(position), SIZE))
    assert field.dtype == np.float32
    np.testing.assert_allclose(field, overlap(position).sum(axis=0), atol=2e-5)
    # All the mass, and none twice.
    assert field.sum(dtype=np.float64) == pytest.approx(500, abs=1e-4)


def test_reading_is_the_same_mean(library, position):
    field = np.random.default_rng(2).normal(size=(SIZE,) * 3).astype(np.float32)
    expected = np.einsum("pxyz,xyz->p", overlap(position), field)
    found = mesh.read(library(field), library(position))
    np.testing.assert_allclose(np.asarray(found), expected, atol=2e-6)


def test_the_order_of_particles_does_not_matter_on_a_device(position):
    other = np.random.default_rng(3).permutation(position, axis=1)
    one, two = (mesh.paint(torch.from_numpy(each), SIZE) for each in (position, other))
    assert torch.equal(one, two)


def test_transforms(library):
    field = np.random.default_rng(4).normal(size=(8, 8, 8)).astype(np.float32)
    plane = mesh.transform_of(library(field))
    np.testing.assert_allclose(np.asarray(plane), np.fft.rfftn(field), atol=1e-4)
    assert np.asarray(plane).dtype == np.complex64
    np.testing.assert_allclose(np.asarray(mesh.field_of(plane)), field, atol=1e-6)
