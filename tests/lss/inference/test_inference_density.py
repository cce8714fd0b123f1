"""The density networks against torch's distributions, and the scalings around them."""

import sys

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from lensdask.errors import InputError
from lensdask.lss.inference.density import ConditionalDensity
from lensdask.lss.inference.flow import Flow, FlowConfig
from lensdask.lss.inference.mixture import Mixture, MixtureConfig


@pytest.fixture
def mixture():
    torch.manual_seed(3)
    network = Mixture(MixtureConfig(parameters=3, hidden=16))
    with torch.no_grad():
        network.head.weight.mul_(20)
        network.head.bias.normal_(std=0.5)
    return network


def reference(network, x):
    """Return the same mixture by torch."""
    log_weights, means, log_diagonal, lower = network.components(x)
    factor = torch.diag_embed(log_diagonal.exp())
    factor[..., network.rows, network.columns] = lower
    gaussians = MultivariateNormal(means, precision_matrix=factor @ factor.mT)
    return MixtureSameFamily(Categorical(logits=log_weights), gaussians)


def test_mixture_is_that_of_torch(mixture):
    x, y = torch.randn(50, 3), torch.randn(50, 3)
    torch.testing.assert_close(mixture.log_prob(y, x), reference(mixture, x).log_prob(y), atol=1e-4, rtol=1e-4)


def test_mixture_samples_have_its_moments(mixture):
    x = torch.randn(1, 3).expand(100_000, 3)
    with torch.no_grad():
        drawn = mixture.sample(x, torch.Generator().manual_seed(1))
        wanted = reference(mixture, x[:1])
    error = (wanted.variance[0] / len(drawn)).sqrt()
    assert ((drawn.mean(dim=0) - wanted.mean[0]).abs() < 4.5 * error).all()
    torch.testing.assert_close(drawn.var(dim=0), wanted.variance[0], rtol=0.05, atol=0)


def scaled(inner, edge):
    """Return a network with scalings of a training set of two parameters, and the set."""
    rng = np.random.default_rng(0)
    theta = torch.from_numpy(rng.uniform(-3, 5, (2000, 2)))
    summary = theta + torch.from_numpy(rng.normal(0, [0.5, 0.1], (2000, 2)))
    density = ConditionalDensity(inner)
    assert density.config.edge == edge
    density.set_up(theta, summary)
    return density, theta, summary


@pytest.mark.parametrize("edge", [1e-5, 0.4])
def test_density_integrates_to_one(edge):
    torch.manual_seed(0)
    density, *_ = scaled(Mixture(MixtureConfig(parameters=2, hidden=8, edge=edge)), edge)
    ends = zip(density.summary_low.tolist(), density.summary_high.tolist(), strict=True)
    grid = [torch.linspace(low, high, 602, dtype=torch.float64)[1:-1] for low, high in ends]
    points = torch.cartesian_prod(*grid)
    with torch.no_grad():
        log_p = density(points, torch.tensor([[1.0, 1.0]], dtype=torch.float64).expand(len(points), 2))
    cell = (grid[0][1] - grid[0][0]) * (grid[1][1] - grid[1][0])
    assert float(log_p.double().exp().sum() * cell) == pytest.approx(1, abs=0.01)


def test_extremes_lie_at_the_edge():
    density, _, summary = scaled(Mixture(MixtureConfig(parameters=2, hidden=8, edge=1e-5)), 1e-5)
    z = density.scaled_summary(summary) * density.scatter
    quantile = torch.special.ndtri(torch.tensor(1e-5, dtype=torch.float64))
    torch.testing.assert_close(z.min(dim=0).values, quantile.expand(2), rtol=1e-5, atol=0)
    assert not torch.isfinite(density.scaled_summary(summary.max(dim=0).values[None] + 1)).any()


def test_scalings_start_from_the_regression():
    density, theta, summary = scaled(Mixture(MixtureConfig(parameters=2, hidden=8)), 0.4)
    residual = density.scaled_summary(summary) - density.linear(density.scaled_theta(theta))
    assert residual.std(dim=0).tolist() == pytest.approx([1, 1], rel=0.01)
    assert residual.mean(dim=0).abs().max() < 0.01


def test_flow_is_a_density_and_samples_it():
    pytest.importorskip("zuko")
    torch.manual_seed(0)
    density, theta, _ = scaled(Flow(FlowConfig(parameters=2, transforms=1, hidden=8)), 0.4)
    one = theta[:1].expand(20_000, 2)
    with torch.no_grad():
        drawn = density.sample(one, torch.Generator().manual_seed(1))
        # 1 / p, averaged over draws of p inside of a square, is the area of the square times the share inside.
        low, high = torch.quantile(drawn, 0.2, dim=0), torch.quantile(drawn, 0.8, dim=0)
        inside = ((drawn > low) & (drawn < high)).all(dim=1)
        mean = (torch.exp(-density(drawn, one)) * inside).mean()
    assert float(mean / (high - low).prod()) == pytest.approx(1, rel=0.1)


def test_flow_without_zuko(monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko.flows", None)
    with pytest.raises(InputError, match=r'density: "flow" needs the package zuko; expected pip install'):
        Flow(FlowConfig())


@pytest.mark.parametrize(("make", "name"), [(MixtureConfig, "mixture"), (FlowConfig, "flow")])
def test_bad_sizes(make, name):
    with pytest.raises(InputError, match=f"{name} hidden: 0; expected"):
        make(hidden=0)
    with pytest.raises(InputError, match=f"{name} edge: 0.5; expected"):
        make(edge=0.5)
