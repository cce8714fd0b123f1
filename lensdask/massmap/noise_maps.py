"""What a mass map is worth: its noise from the data themselves, and the density of the galaxies behind it.

Turning the shear of every galaxy by a random angle of its own destroys what lensing did and keeps all else: the
dispersion of the ellipticities, their number, the mask. Maps that a method makes of such shears are maps of its noise,
and their standard deviation at each pixel, with the same mask and the same unevenness, is what a peak has to exceed.
That takes as many inversions as realisations; R of them know the noise to 1 / sqrt(2 R).
"""

from collections.abc import Callable

import numpy as np

from lensdask.arrays import Array, like, namespace, to_numpy
from lensdask.errors import InputError, check_number
from lensdask.maps.fields import ShearMaps, checked_pixel_scale
from lensdask.random import Stream, generator

__all__ = ["effective_density", "noise_map", "random_rotation", "rotated_maps", "significance"]

_REALISATIONS = 2**20
"""Realisations that a field can have; ids of fields go up to 2^43."""


def random_rotation(g1: Array, g2: Array, *, seed: int, realisation: int, field: int = 0) -> tuple[Array, Array]:
    """Return shears each turned by a random angle: of the galaxies of a catalogue, or of the pixels of one field.

    The mean of a pixel is noise but for a part in hundreds, so turning it does what turning its galaxies does.

    Parameters
    ----------
    g1, g2
        Any shape.
    seed
        Seed of the run.
    realisation
        Number of the realisation, below 2^20.
    field
        Id of the field. Two fields, and two realisations, turn by different angles.

    Raises
    ------
    InputError
        The number of the realisation is out of range.
    """
    if not 0 <= realisation < _REALISATIONS:
        raise InputError(f"realisation: {realisation}; expected 0 to {_REALISATIONS - 1}")
    random = generator(seed, Stream.SHUFFLE, field * _REALISATIONS + realisation)
    angle = random.uniform(0.0, 2 * np.pi, tuple(g1.shape))
    cosine, sine = like(np.cos(angle), g1), like(np.sin(angle), g1)
    return g1 * cosine - g2 * sine, g2 * cosine + g1 * sine


def rotated_maps(maps: ShearMaps, ids: Array, *, seed: int, realisation: int) -> ShearMaps:
    """Return maps of some fields with the shear of every pixel turned by a random angle; ids has shape (field,)."""
    xp = namespace(maps.g1)
    turned = [
        random_rotation(maps.g1[i, ...], maps.g2[i, ...], seed=seed, realisation=realisation, field=int(number))
        for i, number in enumerate(to_numpy(ids))
    ]
    g1, g2 = (xp.stack(list(arrays)) for arrays in zip(*turned, strict=True))
    return maps._replace(g1=g1, g2=g2)


def noise_map(
    method: Callable[[ShearMaps], Array], maps: ShearMaps, ids: Array, *, seed: int, realisations: int = 100
) -> Array:
    """Return the standard deviation of a method's map over realisations of its noise, shape (field, y, x).

    Parameters
    ----------
    method
        Makes convergence maps (field, y, x) of shear maps, each field by itself.
    maps
        The shear.
    ids
        Ids of the fields, shape (field,).
    seed
        Seed of the angles.
    realisations
        At least 2.

    Raises
    ------
    InputError
        There are fewer realisations than 2.
    """
    check_number("realisations", realisations, least=2, whole=True)
    first = method(rotated_maps(maps, ids, seed=seed, realisation=0))
    total, square = 0 * first, 0 * first
    for number in range(1, realisations):
        # About the first one, so that a constant offset of a network does not cost precision.
        departure = method(rotated_maps(maps, ids, seed=seed, realisation=number)) - first
        total, square = total + departure, square + departure**2
    variance = (square - total**2 / realisations) / (realisations - 1)
    xp = namespace(variance)
    return xp.sqrt(xp.clip(variance, min=0.0))


def significance(
    method: Callable[[ShearMaps], Array], maps: ShearMaps, ids: Array, *, seed: int, realisations: int = 100
) -> Array:
    """Return a method's map over its noise (see `noise_map`), shape (field, y, x); 0 where it has no noise."""
    noise = noise_map(method, maps, ids, seed=seed, realisations=realisations)
    xp = namespace(noise)
    return xp.where(noise > 0, method(maps), xp.zeros_like(noise)) / xp.where(noise > 0, noise, xp.ones_like(noise))


def effective_density(weight: Array, *, sigma_e: float, pixel_scale: float) -> Array:
    """Return the effective number of galaxies per arcmin² in each pixel.

    With weights v of galaxies it is sum(v)² / (A sum(v²)) (Heymans et al. 2012, MNRAS 427, 146, eq. 1): the density of
    equally good galaxies that would give the same noise. The variance of the mean of a pixel being sigma_e² sum(v²) /
    sum(v)², it is sigma_e² / A times the inverse variance, whose averages over larger areas are the densities of
    those.

    Parameters
    ----------
    weight
        Inverse variance of each component in each pixel, any shape.
    sigma_e
        Dispersion of each component of the ellipticity.
    pixel_scale
        Arcmin.
    """
    pixel_scale = checked_pixel_scale(pixel_scale)
    return weight * (sigma_e / pixel_scale) ** 2
