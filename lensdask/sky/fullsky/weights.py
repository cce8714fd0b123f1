"""How much each shell of a light cone counts in each map, and whether shells are what their maps need.

A map is Σ q δ over the shells, with δ the contrast of a shell and q = ∫ W dχ between its ends: Born's approximation,
with the kernels of `lensdask.sky.tomography.kernels`.
"""

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError
from lensdask.sky.cosmology import Cosmology, comoving_distance
from lensdask.sky.fullsky.shells import Limits
from lensdask.sky.tomography.kernels import field_kernels
from lensdask.sky.tomography.redshifts import REDSHIFTS, RedshiftBins

__all__ = ["check_distances", "check_neighbours", "lost_weight", "shell_weights"]

Float64 = npt.NDArray[np.float64]

_FINE = 20
"""Steps of the integral between two of `REDSHIFTS`."""

_ROUNDING = 1e-4
"""Redshift by which the ends of neighbours may differ."""

_MOST_LOST = 0.01
"""Share of an integral that may lie outside of all shells."""

_DISTANCE = 0.01
"""Share by which distances may differ: those of simulations have radiation and massive neutrinos, up to 0.3 %."""


def shell_weights(limits: Limits, bins: RedshiftBins, cosmology: Cosmology) -> Float64:
    """Return q = ∫ W dχ of shells, those of kappa, kappa_ia and delta, shape (field, bin, shell).

    Parameters
    ----------
    limits
        The ends of the shells; what lies beyond redshift 1.75 has no weight.
    bins
        The galaxies.
    cosmology
        Only Ω_m and w matter.
    """
    z, integral = _integrals(bins, cosmology)
    near, far = (_at(z, integral, end) for end in (limits.near, limits.far))
    return far - near


def _integrals(bins: RedshiftBins, cosmology: Cosmology) -> tuple[Float64, Float64]:
    """Return redshifts, and ∫ W dχ from the observer to each, shape (field, bin, z)."""
    z = np.linspace(0.0, REDSHIFTS[-1], _FINE * (len(REDSHIFTS) - 1) + 1)
    kernels = field_kernels(z, bins, cosmology)
    steps = np.diff(comoving_distance(z, cosmology)) * (kernels[..., 1:] + kernels[..., :-1]) / 2
    return z, np.concatenate([np.zeros_like(steps[..., :1]), np.cumsum(steps, axis=-1)], axis=-1)


def _at(z: Float64, integral: Float64, wanted: Float64) -> Float64:
    found = [np.interp(wanted, z, one) for one in integral.reshape(-1, len(z))]
    return np.reshape(found, (*integral.shape[:-1], len(wanted)))


def lost_weight(limits: Limits, bins: RedshiftBins, cosmology: Cosmology, where: str) -> float:
    """Return the largest share of ∫ W dχ of a map that lies before the first or beyond the last shell.

    Parameters
    ----------
    limits, bins, cosmology
        As for `shell_weights`.
    where
        The shells, for the message.

    Raises
    ------
    InputError
        It is more than 1 %.
    """
    held = shell_weights(limits, bins, cosmology).sum(axis=-1)
    lost = 1 - held / _integrals(bins, cosmology)[1][..., -1]
    field, number = np.unravel_index(np.argmax(lost), lost.shape)
    most = float(lost[field, number])
    if most > _MOST_LOST:
        name = ("kappa", "kappa_ia", "delta")[int(field)]
        raise InputError(
            f"{where}: shells from redshift {limits.near.min():.4g} to {limits.far.max():.4g}, outside of which lies "
            f"{most:.1%} of the weight of {name} in bin {number + 1}; expected at most {_MOST_LOST:.0%}: more shells, "
            "or an n(z) of other galaxies"
        )
    return most


def check_neighbours(limits: Limits, where: str) -> None:
    """Refuse shells that overlap or leave a gap.

    Parameters
    ----------
    limits
        The ends of the shells, in any order.
    where
        The shells, for the message.

    Raises
    ------
    InputError
        They do, or redshifts are no numbers that increase from the near to the far end.
    """
    if not (np.isfinite([limits.near, limits.far]).all() and (limits.near >= 0).all()):
        raise InputError(f"{where}: redshifts of shells; expected finite numbers, zero or more")
    order = np.argsort(limits.near, kind="stable")
    near, far = limits.near[order], limits.far[order]
    for least, most in zip(near.tolist(), far.tolist(), strict=True):
        if least >= most:
            raise InputError(f"{where}: a shell from redshift {least:g} to {most:g}; expected the near end first")
    expected = "expected each to begin where the one before ends"
    for end, begin in zip(far[:-1].tolist(), near[1:].tolist(), strict=True):
        if begin > end + _ROUNDING:
            raise InputError(f"{where}: no shell between redshifts {end:.6g} and {begin:.6g}; {expected}")
        if begin < end - _ROUNDING:
            raise InputError(
                f"{where}: a shell begins at redshift {begin:.6g}, the one before ends at {end:.6g}; {expected}"
            )


def check_distances(limits: Limits, cosmology: Cosmology, where: str) -> None:
    """Refuse shells whose distances are not those of the cosmology that they are said to be of.

    Parameters
    ----------
    limits
        The ends of the shells.
    cosmology
        Whose Ω_m and w set distances in Mpc / h.
    where
        The shells, for the message.

    Raises
    ------
    InputError
        One differs by more than 1 %.
    """
    if limits.reach is None:
        return
    expected = comoving_distance(limits.far, cosmology) * cosmology.h
    worst = int(np.argmax(np.abs(limits.reach / expected - 1)))
    if not abs(limits.reach[worst] / expected[worst] - 1) <= _DISTANCE:
        raise InputError(
            f"{where}: redshift {limits.far[worst]:.4g} at {limits.reach[worst]:.5g} Mpc / h; expected "
            f"{expected[worst]:.5g}, that of omega_m {cosmology.omega_m}, w {cosmology.w}"
        )
