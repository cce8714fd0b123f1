"""The units of the networks: parameters less the middle of their prior, over half its width, from -1 to 1."""

import numpy as np
import numpy.typing as npt

from lensdask.lss.parameters import Parameter

__all__ = ["from_units", "to_units"]


def _middle_and_half(prior: tuple[Parameter, ...]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    low, high = (np.array([getattr(parameter, end) for parameter in prior]) for end in ("low", "high"))
    return (low + high) / 2, (high - low) / 2


def to_units(theta: npt.NDArray[np.float64], prior: tuple[Parameter, ...]) -> npt.NDArray[np.float64]:
    """Return parameters, shape (sample, parameter), in the units of the networks."""
    middle, half = _middle_and_half(prior)
    return (theta - middle) / half


def from_units(values: npt.NDArray[np.float64], prior: tuple[Parameter, ...]) -> npt.NDArray[np.float64]:
    """Return parameters, shape (sample, parameter), of values in the units of the networks."""
    middle, half = _middle_and_half(prior)
    return middle + half * values
