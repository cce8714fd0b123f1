"""What a simulated box of matter is: its size, its particles and its steps, and the key of its random numbers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError, check_number
from lensdask.sky.cosmology import Cosmology
from lensdask.sky.tomography.tiles import LARGEST_SEED

__all__ = ["FIRST_SCALE_FACTOR", "NbodyBox", "box_key"]

FIRST_SCALE_FACTOR = 0.1
"""Scale factor a = 1 / (1 + z) at which particles start, where second-order theory still holds."""

_MESH = 2
"""Cells of the force mesh over particles, per side: with one of each, power at 0.5 h / Mpc is another 8 % low."""

_LARGEST = 1024
"""Particles on a side: more do not fit into the memory of any one device."""


@dataclass(frozen=True)
class NbodyBox:
    """A periodic cube of particles; by default 256 Mpc / h on a side.

    The default takes 20 s of a processor with the extra ``nbody``, 40 s without, and 1.1 GB.
    Kacprzak & Fluri 2022 have 256³ particles in 500 Mpc, which is for a GPU.
    """

    particles: int = 128
    """Particles on a side, even."""
    side: float = 380.0
    """Comoving length of a side in Mpc."""
    steps: int = 20
    """Steps in time, of equal length in the scale factor."""

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        check_number("particles", self.particles, least=8, most=_LARGEST, whole=True)
        if self.particles % 2:
            raise InputError(f"particles: {self.particles}; expected an even number")
        check_number("side", self.side, least=50, most=2000, meaning="Mpc")
        check_number("steps", self.steps, least=2, most=1000, whole=True)

    @property
    def mesh(self) -> int:
        """Cells of the force mesh on a side."""
        return _MESH * self.particles

    @property
    def scale_factors(self) -> npt.NDArray[np.float64]:
        """The ends of the steps, shape (step + 1,)."""
        return np.linspace(FIRST_SCALE_FACTOR, 1.0, self.steps + 1)


def box_key(cosmology: Cosmology, number: int) -> int:
    """Return the id of a box, by which its random numbers are drawn.

    Parameters
    ----------
    cosmology
        One of `lensdask.sky.tomography_cosmology`, whose numbers have four decimals.
    number
        Number of the box, 0 to `lensdask.sky.tomography.tiles.LARGEST_SEED`.

    Raises
    ------
    InputError
        The number is out of its range.
    """
    check_number("number", number, least=0, most=LARGEST_SEED, whole=True)
    # 13, 14 and 10 bits: no two boxes share numbers.
    omega_m, sigma8 = round(cosmology.omega_m * 10_000), round(cosmology.sigma8 * 10_000)
    return (((omega_m << 14) | sigma8) << 10) | int(number)
