"""Clusters in mass maps: peaks, their partners in another map, and the mass within a radius of them.

Section 3.4 of Cha et al. 2025: clusters are the local maxima of a map, a cluster of the truth is found if the
reconstruction has a maximum within 6 pixels, and its mass is what the map holds within 1 Mpc of it. A map of noise has
maxima everywhere, and some lie near a cluster by chance: give completeness together with the share of clusters that the
peaks of *other* fields would have found (`shuffled`), or with a threshold.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.maps.statistics.metrics import Float64, Maps, binned_sums, footprint
from lensdask.sky.cosmology import CHA, Cosmology, angular_diameter_distance
from lensdask.sky.sources import Source, lensing_strength
from lensdask.stats import local_maxima

__all__ = [
    "MATCH_RADIUS",
    "Peaks",
    "completeness_sums",
    "find_peaks",
    "heights_near",
    "highest_peaks_near",
    "match_peaks",
    "peaks_of_haloes",
    "projected_masses",
    "shuffled",
]

Int64 = npt.NDArray[np.int64]

MATCH_RADIUS = 6.0
"""Pixels within which two peaks are one cluster (Cha et al. 2025: 2.4 arcmin)."""

_LEAST_SHARE = 0.5


class Peaks(NamedTuple):
    """Places in maps, one row each."""

    field: Int64
    """Number of the map."""
    y: Float64
    """Row of the map, from 0; pixel centres are whole numbers."""
    x: Float64
    """Column of the map."""
    height: Float64
    """κ there; the mass of haloes."""

    def select(self, rows: npt.NDArray[Any]) -> "Peaks":
        """Return some of the places, by their rows or by a boolean for each."""
        return Peaks(*(column[rows] for column in self))


def find_peaks(maps: Maps, threshold: float = -np.inf, mask: Maps | None = None) -> Peaks:
    """Return the local maxima of maps above a threshold, map after map, the highest of each map first.

    Parameters
    ----------
    maps
        Shape (field, y, x), of κ or of signal to noise.
    threshold
        Least height.
    mask
        Footprint; everything when none. A pixel next to a hole may be a maximum of what is left; one on the border of
        the map is none, see `lensdask.stats.local_maxima`.

    Raises
    ------
    InputError
        The maps and the mask do not belong together, see `footprint`.
    """
    inside = footprint(maps, mask=mask)
    rows = []
    for field, (one, here) in enumerate(zip(maps, inside, strict=True)):
        y, x, height = local_maxima(np.where(here, one, -np.inf))
        # They come with the highest first.
        used = np.flatnonzero((height >= threshold) & here[y, x])
        rows.append((np.full(len(used), field), y[used], x[used], height[used]))
    field_number, y, x, height = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Peaks(field_number.astype(np.int64), *(v.astype(np.float64) for v in (y, x, height)))


def peaks_of_haloes(
    mass: Float64, x: Float64, y: Float64, *, shape: tuple[int, int], pixel_scale: float, threshold: float = 0.0
) -> tuple[Peaks, npt.NDArray[np.bool_]]:
    """Return the haloes of fields as places in their maps.

    Parameters
    ----------
    mass
        Shape (field, halo), in Msun; NaN where a field has fewer haloes.
    x, y
        Place from the centre of the field, arcmin, shape (field, halo).
    shape
        Pixels of the maps (y, x).
    pixel_scale
        Arcmin.
    threshold
        Least mass, Msun.

    Returns
    -------
    tuple
        The haloes that lie in the map, and which of those given they are, boolean of the shape (field, halo): other
        columns of the haloes are taken with it.
    """
    row = y / pixel_scale + (shape[0] - 1) / 2
    column = x / pixel_scale + (shape[1] - 1) / 2
    with np.errstate(invalid="ignore"):
        used = (mass >= threshold) & (row >= -0.5) & (row < shape[0] - 0.5)
        used &= (column >= -0.5) & (column < shape[1] - 0.5)
    return Peaks(np.nonzero(used)[0].astype(np.int64), row[used], column[used], mass[used]), used


def match_peaks(truth: Peaks, found: Peaks, radius: float = MATCH_RADIUS) -> Int64:
    """Return the partner of each true peak among the peaks found in the same map.

    Partners are one to one: of all pairs within the radius the closest is taken first, then the closest of those left.

    Parameters
    ----------
    truth, found
        Places in the same maps.
    radius
        Largest distance, pixels.

    Returns
    -------
    ndarray
        Rows of ``found``, -1 for those without a partner, shape (true peaks,).
    """
    partner = np.full(len(truth.field), -1, dtype=np.int64)
    for field in np.intersect1d(truth.field, found.field):
        mine, theirs = np.flatnonzero(truth.field == field), np.flatnonzero(found.field == field)
        distance = np.hypot(truth.y[mine, None] - found.y[theirs], truth.x[mine, None] - found.x[theirs])
        i, j = np.nonzero(distance <= radius)
        free = np.ones(len(theirs), dtype=bool)
        for pair in np.argsort(distance[i, j], kind="stable"):
            if partner[mine[i[pair]]] < 0 and free[j[pair]]:
                partner[mine[i[pair]]] = theirs[j[pair]]
                free[j[pair]] = False
    return partner


def shuffled(peaks: Peaks, fields: int, by: int = 1) -> Peaks:
    """Return peaks moved to another field: their matches with the truth are chance.

    Parameters
    ----------
    peaks
        As found.
    fields
        Number of maps, at least 2.
    by
        How many fields on, not a multiple of their number.

    Raises
    ------
    InputError
        The peaks would stay where they are.
    """
    if by % fields == 0:
        raise InputError(f"peaks of {fields} fields moved by {by}; expected another field, at least two of them")
    return peaks._replace(field=(peaks.field + by) % fields)


def heights_near(peaks: Peaks, maps: Maps, radius: float, mask: Maps | None = None) -> Float64:
    """Return the highest value of other maps within a radius of each peak: what a method makes of its height.

    The highest of many noisy pixels is high: with a radius of 0 it is the value at the peak itself, which noise does
    not raise and a displaced peak lowers.

    Parameters
    ----------
    peaks
        Places.
    maps
        Shape (field, y, x).
    radius
        Pixels.
    mask
        Footprint; everything when none.

    Returns
    -------
    ndarray
        Shape (peaks,); NaN where no pixel within the radius lies inside the mask.

    Raises
    ------
    InputError
        See `footprint`.
    """
    inside = footprint(maps, mask=mask)
    heights = np.full(len(peaks.field), np.nan)
    for row, (field, y, x) in enumerate(zip(peaks.field, np.rint(peaks.y), np.rint(peaks.x), strict=True)):
        values = _values_in_disc(maps[field], inside[field], y, x, radius)
        if values.size:
            heights[row] = values.max()
    return heights


def highest_peaks_near(places: Peaks, peaks: Peaks, radius: float) -> Float64:
    """Return the height of the highest peak within a radius of each place, -inf where there is none.

    Partners are not one to one as in `match_peaks`: a peak between two places counts for both.

    Parameters
    ----------
    places, peaks
        In the same maps.
    radius
        Pixels.
    """
    highest = np.full(len(places.field), -np.inf)
    for field in np.unique(places.field):
        mine, theirs = np.flatnonzero(places.field == field), peaks.select(peaks.field == field)
        distance = np.hypot(places.y[mine, None] - theirs.y, places.x[mine, None] - theirs.x)
        highest[mine] = np.where(distance <= radius, theirs.height, -np.inf).max(axis=1, initial=-np.inf)
    return highest


def projected_masses(
    maps: Maps,
    peaks: Peaks,
    *,
    pixel_scale: float,
    lens_redshift: npt.ArrayLike,
    source: Source,
    radius: float = 1.0,
    cosmology: Cosmology = CHA,
    mask: Maps | None = None,
) -> Float64:
    """Return the projected mass within a physical radius of each peak.

    M = Σ_c <κ> π R² with Σ_c = c² D_s / (4π G D_d D_ds) (equation 3 of Cha et al. 2025; 1 / Σ_c is averaged over the
    sources) and the mean of κ over the pixels within R that lie inside the mask and the map. It is the mass above the
    mean of the map, along the whole line of sight, as if all of it lay at the redshift of the lens.

    Parameters
    ----------
    maps
        Convergence, shape (field, y, x).
    peaks
        Centres.
    pixel_scale
        Arcmin.
    lens_redshift
        Of each peak, shape (peaks,), or one for all.
    source
        Redshifts of the sources that the maps are of.
    radius
        R, physical Mpc.
    cosmology
        Of the distances.
    mask
        Footprint; everything when none.

    Returns
    -------
    ndarray
        Msun, shape (peaks,); NaN where less than half of the circle is inside.

    Raises
    ------
    InputError
        See `footprint`; or a lens has no source behind it.
    """
    inside = footprint(maps, mask=mask)
    redshifts, which = np.unique(np.broadcast_to(lens_redshift, peaks.y.shape), return_inverse=True)
    pixels = np.array([_pixels_of(radius, z, pixel_scale, cosmology) for z in redshifts])
    strength = lensing_strength(redshifts, source, cosmology)
    if (strength <= 0).any():
        z = redshifts[strength <= 0][0]
        raise InputError(f"lens at redshift {z:g}: no source lies behind it; expected lenses in front of sources")
    mass_of_unit = np.pi * radius**2 / strength
    masses = np.full(len(peaks.field), np.nan)
    for row, (field, y, x, z) in enumerate(zip(peaks.field, peaks.y, peaks.x, which, strict=True)):
        values = _values_in_disc(maps[field], inside[field], y, x, pixels[z])
        if len(values) >= _LEAST_SHARE * np.pi * pixels[z] ** 2:
            masses[row] = mass_of_unit[z] * values.mean(dtype=np.float64)
    return masses


def _pixels_of(radius: float, redshift: float, pixel_scale: float, cosmology: Cosmology) -> float:
    """Return the pixels that a physical length in Mpc covers at a redshift."""
    return float(radius / angular_diameter_distance(redshift, cosmology) / (ARCMIN * pixel_scale))


def _values_in_disc(one: Maps, inside: npt.NDArray[np.bool_], y: float, x: float, radius: float) -> npt.NDArray[Any]:
    """Return the pixels of a map, shape (y, x), whose centres lie within a radius in pixels of a place."""
    low_y, low_x = (max(0, int(np.ceil(c - radius))) for c in (y, x))
    high_y, high_x = (max(0, int(np.floor(c + radius)) + 1) for c in (y, x))
    part, here = one[low_y:high_y, low_x:high_x], inside[low_y:high_y, low_x:high_x]
    rows, columns = np.ogrid[low_y : low_y + part.shape[0], low_x : low_x + part.shape[1]]
    return part[here & ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)]


def completeness_sums(truth: Peaks, partner: Int64, masses: Float64, edges: Float64, fields: int) -> Float64:
    """Return found and all clusters in bins of mass, map by map.

    `pooled` with `ratios` makes the completeness of all maps and its error; `percentiles_over_maps` of the `ratios` its
    16th and 84th percentiles over fields, as in Figure 7 of Cha et al. 2025. With the roles of truth and found
    exchanged it is the purity.

    Parameters
    ----------
    truth, partner
        True clusters, and their partners from `match_peaks`.
    masses
        Of the true clusters, shape (true peaks,); NaN in no bin.
    edges
        Edges of the bins of mass.
    fields
        Number of maps.

    Returns
    -------
    ndarray
        Number found in each bin, then number of clusters, shape (fields, 2 bins).
    """
    return binned_sums(masses, (partner >= 0).astype(np.float64), edges, field=truth.field, fields=fields)
