"""Shear response of a D4CNN: its images and their two shear derivatives, carried through the layers together.

``R_ij = sum over pixels of (de_i / df_h) (df_h / dg_j)`` (Lin, Li et al. 2026, equation 12) is the derivative of the
network along the two images df_h/dg_1 and df_h/dg_2. The chain rule, taken forwards, hands it from layer to layer: a
convolution acts on the derivatives as it does on the maps, and everything else multiplies or projects them. That costs
as many convolutions as one pass backwards for each e_i. But no map has to be kept, all maps stay in the order (y, x,
channel) in which a convolution is a plain matrix product, and the curvature of each activation is found once for both
shears: on a CPU the result comes in two thirds of the time of automatic differentiation (``make bench``).
"""

from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn

from lensdask.arrays import in_batches
from lensdask.shear.shapes.d4cnn import D4CNN, Layer
from lensdask.shear.shapes.resmooth import Resmoothed

__all__ = ["shapes_with_response"]

SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gelu": torch.ops.aten.gelu_backward,
    "relu": lambda factor, x: torch.ops.aten.threshold_backward(factor, x, 0),
}
"""A factor times the derivative of an activation, by its name. One pass; written out, GELU's takes eight."""

AT_ONCE = 8
"""Galaxies that go through the layers together on a CPU, so that a layer finds its input in the cache."""


def shapes_with_response(network: D4CNN, images: Resmoothed) -> Tensor:
    """Return ellipticities and their response.

    Parameters
    ----------
    network
        Network for images of shape (galaxy, n, n).
    images
        Resmoothed images and pixel responses, torch, each of shape (galaxy, n, n).

    Returns
    -------
    Tensor
        Shape (6, galaxy): e1, e2, de1_dg1, de1_dg2, de2_dg1, de2_dg2.
    """
    at_once = AT_ONCE if images.value.device.type == "cpu" else len(images.value)
    with torch.no_grad():
        rows: Tensor = in_batches(lambda *planes: _shapes(network, Resmoothed(*planes)), tuple(images), at_once)
    return rows.T


def _shapes(network: D4CNN, images: Resmoothed) -> Tensor:
    """Return the columns of `shapes_with_response`, shape (galaxy, 6)."""
    # One channel: (member of the orbit, y, x, channel).
    planes = [network.members(plane).flatten(0, 1)[..., None] for plane in _normalise(network, images)]
    for layer in cast("Iterable[Layer]", network.backbone):
        planes = _layer(layer, SLOPES[network.config.activation], *planes)
    # Not a matrix product, which adds up the pixels one by one and rounds at each: the orbit's sums almost cancel.
    features = torch.stack([(plane * network.pooling[..., None]).sum((1, 2)) for plane in planes])
    features = features.view(len(planes), len(images.value), -1, features.shape[-1])
    spins = torch.einsum("so,pgoc->spgc", network.signs, features)
    e = torch.stack([_odd(head, spin) for head, spin in zip(network.odd, spins, strict=True)])
    return torch.cat([e[:, 0], e[:, 1:].flatten(0, 1)]).T


def _normalise(network: D4CNN, images: Resmoothed) -> list[Tensor]:
    """Return f = w f_h / b with the window w and the brightness b = sqrt(F² + C²), and its two shear derivatives.

    ``df = (w df_h - f F dF / b) / b``.
    """
    flux = network.flux(images.value)
    brightness = network.brightness(flux)
    value, window = network.normalise(images.value), network.window
    # The flux F is linear in the image, so that dF is the flux of df_h.
    return [value, *((window * d - value * (flux / brightness) * network.flux(d)) / brightness for d in images[1:])]


def _layer(
    layer: Layer, slope_of: Callable[[Tensor, Tensor], Tensor], before: Tensor, *tangents: Tensor
) -> list[Tensor]:
    """Return the maps after a layer and their derivatives, shape (member, y, x, channel) each."""
    maps = _convolve(layer.convolution, before, layer.convolution.bias)
    moved = [_convolve(layer.convolution, tangent, None) for tangent in tangents]
    z, moved, weight = _layer_norm(layer.norm, maps, moved)
    slope = slope_of(weight.expand_as(z), z)
    y = layer.activation(z)
    # In place: fresh memory for each plane costs a CPU about as much as the arithmetic on it.
    if layer.residual is None:
        return [y, *(d.mul_(slope) for d in moved)]
    a = layer.residual
    added = [torch.addcmul(t, d, slope, value=a, out=d) for t, d in zip(tangents, moved, strict=True)]
    return [torch.add(before, y, alpha=a, out=y), *added]


def _convolve(convolution: nn.Conv2d, maps: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve maps of shape (member, y, x, channel)."""
    c = convolution
    out = nn.functional.conv2d(maps.permute(0, 3, 1, 2), c.weight, bias, c.stride, c.padding)
    return out.permute(0, 2, 3, 1).contiguous()


def _layer_norm(norm: nn.Module, maps: Tensor, tangents: list[Tensor]) -> tuple[Tensor, list[Tensor], Tensor]:
    """Return normed maps, their derivatives without the weights of the channels, and these weights."""
    if not isinstance(norm, nn.GroupNorm):
        return maps, tangents, maps.new_ones(1)
    shape = maps.shape[1:]
    weight, bias = (parameter.expand(shape).contiguous() for parameter in (norm.weight, norm.bias))
    z, mean, scale = torch.native_layer_norm(maps, shape, weight, bias, norm.eps)
    # The derivative takes from a tangent its mean and its part along the maps, and scales it. This operator is
    # symmetric, so that the kernel made for the pass backwards is also the one forwards.
    backward = torch.ops.aten.native_layer_norm_backward
    only_input = [True, False, False]
    moved = [backward(tangent, maps, shape, mean, scale, None, None, only_input)[0] for tangent in tangents]
    return z, moved, weight


def _odd(head: nn.Module, spin: Tensor) -> Tensor:
    """Return an ellipticity and its derivatives, shape (3, galaxy), of the sums over the orbit and theirs."""
    first, _, last = head.children()
    inner = first(spin)
    y = torch.tanh(inner[:1])
    ellipticity: Tensor = last(torch.cat([y, (1 - y**2) * inner[1:]]))
    return ellipticity[..., 0]
