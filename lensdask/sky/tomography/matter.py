"""The power of matter between redshifts 0 and 1.8: from the table that ships, or from the theory that made it.

The non-linear power is that of halofit (Takahashi et al. 2012) over CAMB's linear power::

    P(k, z) = P_lin(k) D(z)² exp(boost(k, z))

The table holds ln P_lin and the boost of each of its cosmologies. Any other needs the extra ``theory``.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lensdask.sky.cosmology import Cosmology, growth
from lensdask.sky.power import pyccl_cosmology
from lensdask.sky.tomography.cosmologies import is_tabulated
from lensdask.sky.tomography.tables import read_table

__all__ = ["MatterPower", "compute_matter_power", "matter_power"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MatterPower:
    """The matter power of one cosmology."""

    cosmology: Cosmology
    """Whose it is."""
    wave_number: Float64 = field(repr=False)
    """Comoving, 1 / Mpc, increasing, shape (k,)."""
    redshift: Float64 = field(repr=False)
    """Increasing from 0, shape (z,)."""
    linear: Float64 = field(repr=False)
    """Logarithm of the linear power today, Mpc³, shape (k,)."""
    boost: Float64 = field(repr=False)
    """Logarithm of the non-linear over the linear power, shape (z, k)."""

    def at(self, wave_number: npt.ArrayLike, redshift: npt.ArrayLike) -> Float64:
        """Return the non-linear power in Mpc³: cubic splines between the points, a power law beyond them in k.

        Parameters
        ----------
        wave_number, redshift
            Comoving, in 1 / Mpc, above 0, and from 0 to 1.8; they broadcast.
        """
        from scipy.interpolate import RectBivariateSpline

        logarithm = _grown(self.linear, self.redshift, self.cosmology) + self.boost
        x = np.log(self.wave_number)
        spline = RectBivariateSpline(self.redshift, x, logarithm)
        z, wanted = np.broadcast_arrays(np.asarray(redshift, dtype=np.float64), np.log(wave_number))
        inside = np.clip(wanted, x[0], x[-1])
        beyond = spline.ev(z, inside) + spline.ev(z, inside, dy=1) * (wanted - inside)
        return np.asarray(np.exp(beyond), dtype=np.float64)


def _grown(linear: Float64, redshift: Float64, cosmology: Cosmology) -> Float64:
    """Return the logarithm of the linear power at some redshifts from that of today, shape (z, k)."""
    return np.asarray(linear + 2 * np.log(growth(redshift, cosmology))[:, None])


@lru_cache(maxsize=4)
def matter_power(cosmology: Cosmology) -> MatterPower:
    """Return the matter power of a cosmology.

    Raises
    ------
    InputError
        The cosmology is not in the table, and pyccl is not installed.
    """
    table = read_table()
    if not is_tabulated(cosmology):
        return compute_matter_power(cosmology, table["wave_number"], table["redshift"])
    same = (table["omega_m"] == cosmology.omega_m) & (table["sigma8"] == cosmology.sigma8)
    row = int(np.flatnonzero(same)[0])
    linear, boost = (table[name][row].astype(np.float64) for name in ("linear", "boost"))
    return MatterPower(cosmology, table["wave_number"], table["redshift"], linear, boost)


def compute_matter_power(cosmology: Cosmology, wave_number: Float64, redshift: Float64) -> MatterPower:
    """Return the matter power of any flat ΛCDM cosmology; needs the extra ``theory``.

    Parameters
    ----------
    cosmology
        Its linear power comes from CAMB, through pyccl.
    wave_number, redshift
        As in `MatterPower`.

    Raises
    ------
    InputError
        pyccl is not installed.
    """
    theory = pyccl_cosmology(cosmology)
    linear = np.log(theory.linear_matter_power(wave_number, 1.0))
    halofit = np.log([theory.nonlin_matter_power(wave_number, 1 / (1 + z)) for z in redshift])
    boost = halofit - _grown(linear, redshift, cosmology)
    return MatterPower(cosmology, wave_number, redshift, linear, boost)
