"""Whether known clusters have peaks in a mass map more often than chance gives them.

A map of shear that was turned at random has peaks too, and near some cluster one of them lies. How many clusters such
maps "find" is what a real map is held against. Chance here is that of noise: what lies along the line of sight to a
cluster, and the mass between the clusters, is part of the real map alone.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps, cross_shear
from lensdask.maps.statistics.peaks import Peaks, find_peaks, highest_peaks_near
from lensdask.massmap.method import Method
from lensdask.massmap.noise_maps import rotated_maps
from lensdask.massmap.products import convergence_of

__all__ = ["Chance", "FieldMaps", "against_chance", "clusters_with_peaks", "map_with_noise"]

Float64 = npt.NDArray[np.float64]

_TOGETHER = 8
"""Turned fields that are held at once."""


class FieldMaps(NamedTuple):
    """The map of one field by one method, and maps of its noise."""

    kappa: Float64
    """E mode, shape (y, x)."""
    kappa_b: Float64
    """B mode: the map of the shear turned by 45 degrees, shape (y, x)."""
    nulls: Float64
    """Maps of the shear with every pixel turned by a random angle, shape (realisation, y, x)."""
    noise: Float64
    """Standard deviation of these at each pixel, shape (y, x)."""

    def over_noise(self, maps: Float64) -> Float64:
        """Return maps (..., y, x) of this field over the noise; 0 where there is none."""
        return np.divide(maps, self.noise, out=np.zeros(maps.shape), where=self.noise > 0)


class Chance(NamedTuple):
    """A number beside those that noise alone gives."""

    found: float
    """In the real map."""
    mean: float
    """Mean over maps of noise."""
    low: float
    """Their 16th percentile."""
    high: float
    """Their 84th percentile."""
    p_value: float
    """Share of all maps, the real one among them, with at least as many as the real one: never 0."""


def map_with_noise(
    maps: ShearMaps,
    method: Method,
    *,
    pixel_scale: float,
    realisations: int = 200,
    seed: int = 0,
    field: int = 0,
    device: str = "cpu",
) -> FieldMaps:
    """Return the map of one field, its B mode, and maps of its noise.

    Parameters
    ----------
    maps
        Shear, shape (1, y, x).
    method
        Which method; it takes as many inversions as there are realisations.
    pixel_scale
        Arcmin.
    realisations
        At least 2; R of them know the noise to 1 / sqrt(2 R), and no p-value below 1 / (R + 1).
    seed, field
        Of the random turns: the seed of the run, and the id of the field.
    device
        "cpu" or "cuda".

    Raises
    ------
    InputError
        There is more than one field, or fewer realisations than 2.
    """
    if len(maps.g1) != 1 or realisations < 2:
        raise InputError(f"{len(maps.g1)} fields, {realisations} realisations; expected one field, at least 2 turns")
    g1, g2 = cross_shear(maps.g1, maps.g2)
    both = _joined([maps, maps._replace(g1=g1, g2=g2)])
    kappa, kappa_b = _inverted(both, method, pixel_scale, device)
    groups = _turned(maps, realisations, seed, field)
    nulls = np.concatenate([_inverted(group, method, pixel_scale, device) for group in groups])
    return FieldMaps(kappa, kappa_b, nulls, nulls.std(axis=0, ddof=1))


def _inverted(maps: ShearMaps, method: Method, pixel_scale: float, device: str) -> Float64:
    return convergence_of(maps, method, pixel_scale=pixel_scale, device=device).astype(np.float64)


def _joined(parts: list[ShearMaps]) -> ShearMaps:
    return ShearMaps(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _turned(maps: ShearMaps, realisations: int, seed: int, field: int) -> Iterator[ShearMaps]:
    """Yield realisations of a field turned at random, a few at a time."""
    ids = np.array([field])
    for start in range(0, realisations, _TOGETHER):
        numbers = range(start, min(start + _TOGETHER, realisations))
        yield _joined([rotated_maps(maps, ids, seed=seed, realisation=number) for number in numbers])


def clusters_with_peaks(
    places: Peaks, found: FieldMaps, mask: npt.NDArray[Any], *, radius: float, threshold: float
) -> tuple[Float64, npt.NDArray[np.int64]]:
    """Return the peak beside each cluster, and how many clusters have one in maps of noise.

    Parameters
    ----------
    places
        Known clusters.
    found
        Maps of the field.
    mask
        Footprint, shape (y, x).
    radius
        Pixels within which a peak counts.
    threshold
        Signal to noise from which on it counts.

    Returns
    -------
    tuple
        Signal to noise of the highest peak within the radius, of whatever height, -inf where there is none, shape
        (clusters,); and the number of clusters with a peak above the threshold in each map of noise, shape
        (realisation,).
    """
    real = find_peaks(found.over_noise(found.kappa)[None], mask=mask)
    highest = highest_peaks_near(places._replace(field=np.zeros_like(places.field)), real, radius)
    noise = find_peaks(found.over_noise(found.nulls), threshold, mask)
    fields, clusters = len(found.nulls), len(places.field)
    everywhere = Peaks(np.repeat(np.arange(fields), clusters), *(np.tile(column, fields) for column in places[1:]))
    near = highest_peaks_near(everywhere, noise, radius) >= threshold
    return highest, near.reshape(fields, clusters).sum(axis=1)


def against_chance(found: float, nulls: npt.NDArray[Any]) -> Chance:
    """Return a number of the real map beside those of maps of noise, shape (realisation,)."""
    low, high = np.percentile(nulls, (16, 84))
    p_value = (1 + np.count_nonzero(nulls >= found)) / (1 + len(nulls))
    return Chance(float(found), float(nulls.mean()), float(low), float(high), p_value)
