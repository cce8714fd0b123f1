"""The particles of a box when it starts: a Gaussian field, and displacements to second order (2LPT).

A particle of the place q in a regular grid is at ::

    x = q + D ψ₁ + D₂ ψ₂        p = F ψ₁ + F₂ ψ₂
    ψ₁ = -∇φ₁, ∇²φ₁ = δ         ψ₂ = ∇φ₂, ∇²φ₂ = Σ_{i<j} (φ₁,ii φ₁,jj - φ₁,ij²)

with the linear density contrast δ of today and the factors of `lensdask.sky.nbody.growth_factors`. Without ψ₂
(Zel'dovich) collapse would lag behind for many expansion times after a start as late as this.
"""

from typing import NamedTuple

import numpy as np

from lensdask.arrays import Array, constant, held_on, like, namespace
from lensdask.random import Stream, normals
from lensdask.sky.cosmology import Cosmology
from lensdask.sky.nbody.box import FIRST_SCALE_FACTOR, NbodyBox, box_key
from lensdask.sky.nbody.gravity import green_function, minus_gradients
from lensdask.sky.nbody.growth_factors import growth_factors
from lensdask.sky.nbody.mesh import field_of, mesh_wave_numbers, transform_of
from lensdask.sky.tomography.matter import matter_power

__all__ = ["Particles", "displacements", "linear_density", "start_particles"]


class Particles(NamedTuple):
    """Particles at one time."""

    position: Array
    """In cells of the force mesh, shape (3, particle), float32."""
    momentum: Array
    """a² dx/dt in cells times the Hubble constant today, shape (3, particle), float32."""


def linear_density(
    cosmology: Cosmology, box: NbodyBox, *, number: int = 0, seed: int = 0, device: str = "cpu"
) -> Array:
    """Return the transform of the linear density contrast of today, at the places of the particles.

    Parameters
    ----------
    cosmology
        As for `lensdask.sky.tomography.matter.matter_power`, whose linear power the field has.
    box
        Its size and particles.
    number
        Number of the box.
    seed
        Seed of the run.
    device
        "cpu", where the field is NumPy's, or "cuda", where it is torch's.

    Returns
    -------
    Array
        complex64, shape (particles, particles, particles // 2 + 1).
    """
    key = held_on(np.array([box_key(cosmology, number)]), device)
    n = box.particles
    white = normals(key, n**3, seed, Stream.BOX).reshape(n, n, n)
    return transform_of(white) * constant(_amplitude, cosmology, box, reference=white)


def _amplitude(cosmology: Cosmology, box: NbodyBox) -> np.ndarray:
    """Return √(P / volume of a cell): the amplitude of a wave over that of white noise."""
    power, cell = matter_power(cosmology), box.side / box.particles
    x, y, z = mesh_wave_numbers(box.particles, np.zeros(0))
    square = (x**2 + y**2 + z**2) / cell**2
    square[0, 0, 0] = 1.0
    logarithm = np.interp(np.log(square) / 2, np.log(power.wave_number), power.linear)
    amplitude: np.ndarray = np.exp(logarithm / 2) / cell**1.5
    amplitude[0, 0, 0] = 0.0
    return amplitude.astype(np.float32)


def displacements(density: Array) -> tuple[Array, Array]:
    """Return ψ₁ and ψ₂ in cells of the grid, each of shape (3, size, size, size).

    Parameters
    ----------
    density
        Transform of the linear density contrast, shape (size, size, size // 2 + 1).
    """
    xp, green = namespace(density), green_function(len(density), namespace(density).real(density))
    first = xp.stack(list(minus_gradients(density, green)))
    second = xp.stack([-part for part in minus_gradients(transform_of(_second_source(density * green)), green)])
    return first, second


def _second_source(potential: Array) -> Array:
    """Return Σ_{i<j} (φ,ii φ,jj - φ,ij²), from the transform of -φ."""
    waves = mesh_wave_numbers(len(potential), namespace(potential).real(potential))

    def curvature(i: int, j: int) -> Array:
        return field_of(potential * (waves[i] * waves[j]))

    xx, yy, zz = (curvature(i, i) for i in range(3))
    source = xx * yy + xx * zz + yy * zz
    for i, j in ((0, 1), (0, 2), (1, 2)):
        source -= curvature(i, j) ** 2
    return source


def start_particles(density: Array, box: NbodyBox, cosmology: Cosmology) -> Particles:
    """Return the particles at `FIRST_SCALE_FACTOR`.

    Parameters
    ----------
    density
        Of `linear_density`.
    box
        Its size and particles.
    cosmology
        Whose growth it is.
    """
    xp, n = namespace(density), box.particles
    first, second = (xp.reshape(part, (3, -1)) for part in displacements(density))
    factors, cells = growth_factors(FIRST_SCALE_FACTOR, cosmology), box.mesh / n
    # Half a cell of the mesh off its centres: there a cloud changes smoothly with its place, as it does not at them.
    place = np.indices((n, n, n), dtype=np.float32).reshape(3, -1) + 0.5 / cells
    position = like(place, first) + factors.displacement * first + factors.second_displacement * second
    momentum = factors.momentum * first + factors.second_momentum * second
    return Particles(xp.remainder(cells * position, box.mesh), cells * momentum)
