"""Boxes in time: linear growth, second order against Zel'dovich, random numbers, refused settings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lensdask.errors import InputError
from lensdask.sky import NbodyBox, matter_power, simulate_box, tomography_cosmology
from lensdask.sky.nbody import start
from lensdask.sky.nbody.box import FIRST_SCALE_FACTOR, box_key
from lensdask.sky.nbody.growth_factors import growth_factors
from lensdask.sky.nbody.mesh import mesh_wave_numbers
from lensdask.sky.nbody.start import Particles, displacements, linear_density, start_particles
from lensdask.sky.nbody.steps import evolve

COSMOLOGY = tomography_cosmology(0.2915, 0.7835)
SMALL = NbodyBox(particles=32, side=95.0, steps=10)


def moved(position, box):
    """Return how far particles are from where they began, in cells of their grid, shape (3, particle)."""
    place = 2 * np.indices((box.particles,) * 3, dtype=np.float32).reshape(3, -1) + np.float32(0.5)
    return ((position - place + box.particles) % box.mesh - box.particles) / 2


def amplitude(displacement, expected, largest):
    """Return how large a displacement is of what is expected, of waves up to a share of the Nyquist frequency."""
    n = SMALL.particles
    one, two = (np.fft.rfftn(each.reshape(3, n, n, n), axes=(1, 2, 3)) for each in (displacement, expected))
    k = np.sqrt(sum(wave**2 for wave in mesh_wave_numbers(n, np.zeros(0)))) / np.pi
    two = two * (k < largest)
    return float((one * two.conj()).real.sum() / (np.abs(two) ** 2).sum())


def test_small_fluctuations_grow_as_in_linear_theory():
    density = linear_density(COSMOLOGY, SMALL) * np.float32(0.01)
    times = [0.12, 0.5, 1.0]
    first = displacements(density)[0].reshape(3, -1)
    for a, position in zip(times, evolve_from(density, times), strict=True):
        grown = amplitude(moved(position, SMALL), first, largest=0.4)
        assert grown == pytest.approx(growth_factors(a, COSMOLOGY).displacement, rel=3e-3)


def evolve_from(density, times, box=SMALL):
    return evolve(start_particles(density, box, COSMOLOGY), box, COSMOLOGY, times)


def test_the_second_order_is_what_an_early_start_adds_to_zeldovich(monkeypatch):
    # It starts at redshift 99, where the first order is good. Long waves, which the mesh resolves, four times as high,
    # so that particles leave their cells.
    k = np.sqrt(sum(wave**2 for wave in mesh_wave_numbers(32, np.zeros(0)))) / np.pi
    density = linear_density(COSMOLOGY, SMALL) * np.float32(4) * (k < 0.2)
    second_order = moved(start_particles(density, SMALL, COSMOLOGY).position, SMALL)
    factors = growth_factors(FIRST_SCALE_FACTOR, COSMOLOGY)
    first_order = factors.displacement * displacements(density)[0].reshape(3, -1)
    monkeypatch.setattr(start, "FIRST_SCALE_FACTOR", 0.01)
    box = EarlyBox(particles=32, side=95.0, steps=30)
    particles = Particles(*start_particles(density, box, COSMOLOGY))
    (truth,) = evolve(particles, box, COSMOLOGY, [FIRST_SCALE_FACTOR])
    exact = moved(truth, SMALL)
    added, second = exact - first_order, second_order - first_order
    assert np.sum(added * second) / np.sum(second**2) == pytest.approx(1, abs=0.03)
    # The rest is of third order.
    assert np.std(added - second) < 0.4 * np.std(added)


class EarlyBox(NbodyBox):
    """A box that starts at redshift 99 and ends at 9."""

    @property
    def scale_factors(self):
        return np.linspace(0.01, FIRST_SCALE_FACTOR, self.steps + 1)


def test_the_start_has_the_linear_power():
    box = NbodyBox(particles=64, side=200.0)
    density = linear_density(COSMOLOGY, box)
    theory = matter_power(COSMOLOGY)
    k = np.sqrt(sum(wave**2 for wave in mesh_wave_numbers(64, np.zeros(0)))) * 64 / box.side
    wanted = np.exp(np.interp(np.log(np.maximum(k, 1e-9)), np.log(theory.wave_number), theory.linear))
    ratio = np.abs(density) ** 2 * box.side**3 / 64**6 / wanted
    # Of 130 thousand independent waves; and the mean is none.
    assert ratio[:, :, 1:-1].mean() == pytest.approx(1, abs=0.01)
    assert density[0, 0, 0] == 0


def test_a_box_depends_on_its_key_alone():
    first = list(simulate_box(COSMOLOGY, SMALL, [0.3, 1.0], number=3, seed=7))
    again = list(simulate_box(COSMOLOGY, SMALL, [1.0], number=3, seed=7))
    np.testing.assert_array_equal(again[0], first[1])
    starts = [linear_density(COSMOLOGY, SMALL, number=n, seed=s) for n, s in ((3, 7), (4, 7), (3, 8))]
    starts.append(linear_density(tomography_cosmology(0.2915, 0.7836), SMALL, number=3, seed=7))
    for other in starts[1:]:
        assert abs(np.vdot(other, starts[0])) < 0.1 * np.vdot(starts[0], starts[0]).real
    assert box_key(COSMOLOGY, 0) != box_key(tomography_cosmology(0.2916, 0.7835), 0)


def test_torch_makes_the_same_box(monkeypatch):
    (numpy,) = simulate_box(COSMOLOGY, SMALL, [0.5])
    monkeypatch.setattr(start, "held_on", lambda array, _: torch.from_numpy(array))
    (found,) = simulate_box(COSMOLOGY, SMALL, [0.5])
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float32
    difference = moved(found.numpy(), SMALL) - moved(numpy, SMALL)
    # Rounding grows where matter collapses.
    assert np.median(np.abs(difference)) < 1e-4
    assert np.abs(difference).max() < 0.1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"particles": 4}, "particles: 4; expected a whole number from 8 to 1024"),
        ({"particles": 33}, "particles: 33; expected an even number"),
        ({"particles": 64.0}, "particles: 64.0"),
        ({"side": 0.0}, "side: 0.0"),
        ({"side": float("nan")}, "side: nan"),
        ({"steps": 1}, "steps: 1; expected a whole number from 2 to 1000"),
    ],
)
def test_bad_settings_are_refused(wrong, message):
    with pytest.raises(InputError) as caught:
        NbodyBox(**wrong)
    assert message in str(caught.value)


def test_bad_numbers_are_refused():
    for number in (-1, 1024, 0.5):
        with pytest.raises(InputError, match="number"):
            box_key(COSMOLOGY, number)


def test_dark_energy_other_than_a_constant_is_refused():
    with pytest.raises(InputError, match=r"w: -0.9; expected -1 for particles"):
        growth_factors(0.5, replace(COSMOLOGY, w=-0.9))
