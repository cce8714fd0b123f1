"""Where a network looks: how its outputs change with each pixel of an image."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lensdask.arrays import to_numpy, to_torch

__all__ = ["saliency"]


def saliency(
    network: torch.nn.Module,
    images: npt.NDArray[np.float32],
    output: npt.NDArray[np.integer[Any]],
    *,
    device: str = "cpu",
) -> npt.NDArray[np.float32]:
    """Return the derivative of an output of a network, such as the logit of a class, with respect to each pixel.

    Parameters
    ----------
    network
        With its weights, on the device; lenses do not depend on each other.
    images
        Shape (lens, y, x).
    output
        Number of the output for each lens, shape (lens,).
    device
        "cpu" or "cuda".

    Returns
    -------
    ndarray
        Per electron per second, shape (lens, y, x).
    """
    pixels = to_torch(images, device)[:, None].requires_grad_()
    training = network.training
    network.eval()
    try:
        chosen = network(pixels)[torch.arange(len(images)), to_torch(output.astype(np.int64), device)]
        (gradient,) = torch.autograd.grad(chosen.sum(), pixels)
    finally:
        network.train(training)
    return np.asarray(to_numpy(gradient)[:, 0], dtype=np.float32)
