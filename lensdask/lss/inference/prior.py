"""The prior: flat in a box and, for the cosmology, inside of the hull of the simulated cosmologies.

The cosmologies are simulated at points of the (Ω_m, σ₈) plane, and the paper's prior is flat in this plane (section IV
and Table I). Chains have S₈ = σ₈ √(Ω_m / 0.3) for a coordinate in the place of σ₈, so the same prior is not flat there:
its density in (Ω_m, S₈) is dσ₈/dS₈ = √(0.3 / Ω_m). Samples and densities here both obey this.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

from lensdask.errors import InputError
from lensdask.lss.parameters import find_parameters

__all__ = ["COSMOLOGY", "Prior", "hull_of", "make_prior", "sigma8_of"]

Float64 = npt.NDArray[np.float64]

COSMOLOGY = ("omega_m", "s8")
"""The parameters that the hull is about."""

_ROUNDING = 1e-6
"""Stores hold single precision, which may put a corner of the hull outside of it."""


def sigma8_of(omega_m: npt.ArrayLike, s8: npt.ArrayLike) -> Float64:
    """Return σ₈ = S₈ √(0.3 / Ω_m)."""
    return np.asarray(s8, dtype=np.float64) * np.sqrt(0.3 / np.asarray(omega_m, dtype=np.float64))


def hull_of(cosmologies: npt.ArrayLike) -> Float64:
    """Return the corners of the convex hull of simulated cosmologies.

    Parameters
    ----------
    cosmologies
        Pairs (Ω_m, σ₈), shape (cosmology, 2).

    Returns
    -------
    ndarray
        Shape (corner, 2), counter-clockwise.

    Raises
    ------
    InputError
        Fewer than three of them differ, or all lie on one line.
    """
    points = np.unique(np.asarray(cosmologies, dtype=np.float64), axis=0)
    try:
        return np.asarray(points[ConvexHull(points).vertices])
    except (QhullError, ValueError) as error:
        raise InputError(
            f"hull of the cosmologies: {len(points)} different ones on a line; "
            "expected three or more that span an area of the (omega_m, sigma8) plane"
        ) from error


@dataclass(frozen=True)
class Prior:
    """Flat in the box and, in (Ω_m, σ₈), inside of the hull; zero elsewhere. See `make_prior`."""

    names: tuple[str, ...]
    """Parameters, in the order of the last dimension."""
    low: Float64
    """Lower ends of the box, shape (parameter,)."""
    high: Float64
    """Upper ends of the box, shape (parameter,)."""
    hull: Float64 | None = None
    """Corners of the hull in (Ω_m, σ₈), shape (corner, 2); none where the cosmology is not sampled."""

    def contains(self, theta: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return whether parameters are inside.

        Parameters
        ----------
        theta
            Shape (..., parameter).

        Returns
        -------
        ndarray
            Shape (...).
        """
        values = np.asarray(theta, dtype=np.float64)
        margin = _ROUNDING * (self.high - self.low)
        inside = np.asarray(((values >= self.low - margin) & (values <= self.high + margin)).all(axis=-1))
        if self.hull is None:
            return inside
        edges = ConvexHull(self.hull).equations
        omega_m, s8 = (values[..., self.names.index(name)] for name in COSMOLOGY)
        # Outside of the box Ω_m may be negative.
        sigma8 = sigma8_of(np.where(inside, omega_m, 0.3), s8)
        # One edge after another: for millions of samples all of them at once would fill the memory.
        for across, along, offset in edges:
            inside &= across * omega_m + along * sigma8 + offset <= _ROUNDING
        return inside

    def log_density(self, theta: npt.ArrayLike) -> Float64:
        """Return the logarithm of the density in the coordinates of the chain, up to a constant; -inf outside.

        Parameters
        ----------
        theta
            Shape (..., parameter).
        """
        values, inside = np.asarray(theta, dtype=np.float64), self.contains(theta)
        if self.hull is None:
            return np.where(inside, 0.0, -np.inf)
        omega_m = values[..., self.names.index("omega_m")]
        return np.where(inside, -0.5 * np.log(np.where(inside, omega_m, 0.3) / 0.3), -np.inf)

    def sample(self, count: int, rng: np.random.Generator) -> Float64:
        """Draw parameters from the prior.

        Parameters
        ----------
        count
            How many.
        rng
            Random numbers.

        Returns
        -------
        ndarray
            Shape (count, parameter).

        Raises
        ------
        InputError
            Box and hull hardly overlap.
        """
        found, drawn = np.empty((0, len(self.names))), 0
        while len(found) < count:
            tried = rng.uniform(self.low, self.high, (2 * count + 100, len(self.names)))
            if self.hull is not None:
                plane = rng.uniform(self.hull.min(axis=0), self.hull.max(axis=0), (len(tried), 2))
                tried[:, self.names.index("omega_m")] = plane[:, 0]
                tried[:, self.names.index("s8")] = plane[:, 1] * np.sqrt(plane[:, 0] / 0.3)
            found, drawn = np.concatenate([found, tried[self.contains(tried)]]), drawn + len(tried)
            if len(found) < drawn / 1000:
                raise InputError("prior: less than 1/1000 of the hull is inside of the box; expected cosmologies in it")
        return found[:count]


def make_prior(
    names: tuple[str, ...],
    cosmologies: npt.ArrayLike | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> Prior:
    """Return the prior of parameters.

    Parameters
    ----------
    names
        Names of `lensdask.lss.parameters.PARAMETERS`.
    cosmologies
        Simulated pairs (Ω_m, σ₈), shape (cosmology, 2); needed if both Ω_m and S₈ are among the parameters.
    bounds
        Ends of the box by name where they are not those of Table I.

    Raises
    ------
    InputError
        A name is unknown, the cosmologies are missing or span no area, or a range is empty.
    """
    parameters = find_parameters(names)
    ends = {p.name: (p.low, p.high) for p in parameters} | dict(bounds or {})
    for name, (low, high) in ends.items():
        if name not in names or not low < high:
            raise InputError(f"prior of {name}: {low} to {high}; expected a range of one of {', '.join(names)}")
    hull = None
    if set(COSMOLOGY) <= set(names):
        hull = hull_of(np.empty((0, 2)) if cosmologies is None else cosmologies)
    low, high = np.array([ends[name] for name in names], dtype=np.float64).T
    return Prior(names, low, high, hull)
