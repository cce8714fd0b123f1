"""The loss of the compressors: how likely the true parameters are under the normal distribution that a network gives.

A network of n parameters has n + n (n + 1) / 2 outputs: the summary, and the rows of an upper triangular matrix U with
UᵀU = Σ⁻¹, the precision. Only the summary is used afterwards. Equation 14 of Kacprzak & Fluri 2022 ::

    L = ln |Σ| + (θ_summary - θ)ᵀ Σ⁻¹ (θ_summary - θ) = |U (θ_summary - θ)|² - Σᵢ ln U_ii²

is twice the negative logarithm of the probability, less n ln 2π.
"""

import torch
from torch import Tensor

__all__ = ["outputs_of", "split_outputs", "summary_loss"]

_SMALL = 1e-12
"""Added to the square of a diagonal element, which may be of either sign and passes through zero."""


def outputs_of(parameters: int) -> int:
    """Return the number of outputs of a network of so many parameters."""
    return parameters + parameters * (parameters + 1) // 2


def split_outputs(outputs: Tensor, parameters: int) -> tuple[Tensor, Tensor]:
    """Return the summary and the upper triangular factor of the precision.

    Parameters
    ----------
    outputs
        Of a network, shape (sample, n + n (n + 1) / 2).
    parameters
        n.

    Returns
    -------
    summary
        Shape (sample, n).
    factor
        U, shape (sample, n, n), 0 below the diagonal; its diagonal is of either sign.
    """
    row, column = torch.triu_indices(parameters, parameters, device=outputs.device)
    factor = outputs.new_zeros(len(outputs), parameters, parameters)
    factor[:, row, column] = outputs[:, parameters:]
    return outputs[:, :parameters], factor


def summary_loss(outputs: Tensor, theta: Tensor) -> Tensor:
    """Return the mean of equation 14 over the samples.

    Parameters
    ----------
    outputs
        Of a network, shape (sample, n + n (n + 1) / 2).
    theta
        True parameters in the units of the network, shape (sample, n).
    """
    # Half precision has too few digits for a determinant.
    summary, factor = split_outputs(outputs.to(theta.dtype), theta.shape[1])
    residual = (factor @ (summary - theta)[:, :, None])[:, :, 0]
    diagonal = torch.diagonal(factor, dim1=1, dim2=2)
    return (residual.square().sum(1) - torch.log(diagonal.square() + _SMALL).sum(1)).mean()
