"""The eight turns and mirrors of a square field, and how shear changes under them.

A quarter turn of a field carries its pixels along and turns each shear with them. Shear has spin 2: it is the same
after half a turn, and the opposite after a quarter, so both components change sign. A mirror in y reverses the second
component alone. Whoever only moves the pixels makes fields that no mass makes: after a mirror without the sign a map
by Kaiser & Squires is uncorrelated with the mass, after a quarter turn it is its negative.

The mean of a method over the eight versions of a field, each result turned back, follows turns and mirrors exactly,
whatever the method.
"""

from collections.abc import Callable
from typing import NamedTuple

from lensdask.arrays import Array, namespace
from lensdask.maps.fields import ShearMaps

__all__ = ["SYMMETRIES", "Symmetry", "moved", "moved_shear_maps", "symmetrised"]


class Symmetry(NamedTuple):
    """A number of quarter turns, then perhaps a mirror.

    Parameters
    ----------
    turns
        Quarter turns, 0 to 3, anticlockwise for y upwards.
    mirror
        Whether y is reversed after the turns.
    """

    turns: int
    mirror: bool

    @property
    def signs(self) -> tuple[int, int]:
        """Signs by which the two components of a shear change."""
        first = (-1) ** self.turns
        return first, -first if self.mirror else first

    @property
    def inverse(self) -> "Symmetry":
        """What undoes it; a turn and a mirror together undo themselves."""
        return self if self.mirror else Symmetry(-self.turns % 4, False)

    def after(self, other: "Symmetry") -> "Symmetry":
        """Return the one that does `other` first and then this: a mirror reverses the turns that follow it."""
        turns = other.turns + (-self.turns if other.mirror else self.turns)
        return Symmetry(turns % 4, self.mirror != other.mirror)


SYMMETRIES = tuple(Symmetry(turns, mirror) for mirror in (False, True) for turns in range(4))
"""All eight, the identity first."""


def moved(symmetry: Symmetry, maps: Array) -> Array:
    """Return turned and mirrored maps of a scalar, such as the convergence.

    Parameters
    ----------
    symmetry
        Turn and mirror.
    maps
        Shape (..., y, x), of NumPy, CuPy or torch; quarter turns exchange the sides of a rectangle.
    """
    xp = namespace(maps)
    for _ in range(symmetry.turns):
        # What lay on the x axis comes to the y axis.
        maps = xp.flip(xp.matrix_transpose(maps), axis=-1)
    return xp.flip(maps, axis=-2) if symmetry.mirror else maps


def moved_shear_maps(symmetry: Symmetry, maps: ShearMaps) -> ShearMaps:
    """Return turned and mirrored fields, with the shear that their turned and mirrored mass would make."""
    parts = ShearMaps(*(moved(symmetry, part) for part in maps))
    first, second = symmetry.signs
    return parts._replace(g1=first * parts.g1, g2=second * parts.g2)


def symmetrised(function: Callable[[ShearMaps], Array], maps: ShearMaps) -> Array:
    """Return the mean of a method over the eight versions of fields, which turns with them to float rounding.

    Parameters
    ----------
    function
        From shear maps to maps of a scalar, shape (..., y, x) each.
    maps
        Measured shear.

    Returns
    -------
    Array
        Shape (..., y, x).
    """
    total = 0
    for symmetry in SYMMETRIES:
        total = total + moved(symmetry.inverse, function(moved_shear_maps(symmetry, maps)))
    return total / len(SYMMETRIES)
