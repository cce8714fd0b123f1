"""The parameters of the model, their priors and fiducial values: Table I of Kacprzak & Fluri 2022.

Simulations are labelled by Ω_m and σ₈; networks and likelihoods work with S₈ = σ₈ √(Ω_m / 0.3) in the place of σ₈,
which lensing measures nearly by itself. Ω_m and σ₈ are held inside of the hull of the simulated cosmologies as well.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError

__all__ = [
    "BINS",
    "FIELDS",
    "LINEAR",
    "NON_LINEAR",
    "PARAMETERS",
    "PROBES",
    "Parameter",
    "find_parameters",
    "s8",
]

FIELDS = ("kappa", "kappa_ia", "delta")
"""The noise-free maps of a tile: convergence, that of intrinsic alignment at A_IA = 1, and matter density contrast."""

BINS = 4
"""Redshift bins."""

PROBES = {"lensing": BINS, "clustering": BINS, "combined": 2 * BINS}
"""What is observed, and its number of maps: convergence, galaxy counts, or both in this order."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of the model."""

    name: str
    """Name in stores, chains and messages."""
    label: str
    """TeX, without dollar signs."""
    low: float
    """Least value of the flat prior."""
    high: float
    """Largest value of the flat prior."""
    fiducial: float
    """Value of the mock survey."""


def s8(omega_m: npt.ArrayLike, sigma8: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return S₈ = σ₈ √(Ω_m / 0.3)."""
    return np.asarray(sigma8, dtype=np.float64) * np.sqrt(np.asarray(omega_m, dtype=np.float64) / 0.3)


PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        Parameter("omega_m", r"\Omega_m", 0.15, 0.45, 0.2915),
        Parameter("s8", "S_8", 0.55, 1.05, float(s8(0.2915, 0.7835))),
        Parameter("a_ia", r"A_\mathrm{IA}", -6.0, 6.0, 0.5),
        Parameter("b_g", "b_g", 0.5, 2.5, 1.5),
        Parameter("r_g", "r_g", 0.4, 1.0, 0.7),
        Parameter("eta_ia", r"\eta_\mathrm{IA}", -4.0, 6.0, 1.6),
        Parameter("eta_b", r"\eta_b", -3.0, 3.0, 0.5),
        Parameter("b_g2", "b_{g,2}", -3.0, 1.0, 0.5),
        Parameter("eta_b2", r"\eta_{b,2}", -2.0, 2.0, 0.0),
    )
}
"""All parameters by name. The fiducial Ω_m and σ₈ are those of the released configuration, (0.2915, 0.7835)."""

LINEAR = tuple(PARAMETERS)[:7]
"""Parameters of the model with linear bias."""

NON_LINEAR = tuple(PARAMETERS)
"""Parameters of the model with non-linear bias."""


def find_parameters(names: tuple[str, ...]) -> tuple[Parameter, ...]:
    """Return parameters by name.

    Raises
    ------
    InputError
        There is none of a name.
    """
    for name in names:
        if name not in PARAMETERS:
            raise InputError(f"parameter: {name!r}; expected one of {', '.join(PARAMETERS)}")
    return tuple(PARAMETERS[name] for name in names)
