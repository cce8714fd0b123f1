"""The galaxies whose light is lensed: named distributions of their redshifts.

A distribution is a histogram: redshifts, and the share of the galaxies at each. All that lensing needs of it are means
over the galaxies of what a single source plane gives.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError
from lensdask.sky.cosmology import MASSIVENUS, Cosmology, inverse_critical_density

__all__ = ["SOURCES", "Source", "find_source", "lensing_strength", "source_plane"]

Float64 = npt.NDArray[np.float64]


class Source(NamedTuple):
    """Redshifts of the lensed galaxies."""

    redshift: Float64
    """Shape (bin,), increasing."""
    share: Float64
    """Share of the galaxies at each, of sum 1."""


def source_plane(redshift: float) -> Source:
    """Return sources that are all at one redshift."""
    return Source(np.array([redshift]), np.array([1.0]))


def _smail(z0: float, power: float, end: float) -> Source:
    """Return n(z) ∝ z² exp(-(z / z0)^power) in bins of 0.02 (Smail et al. 1995)."""
    redshift = np.arange(0.01, end, 0.02)
    share = redshift**2 * np.exp(-((redshift / z0) ** power))
    return Source(redshift, share / share.sum())


SOURCES = {
    "zs1.0": source_plane(1.0),
    "zs1.5": source_plane(1.5),
    "zs2.5": source_plane(2.5),
    # The year-10 source sample of the LSST DESC requirements (Mandelbaum et al. 2018, appendix D): median 0.87.
    "lsst": _smail(0.11, 0.68, 4.0),
    # Median 1.412 z0 = 1.2, that of the galaxies of Schrabback et al. 2010.
    "cosmos": _smail(0.85, 1.5, 4.0),
}
"""The distributions that have a table of power: planes of sources at one redshift, and two surveys."""


def find_source(name: str) -> Source:
    """Return a distribution by name.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if name not in SOURCES:
        raise InputError(f"source: {name!r}; expected one of {', '.join(SOURCES)}")
    return SOURCES[name]


def lensing_strength(z_lens: npt.ArrayLike, source: Source, cosmology: Cosmology = MASSIVENUS) -> Float64:
    """Return ⟨1 / Σc⟩ over the galaxies, those before the lens counting with 0, in Mpc² / Msun.

    A surface density in Msun / Mpc² times it is the convergence that the galaxies show.
    """
    lens = np.asarray(z_lens, dtype=np.float64)
    return inverse_critical_density(lens[..., None], source.redshift, cosmology) @ source.share
