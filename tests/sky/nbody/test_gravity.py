"""Forces and displacements of plane waves, second order, growth factors."""

import numpy as np
import pytest

from lensdask.sky import tomography_cosmology
from lensdask.sky.nbody.box import FIRST_SCALE_FACTOR
from lensdask.sky.nbody.gravity import accelerate, force_kernel, green_function, minus_gradients
from lensdask.sky.nbody.growth_factors import growth_factors
from lensdask.sky.nbody.mesh import transform_of
from lensdask.sky.nbody.start import displacements

COSMOLOGY = tomography_cosmology(0.2915, 0.7835)
SIZE = 16
PLACE = np.indices((SIZE,) * 3, dtype=np.float64)
K = 2 * np.pi / SIZE


def wave(*numbers):
    """Return cos(k x) for a wave of some periods along x, y and z."""
    return np.cos(K * np.tensordot(numbers, PLACE, axes=1))


@pytest.mark.parametrize("numbers", [(1, 0, 0), (0, 2, 0), (0, 0, 3), (1, -2, 2)])
def test_displacement_of_a_plane_wave(numbers):
    k = K * np.array(numbers)
    density = transform_of(wave(*numbers))
    found = list(minus_gradients(density, green_function(SIZE, PLACE)))
    expected = [-one / (k @ k) * np.sin(K * np.tensordot(numbers, PLACE, axes=1)) for one in k]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_force_of_a_plane_wave_on_particles():
    # Particles in a regular grid, displaced by a wave of 1 % in density, feel the force of that wave.
    grid, mesh = SIZE, 2 * SIZE
    k = 2 * np.pi / mesh
    place = np.indices((grid,) * 3, dtype=np.float32).reshape(3, -1) * 2 + np.float32(0.5)
    phase = k * place[0]
    place[0] = place[0] - 0.01 / k * np.sin(phase)
    momentum = np.zeros_like(place)
    accelerate(momentum, place % mesh, force_kernel(mesh, place), 3.0)
    expected = -3 * 0.01 / k * np.sin(phase)
    # The amplitude of the wave itself, and all the others, of second order.
    assert momentum[0] @ expected / (expected @ expected) == pytest.approx(1, abs=2e-5)
    np.testing.assert_allclose(momentum[0], expected, atol=0.006 * expected.max())
    assert np.abs(momentum[1:]).max() < 1e-6


def test_forces_have_no_resultant():
    place = np.random.default_rng(0).uniform(0, SIZE, (3, 200)).astype(np.float32)
    momentum = np.zeros_like(place)
    accelerate(momentum, place, force_kernel(SIZE, place), 1.0)
    assert np.abs(momentum.mean(axis=1)).max() < 1e-5 * np.abs(momentum).mean()


def test_a_plane_wave_has_no_second_order():
    first, second = displacements(transform_of(wave(2, 1, 0)))
    assert np.abs(first).max() > 0.3
    assert np.abs(second).max() < 1e-10


def test_second_order_of_two_crossed_waves():
    # δ = a cos kx + b cos ky: φ,xx φ,yy = ab cos kx cos ky = ∇²φ₂, so φ₂ = -ab / (2 k²) cos kx cos ky.
    a, b = 0.3, 0.5
    _, second = displacements(transform_of(a * wave(1, 0, 0) + b * wave(0, 1, 0)))
    x, y, _ = K * PLACE
    np.testing.assert_allclose(second[0], a * b / (2 * K) * np.sin(x) * np.cos(y), atol=1e-12)
    np.testing.assert_allclose(second[1], a * b / (2 * K) * np.cos(x) * np.sin(y), atol=1e-12)
    assert np.abs(second[2]).max() < 1e-12


@pytest.mark.parametrize("omega_m", [0.15, 0.2915, 0.45])
def test_growth_factors(omega_m):
    cosmology = tomography_cosmology(omega_m, 0.7835)
    for a in (0.1, 0.4, 1.0):
        step = 1e-4 * a
        low, at, high = (growth_factors(each, cosmology) for each in (a - step, a, a + step))
        expansion = np.sqrt(omega_m / a**3 + 1 - omega_m)
        slope = (high.displacement - low.displacement) / (2 * step)
        assert at.momentum == pytest.approx(a**3 * expansion * slope, rel=1e-6)
        change = (high.momentum - low.momentum) / (2 * step)
        assert change == pytest.approx(1.5 * omega_m / (a**2 * expansion) * at.displacement, rel=1e-6)


@pytest.mark.parametrize("omega_m", [0.15, 0.2915, 0.45])
def test_growth_of_the_second_order(omega_m):
    # Its equation is that of linear growth with the source D₂ - D²; the fit has it at the start.
    cosmology, a, step = tomography_cosmology(omega_m, 0.7835), FIRST_SCALE_FACTOR, 1e-5
    low, at, high = (growth_factors(each, cosmology) for each in (a - step, a, a + step))
    expansion = np.sqrt(omega_m / a**3 + 1 - omega_m)
    slope = (high.second_displacement - low.second_displacement) / (2 * step)
    assert at.second_momentum == pytest.approx(a**3 * expansion * slope, rel=1e-3)
    source = at.second_displacement - at.displacement**2
    change = (high.second_momentum - low.second_momentum) / (2 * step)
    assert change == pytest.approx(1.5 * omega_m / (a**2 * expansion) * source, rel=2e-3)
