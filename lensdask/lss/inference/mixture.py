"""The mixture density network of App. C: p(summary | θ) as a mixture of Gaussians whose parameters depend on θ."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from lensdask.errors import check_number

__all__ = ["Mixture", "MixtureConfig", "hidden_layers"]


@dataclass(frozen=True)
class MixtureConfig:
    """Size of a mixture density network; the defaults are those of the paper."""

    parameters: int = 7
    """Number of parameters, and of summaries."""
    components: int = 4
    """Gaussians, K."""
    hidden: int = 256
    """Units of a hidden layer."""
    layers: int = 3
    """Hidden layers."""
    edge: float = 0.4
    """Where the smallest and the largest summary of the training set come to lie, as fractions; 1e-5 in the paper."""

    def __post_init__(self) -> None:
        """Refuse sizes that are none."""
        check_number("mixture edge", self.edge, above=0, below=0.5)
        for name in ("parameters", "components", "hidden", "layers"):
            check_number(f"mixture {name}", getattr(self, name), least=1, whole=True)


def hidden_layers(inputs: int, width: int, count: int) -> nn.Sequential:
    """Return dense layers, each with a SiLU: smooth, so that the likelihood is, unlike with the ReLU of the paper."""
    widths = [inputs, *[width] * count]
    return nn.Sequential(*[layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.SiLU())])


class Mixture(nn.Module):
    """Mixture of K Gaussians with full covariances, in scaled coordinates y of the summary and x of the parameters.

    The network returns the Cholesky factor of the precision, Ψ⁻¹ = L Lᵀ, whose diagonal is positive: no matrix is
    inverted.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__()
        self.config = config
        p, k = config.parameters, config.components
        self.body = hidden_layers(p, config.hidden, config.layers)
        self.head = nn.Linear(config.hidden, k * (1 + 2 * p + p * (p - 1) // 2))
        rows, columns = torch.tril_indices(p, p, offset=-1)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        # Components begin nearly alike, as standard normal distributions.
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.mul_(0.1)

    def components(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the mixture at scaled parameters.

        Parameters
        ----------
        x
            Shape (n, parameter).

        Returns
        -------
        log_weights
            Logarithms of w_j(θ), shape (n, component).
        means
            μ_j(θ), shape (n, component, parameter).
        log_diagonal, lower
            Logarithm of the diagonal of L, shape (n, component, parameter), and what lies below it, row by row.
        """
        p, k = self.config.parameters, self.config.components
        values = self.head(self.body(x)).unflatten(-1, (k, -1))
        logits, means, log_diagonal, lower = values.split([1, p, p, p * (p - 1) // 2], dim=-1)
        return torch.log_softmax(logits[..., 0], -1), means, log_diagonal, lower

    def log_prob(self, y: Tensor, x: Tensor) -> Tensor:
        """Return log p(y | x), shape (n,), of scaled summaries and parameters, both (n, parameter)."""
        log_weights, means, log_diagonal, lower = self.components(x)
        residual = y[..., None, :] - means
        # Lᵀ r without the matrix: the diagonal, and each element below it at the place of its column.
        whitened = log_diagonal.exp() * residual
        whitened = whitened.index_add(-1, self.columns, lower * residual[..., self.rows])
        constant = 0.5 * self.config.parameters * math.log(2 * math.pi)
        each = log_diagonal.sum(-1) - 0.5 * whitened.square().sum(-1) - constant
        return torch.logsumexp(log_weights + each, -1)

    def sample(self, x: Tensor, random: torch.Generator) -> Tensor:
        """Draw one scaled summary for each row of scaled parameters, shape (n, parameter)."""
        log_weights, means, log_diagonal, lower = self.components(x)
        which = torch.multinomial(log_weights.exp(), 1, generator=random)[..., None]
        means, log_diagonal, lower = (
            values.take_along_dim(which, dim=1)[:, 0] for values in (means, log_diagonal, lower)
        )
        factor = torch.diag_embed(log_diagonal.exp())
        factor[:, self.rows, self.columns] = lower
        noise = torch.randn(means.shape, generator=random, device=x.device, dtype=x.dtype)
        # With r = L⁻ᵀ ε the covariance of r is (L Lᵀ)⁻¹.
        scattered: Tensor = torch.linalg.solve_triangular(factor.mT, noise[..., None], upper=True)[..., 0]
        return means + scattered
