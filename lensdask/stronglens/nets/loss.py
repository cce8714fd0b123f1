"""What networks are trained for: the class of a lens, or the mass of the axion whose vortex it has.

Outputs of a network for the task "classify" are three logits, those of no substructure, CDM and a vortex. For "mass"
they are the mean and the logarithm of the variance of a normal distribution of log10 m, in units in which the prior,
log10 (m / eV) from -24 to -22, goes from -1 to 1. A target of 1e-23 itself is 0 to float32: networks see the logarithm.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lensdask.training import Batch, Check, Objective

__all__ = ["CLASSES", "LOG10_MASS", "OUTPUTS", "Task", "check", "from_units", "mass_of", "objective", "units_of"]

Task = Literal["classify", "mass"]
"""What a network is for."""

CLASSES = ("none", "cdm", "vortex")
"""Substructures, in the order of the labels 0, 1, 2."""

LOG10_MASS = (-24.0, -22.0)
"""Prior of log10 (m / eV), uniform."""

OUTPUTS: dict[Task, int] = {"classify": len(CLASSES), "mass": 2}
"""Numbers that a network gives, by task."""

_MIDDLE, _HALF = sum(LOG10_MASS) / 2, (LOG10_MASS[1] - LOG10_MASS[0]) / 2

_LEAST_LOG_VARIANCE = -14.0
"""Of the mass: an error of 0.001 of the half prior, below all that images can tell."""


def units_of(log10_mass: Any) -> Any:
    """Return masses in the units of the networks; an array or tensor of any shape."""
    return (log10_mass - _MIDDLE) / _HALF


def from_units(units: Any) -> Any:
    """Return log10 (m / eV) of masses in the units of the networks; an array or tensor of any shape."""
    return _MIDDLE + _HALF * units


def mass_of(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return what outputs say of the mass.

    Parameters
    ----------
    outputs
        Of a network for the task "mass", shape (lens, 2).

    Returns
    -------
    mean, error
        Of log10 (m / eV), dex, shape (lens,) each.
    """
    mean, log_variance = _mean_and_log_variance(outputs)
    return from_units(mean), _HALF * (log_variance / 2).exp()


def objective(task: Task) -> Objective:
    """Return the loss of a task, for batches of images and labels.

    For "classify" that is the cross entropy with the labels 0, 1, 2; for "mass", with labels in the units of the
    networks, the negative logarithm of the normal distribution ::

        L = ((μ - θ)² / σ² + ln σ²) / 2
    """
    loss = _loss(task)

    def mean_loss(model: nn.Module, batch: Batch) -> Tensor:
        # In full precision, whatever the convolutions are in.
        value: Tensor = loss(model(batch[0]).float(), batch[1])
        return value

    return mean_loss


def check(task: Task) -> Check:
    """Return loss and score of a task, for validation batches.

    The score is the accuracy for "classify", and the mean absolute error of log10 m in dex for "mass".
    """
    loss, score = _loss(task), _accuracy if task == "classify" else _absolute_error

    def means(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        outputs = model(batch[0]).float()
        return loss(outputs, batch[1]), score(outputs, batch[1])

    return means


def _loss(task: Task) -> Callable[[Tensor, Tensor], Tensor]:
    return nn.functional.cross_entropy if task == "classify" else _mass_loss


def _accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs.argmax(1) == labels).float().mean()


def _absolute_error(outputs: Tensor, units: Tensor) -> Tensor:
    return _HALF * (_mean_and_log_variance(outputs)[0] - units).abs().mean()


def _mass_loss(outputs: Tensor, units: Tensor) -> Tensor:
    mean, log_variance = _mean_and_log_variance(outputs)
    return ((mean - units).square() * torch.exp(-log_variance) + log_variance).mean() / 2


def _mean_and_log_variance(outputs: Tensor) -> tuple[Tensor, Tensor]:
    mean, log_variance = outputs.unbind(1)
    return mean, log_variance.clamp(min=_LEAST_LOG_VARIANCE)
