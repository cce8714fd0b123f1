"""Start a `ChaNet` near the best linear map (ours): its training begins where the Wiener filter ends.

With random kernels of thousands of pixels a network spends its first days on learning how mass shears. That part is
known: `patch_filter` gives the kernels, of the size that a layer has, whose convolution with the shear is the linear
estimate of the convergence of least mean square error, a Wiener filter that sees one patch at a time. `start_as_wiener`
puts them into the widest of the first convolutions and lets their result through the rest of the network:

- A leaky rectifier of slope s is linear for a pair, f(x) - f(-x) = (1 + s) x, so kernels stand in channels + and -.
- The first pair of wide layers has to give 1, by which the maps are multiplied: its weights are small, its bias is 1.
- The second pair has to hand the map on, but a valid convolution and its transpose pass only through a smaller map.
  A kernel that is 1 at one corner passes all but a margin at the opposite side; those of the four corners together pass
  everything, what is within the margin once or twice, the rest four times. Each gets a quarter, and the multiplication
  before, where the first pair finds the margins in the same way, is by 2 at the sides to make up for it. In the corners
  of the field, where it should be by 4, it is by 2.5.

All else starts random.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.fft import next_fast_len
from scipy.sparse.linalg import LinearOperator, cg
from torch import Tensor, nn

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.fourier import multipoles
from lensdask.massmap.networks.cha import ChaNet
from lensdask.massmap.networks.inputs import CHANNELS
from lensdask.sky.lensing import convergence_of_shear, shear_of_convergence
from lensdask.sky.power import ConvergencePower

__all__ = ["patch_filter", "start_as_wiener"]

GATE = 0.03
"""Factor on the random weights of the layer that multiplies the first maps: it changes them, but not much."""

CORNERS = ((0, 0), (0, -1), (-1, 0), (-1, -1))
"""Rows and columns of the corners of a kernel."""

Float64 = npt.NDArray[np.float64]

Seen = Literal["shear", "ks"]
"""What an estimate is made from."""


def patch_filter(
    size: int, power: ConvergencePower, *, noise: float, pixel_scale: float, seen: Seen = "shear"
) -> Float64:
    """Return the kernels of the best linear estimate of the convergence from what is seen in a patch.

    They solve the normal equations R w = r: R is the covariance of what is seen, signal and white noise, between the
    pixels of the patch, and r that with the convergence in the middle. For a patch of the whole sky w is the Wiener
    filter.

    Parameters
    ----------
    size
        Side of the patch, pixels; odd.
    power
        Power of the convergence.
    noise
        Standard deviation of each component of the shear in a pixel.
    pixel_scale
        Arcmin.
    seen
        "shear", or "ks" for the E mode of the shear of the whole sky, of which a smaller patch tells as much.

    Returns
    -------
    ndarray
        To be correlated with g1 and g2, shape (2, size, size), or with the E mode, shape (1, size, size).
    """
    area = next_fast_len(4 * size, real=True)
    l1, l2 = multipoles((area, area), pixel_scale)
    variance = power.at(np.hypot(l1, l2)) / (pixel_scale * ARCMIN) ** 2
    observe, gather = _OBSERVATIONS[seen]
    count = len(observe(np.zeros((2, 2))))

    def covariance(kappa: Float64) -> Float64:
        """Return the covariance with what is seen in the patch of a sum of the convergence of some pixels."""
        return observe(np.fft.irfft2(np.fft.rfft2(kappa) * variance, s=(area, area)))[:, :size, :size]

    def normal(flat: Float64) -> Float64:
        kernels = np.zeros((count, area, area))
        kernels[:, :size, :size] = flat.reshape(count, size, size)
        return np.asarray(covariance(gather(kernels)).ravel() + noise**2 * flat)

    point = np.zeros((area, area))
    point[size // 2, size // 2] = 1.0
    operator = LinearOperator((count * size**2, count * size**2), matvec=normal, dtype=np.float64)
    kernels, _ = cg(operator, covariance(point).ravel(), rtol=1e-6)
    return np.asarray(kernels.reshape(count, size, size))


_OBSERVATIONS: dict[Seen, tuple[Callable[[Float64], Float64], Callable[[Float64], Float64]]] = {
    "shear": (lambda kappa: np.stack(shear_of_convergence(kappa)), lambda shear: convergence_of_shear(*shear)[0]),
    "ks": (lambda kappa: kappa[None], lambda mode: mode[0]),
}
"""From convergence to what is seen, and the adjoint."""

_SEEN: dict[str, Seen] = {"ks": "ks", "weighted": "shear", "shear": "shear"}
"""Input maps to start from, the best first."""

_GROWTH = {"shear": -1, "error": -1, "mask": 0, "weighted": 1, "ks": 1, "weight": 2}
"""Power of `input_scale` that each input map goes as, see `lensdask.massmap.networks.inputs.network_inputs`."""


def start_as_wiener(network: ChaNet, power: ConvergencePower, *, noise: float, pixel_scale: float) -> None:
    """Change the initial weights of a network so that its map is near that of the Wiener filter.

    How near depends on what the kernels reach: on fields of 128 x 128 pixels of 0.82 arcmin the widest of 25 pixels has
    a mean square error 10 % above the Wiener filter's if it sees the shear, and 2 % if it sees "ks".

    Parameters
    ----------
    network
        Untrained, of at least 8 channels in its wide layers; inputs with "ks", "weighted" or "shear".
    power
        Power of the convergence to be mapped.
    noise
        Standard deviation of each component of the shear in a pixel. With that as `input_scale` the weights that stay
        random are as they were drawn; with another those of the first layer are scaled, so that the map is the same.
    pixel_scale
        Arcmin.

    Raises
    ------
    InputError
        The network's layers or inputs do not allow it.
    """
    config, width = network.config, network.last.in_channels
    names = config.inputs.split("+")
    name = next((name for name in _SEEN if name in names), None)
    if name is None or config.channels < 2 or width < 8:
        raise InputError(
            f"network: inputs {config.inputs!r}, {width} channels in wide layers; to start as a Wiener filter expected "
            "inputs with ks, weighted or shear, and at least 8 channels, 2 of each first kernel"
        )
    widest = max(range(len(config.first_kernels)), key=config.first_kernels.__getitem__)
    size, seen = config.first_kernels[widest], _SEEN[name]
    kernels = patch_filter(size, power, noise=noise, pixel_scale=pixel_scale, seen=seen)
    # As if the noise were the input scale, with which weights are 1 in the mean; `_scale_first` makes up for it.
    kernels *= noise / config.output_scale
    with torch.no_grad():
        before = sum(CHANNELS[other] for other in names[: names.index(name)])
        _start_first(_parameters(network.first[widest])[0], before, torch.from_numpy(kernels).float())
        _scale_first(network, noise)
        _start_gate(network, widest * config.channels)
        _start_passage(network, widest * config.channels)


def _start_first(weight: Tensor, before: int, kernels: Tensor) -> None:
    """Put kernels into the first two channels, with both signs."""
    weight[:2] = 0
    weight[0, before : before + len(kernels)] = kernels
    weight[1, before : before + len(kernels)] = -kernels


def _scale_first(network: ChaNet, noise: float) -> None:
    """Turn first kernels that are for an `input_scale` of the noise into those for the network's own."""
    ratio, names = noise / network.config.input_scale, network.config.inputs.split("+")
    factors = torch.tensor([ratio ** _GROWTH[name] for name in names for _ in range(CHANNELS[name])])
    for layer in network.first:
        _parameters(layer)[0].mul_(factors[:, None, None])


