"""Shear response of a network by the chain rule: gradient of the network times response of the pixels.

``R_ij = sum over pixels of (de_i / df_h) (df_h / dg_j)`` (Lin, Li et al. 2026, equation 12). The gradient can be taken
backwards, one pass for each e_i, or forwards, one pass for each g_j. Both are exact.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from lensdask.shear.resmooth import Resmoothed

__all__ = ["Mode", "shapes_with_response"]

Mode = Literal["backward", "forward"]
"""Direction of differentiation: a pass per ellipticity, or a pass per shear."""

FASTEST: Mode = "backward"
"""On a CPU, where the forward mode takes about twice as long (``make bench``). Not yet measured on GPUs."""


def shapes_with_response(network: nn.Module, images: Resmoothed, mode: Mode = FASTEST) -> Tensor:
    """Return ellipticities and their response.

    Parameters
    ----------
    network
        Smooth network from images, shape (galaxy, n, n), to (e1, e2), shape (galaxy, 2), that treats galaxies
        independently.
    images
        Resmoothed images and pixel responses, torch.
    mode
        Direction of the differentiation.

    Returns
    -------
    Tensor
        Shape (6, galaxy): e1, e2, de1_dg1, de1_dg2, de2_dg1, de2_dg2.
    """
    if mode == "forward":
        return _forward(network, images)
    return _backward(network, images)


def _backward(network: nn.Module, images: Resmoothed) -> Tensor:
    value = images.value.detach().requires_grad_()
    with torch.enable_grad():
        e = network(value)
        # Galaxies are independent, so the gradient of the sum holds the gradient of each.
        gradients = [torch.autograd.grad(e[:, i].sum(), value, retain_graph=i == 0)[0] for i in range(2)]
    responses = [(gradient * tangent).sum((-2, -1)) for gradient in gradients for tangent in images[1:]]
    return torch.stack([*e.detach().T, *responses])


def _forward(network: nn.Module, images: Resmoothed) -> Tensor:
    def along(tangent: Tensor) -> Any:
        return torch.func.jvp(network, (images.value,), (tangent,))

    with torch.no_grad():
        e, de_dg1 = along(images.dg1)
        _, de_dg2 = along(images.dg2)
    return torch.stack([*e.T, de_dg1[:, 0], de_dg2[:, 0], de_dg1[:, 1], de_dg2[:, 1]])
