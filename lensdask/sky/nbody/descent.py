"""Sharper haloes: particles go down a potential of short waves (Dai, Feng & Seljak 2018).

The forces of a mesh end at its cells, so its haloes are too wide, and power is low at small scales. Where particles are
shown, and only there, each is displaced by ::

    S = -α ∇φ        ∇²φ = exp(-k_l² / k²) exp(-k⁴ / k_s⁴) δ

towards the matter around it. Waves longer than 1 / k_l, which the mesh has right, stay as they are; those shorter than
1 / k_s would gather the grid that particles start in. Forces and motion know nothing of it.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lensdask.arrays import Array, namespace
from lensdask.sky.nbody.box import NbodyBox
from lensdask.sky.nbody.gravity import accelerate, force_kernel, green_function
from lensdask.sky.nbody.mesh import mesh_wave_numbers

__all__ = ["DESCENT", "Descent", "descended", "descent_kernel", "displaced"]


class Descent(NamedTuple):
    """The constants of the displacement."""

    amplitude: float
    """α over the cell of the force mesh, 1 / Mpc: the finer the mesh, the less is left to do."""
    longest: float
    """k_l in 1 / Mpc: longer waves displace nothing."""
    shortest: float
    """k_s in 1 / Mpc: nor do shorter ones."""


DESCENT = Descent(amplitude=0.004, longest=0.27, shortest=0.81)
"""What brings the power of the default box to that of halofit: ``docs/nbody_descent.py`` fits it, in boxes of its own.

The scales are 0.4 and 1.2 h / Mpc. Others from 0.3 to 0.6 and 0.9 to 1.6 h / Mpc do as well, with another amplitude, so
it is the amplitude that is fitted: 0.0040 ± 0.0013 from four boxes. That α goes with the cell was seen in a box with
cells of 1 Mpc in place of 1.5."""


def descent_kernel(box: NbodyBox, reference: Array, descent: Descent = DESCENT) -> Array:
    """Return what turns the transform of the density into that of -α φ, shape (mesh, mesh, mesh // 2 + 1).

    Parameters
    ----------
    box
        Its side and its force mesh.
    reference
        Whose library, device and precision the result takes.
    descent
        The constants.
    """
    cell = box.side / box.mesh
    longest, shortest = descent.longest * cell, descent.shortest * cell
    x, y, z = mesh_wave_numbers(box.mesh, reference)
    square = x**2 + y**2 + z**2
    exponent = longest**2 * green_function(box.mesh, reference) + (square / shortest**2) ** 2
    return descent.amplitude * cell * force_kernel(box.mesh, reference) * namespace(square).exp(-exponent)


def displaced(position: Array, kernel: Array) -> Array:
    """Return particles displaced by S; those given stay where they are.

    Parameters
    ----------
    position
        In cells of the force mesh, shape (3, particle).
    kernel
        Of `descent_kernel`.

    Returns
    -------
    Array
        As `position`.
    """
    xp = namespace(position)
    displacement = xp.zeros_like(position)
    accelerate(displacement, position, kernel, 1.0)
    return xp.remainder(position + displacement, len(kernel))


def descended(positions: Iterable[Array], box: NbodyBox) -> Iterator[Array]:
    """Yield particles at one time after another, `displaced`.

    Parameters
    ----------
    positions
        In cells of the force mesh, each of shape (3, particle).
    box
        Its side and its force mesh.
    """
    kernel = None
    for position in positions:
        kernel = descent_kernel(box, position) if kernel is None else kernel
        yield displaced(position, kernel)