def _start_gate(network: ChaNet, plus: int) -> None:
    """Make the first pair give about 1, and 2 at the sides for the channels that carry the map."""
    (gather, bias), (spread, level) = (_parameters(layers[0]) for layers in (network.gather, network.spread))
    gather[0], bias[0] = 0, 1
    spread *= GATE
    spread[0] = 0
    level.fill_(1.0)
    level[plus : plus + 2] = 3.0
    for row, column in CORNERS:
        spread[0, plus : plus + 2, row, column] = -0.5


def _start_passage(network: ChaNet, plus: int) -> None:
    """Pass the difference of two channels through the second pair and the last layer, by way of the four corners."""
    (gather, _), (spread, _) = (_parameters(layers[1]) for layers in (network.gather, network.spread))
    last, offset = _parameters(network.last)
    share = torch.tensor([1.0, -1.0]) / (1 + network.config.slope)
    gather[:8], spread[:8], spread[:, :2] = 0, 0, 0
    for number, (row, column) in enumerate(CORNERS):
        # Channels + and - of this corner, from and to channels + and -.
        pair = slice(2 * number, 2 * number + 2)
        gather[pair, plus : plus + 2, row, column] = torch.outer(torch.tensor([1.0, -1.0]), share)
        spread[pair, :2, row, column] = torch.outer(share, torch.tensor([1.0, -1.0])) / 4
    last *= GATE
    last[0, :2, 0, 0] = share
    offset.zero_()


def _parameters(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the weight and the bias of a layer."""
    return layer.get_parameter("weight"), layer.get_parameter("bias")
