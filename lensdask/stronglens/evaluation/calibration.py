"""Calibration on lenses that a network has not learned from: of its logits, or of its errors.

Networks are surer than they should be, which the temperature T of the probabilities softmax(z / T + b) mends (Guo et
al. 2017), or the factor s of the errors of masses. The weights of one epoch also favour some class, and those of the
next one another: the offsets b mend that.
"""

from typing import Any, cast

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from lensdask.stronglens.evaluation.metrics import accuracy, fit_calibration, mean_nll
from lensdask.stronglens.nets.architectures import Network, network_outputs
from lensdask.stronglens.nets.loss import Task, from_units, mass_of
from lensdask.stronglens.nets.trainingset import LensSet

__all__ = ["calibration"]


def calibration(network: nn.Module, task: Task, lenses: LensSet, device: str) -> dict[str, Any]:
    """Return what validation lenses say of a network, for its card.

    Parameters
    ----------
    network
        Trained, on the device.
    task
        What it is for.
    lenses
        Lenses of the task that chose the weights, but did not train them.
    device
        "cpu" or "cuda".

    Returns
    -------
    dict
        ``validation``, how good the network is there once it is calibrated, with the number of lenses. For "classify"
        ``temperature`` T and ``offsets`` b, with the accuracy and the mean -ln p of the true class, nats: where every
        lens is right, the likelihood has no maximum, T is 1 and b 0. For "mass" ``error_scale`` s, the root mean square
        of (predicted - true) / error, with the root mean square error, dex.
    """
    outputs = network_outputs(cast(Network, network), lenses.maps, device=device).astype(np.float64)
    if task == "classify":
        return _of_classes(outputs, lenses)
    mean, error = (part.numpy() for part in mass_of(torch.from_numpy(outputs)))
    residual = mean - from_units(lenses.units.astype(np.float64))
    scale, rmse = (float(np.sqrt(np.mean(part**2))) for part in (residual / error, residual))
    return {"error_scale": scale, "validation": {"rmse": rmse, "lenses": len(lenses)}}


def _of_classes(logits: Any, lenses: LensSet) -> dict[str, Any]:
    temperature, offsets = 1.0, np.zeros(logits.shape[1])
    if accuracy(logits, lenses.labels) < 1:
        temperature, offsets = fit_calibration(logits, lenses.labels)
    probability = softmax(logits / temperature + offsets, axis=1)
    share, nll = accuracy(probability, lenses.labels), mean_nll(probability, lenses.labels)
    return {
        "temperature": temperature,
        "offsets": offsets.tolist(),
        "validation": {"accuracy": share, "nll": nll, "lenses": len(lenses)},
    }
