"""A normalising flow in the place of the mixture: neural splines of the optional package zuko."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lensdask.errors import InputError, check_number

__all__ = ["Flow", "FlowConfig"]


@dataclass(frozen=True)
class FlowConfig:
    """Size of a neural spline flow (Durkan et al. 2019)."""

    parameters: int = 7
    """Number of parameters, and of summaries."""
    transforms: int = 3
    """Autoregressive transformations."""
    hidden: int = 64
    """Units of each of their two hidden layers."""
    edge: float = 0.4
    """Where the smallest and the largest summary of the training set come to lie, as fractions; 1e-5 in the paper."""

    def __post_init__(self) -> None:
        """Refuse sizes that are none."""
        check_number("flow edge", self.edge, above=0, below=0.5)
        for name in ("parameters", "transforms", "hidden"):
            check_number(f"flow {name}", getattr(self, name), least=1, whole=True)


class Flow(nn.Module):
    """Density of scaled coordinates y of the summary, given those of the parameters, x.

    Raises
    ------
    InputError
        The package zuko is not installed.
    """

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        try:
            from zuko.flows import NSF
        except ImportError as error:
            raise InputError(
                'density: "flow" needs the package zuko; expected pip install "lensdask[flow]", or density="mdn"'
            ) from error
        self.config = config
        p = config.parameters
        self.flow = NSF(p, p, transforms=config.transforms, hidden_features=(config.hidden, config.hidden))

    def log_prob(self, y: Tensor, x: Tensor) -> Tensor:
        """Return log p(y | x), shape (n,), of scaled summaries and parameters, both (n, parameter)."""
        density: Tensor = self.flow(x).log_prob(y)
        return density

    def sample(self, x: Tensor, random: torch.Generator) -> Tensor:
        """Draw one scaled summary for each row of scaled parameters, shape (n, parameter)."""
        noise = torch.randn(x.shape, generator=random, device=x.device, dtype=x.dtype)
        drawn: Tensor = self.flow(x).transform.inv(noise)
        return drawn
