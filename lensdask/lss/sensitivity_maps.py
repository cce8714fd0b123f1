"""Sensitivity maps: by how much each pixel moves a summary, ∂θ / ∂m, section VI of Kacprzak & Fluri 2022.

The pixels are those of the noisy maps before they are smoothed, scaled as the network sees them. Where the sensitivity
is large the network looks; a value of 0 is a pixel that it ignores.
"""

from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from lensdask.arrays import to_numpy, to_torch
from lensdask.compute import cached_model
from lensdask.lss.compressor import Compressor
from lensdask.lss.forward.observation import noisy_maps, smoothed
from lensdask.lss.forward.samples import Samples
from lensdask.lss.networks.architectures import build_network
from lensdask.lss.networks.trainingset import network_inputs
from lensdask.lss.networks.units import from_units
from lensdask.lss.tiles import Split

__all__ = ["Sensitivity", "compressed", "sensitivity"]

Float32 = npt.NDArray[np.float32]


class Sensitivity(NamedTuple):
    """Maps, and how the summaries follow them.

    Parameters
    ----------
    maps
        Noisy maps before smoothing, shape (sample, channel, tile, y, x): convergence, then counts.
    summary
        Shape (sample, parameter).
    gradient
        ∂θ / ∂m, shape (sample, parameter, channel, tile, y, x).
    """

    maps: Float32
    summary: Float32
    gradient: Float32


def compressed(compressor: Compressor, split: Split, maps: torch.Tensor) -> torch.Tensor:
    """Return the summaries of noisy maps, in the units of the parameters; torch can differentiate it.

    Parameters
    ----------
    compressor
        The network.
    split
        Tiles that the maps are of; their redshifts decide the smoothing.
    maps
        Before smoothing, shape (sample, channel, tile, y, x), of single or double precision.

    Returns
    -------
    Tensor
        Shape (sample, parameter).
    """
    model = compressor.model
    # A copy: the network that the process keeps stays in single precision.
    network: Any = deepcopy(cached_model(build_network, compressor.path, compressor.sha256, maps.device.type))
    network.to(maps.dtype)
    inputs = network_inputs(network.config.inputs, smoothed(maps, model, split.redshifts), model, compressor.cross)
    values: torch.Tensor = network(*inputs)[:, : len(model.parameters)]
    zero, one = (from_units(np.full((1, values.shape[1]), end), model.prior) for end in (0.0, 1.0))
    middle, half = (torch.from_numpy(part).to(values) for part in (zero, one - zero))
    return middle + half * values


def sensitivity(
    compressor: Compressor, split: Split, samples: Samples, seed: int = 0, device: str = "cpu"
) -> Sensitivity:
    """Return the sensitivity maps of samples.

    Parameters
    ----------
    compressor
        The network.
    split
        The tiles.
    samples
        Which of them, and with which parameters.
    seed
        Seed of the forward model.
    device
        "cpu" or "cuda".
    """
    tiles = to_torch(split.take(samples), device)
    maps = noisy_maps(tiles, samples, compressor.model, split.redshifts, seed).maps.requires_grad_(True)
    summary = compressed(compressor, split, maps)
    # Samples do not see each other, so that the sum over them has the gradient of each.
    gradients = [torch.autograd.grad(column.sum(), maps, retain_graph=True)[0] for column in summary.unbind(1)]
    return Sensitivity(to_numpy(maps.detach()), to_numpy(summary.detach()), to_numpy(torch.stack(gradients, dim=1)))
