"""The networks are those of the paper to the last parameter, and their loss is that of a normal distribution."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lensdask.errors import InputError
from lensdask.lss.networks import power
from lensdask.lss.networks.cnn import CNN_PAPER, CNN_SMALL, CnnConfig, MosaicCnn
from lensdask.lss.networks.hybrid import HYBRID_SMALL, HybridNetwork
from lensdask.lss.networks.loss import outputs_of, split_outputs, summary_loss
from lensdask.lss.networks.power import PowerConfig, PowerNetwork, SpectraInputs


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameters_of_the_published_cnn():
    assert count(MosaicCnn(CNN_PAPER)) == 12_029_987
    assert count(MosaicCnn(replace(CNN_PAPER, parameters=9))) == 13_430_838


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("POWER_PAPER", 1_823_779),
        ("POWER_PAPER_XL", 2_873_379),
        ("POWER_LOCAL", 734_883),
        ("POWER_LOCAL_XL", 4_224_291),
        ("POWER_SEPARABLE", 438_415),
        ("POWER_SEPARABLE_XL", 3_270_799),
    ],
)
def test_parameters_of_the_published_spectra_networks(name, published):
    network = PowerNetwork(getattr(power, name))
    assert count(network) == published
    assert network(torch.rand(3, 36, 20)).shape == (3, 35)


def test_loss_is_that_of_a_normal_distribution():
    outputs = torch.randn(50, outputs_of(7), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theta = torch.randn(50, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mean, factor = split_outputs(outputs, 7)
    normal = torch.distributions.MultivariateNormal(mean, precision_matrix=factor.mT @ factor)
    expected = -2 * normal.log_prob(theta).mean() - 7 * np.log(2 * np.pi)
    assert summary_loss(outputs, theta).item() == pytest.approx(expected.item(), rel=1e-5)


def test_loss_is_least_at_the_true_distribution():
    # For samples of a known normal distribution the best constant outputs are its mean and its precision.
    random = np.random.default_rng(3)
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    theta = torch.tensor(random.multivariate_normal([1.0, -2.0], covariance, 4000), dtype=torch.float32)
    outputs = nn.Parameter(torch.tensor([[0.0, 0.0, 1.0, 0.0, 1.0]]))
    optimiser = torch.optim.LBFGS([outputs], max_iter=200)

    def closure():
        optimiser.zero_grad()
        loss = summary_loss(outputs.expand(len(theta), -1), theta)
        loss.backward()
        return loss

    optimiser.step(closure)
    mean, factor = split_outputs(outputs.detach(), 2)
    np.testing.assert_allclose(mean[0], theta.mean(0), atol=1e-3)
    np.testing.assert_allclose(torch.linalg.inv(factor[0].T @ factor[0]), np.cov(theta.T, bias=True), rtol=5e-3)


def test_spectra_go_in_as_logarithms_and_correlations():
    random = np.random.default_rng(4)
    modes = random.normal(size=(5, 30, 3, 4))
    modes[:, :, 1] += 0.5 * modes[:, :, 0]
    spectra = np.einsum("smib,smjb->sijb", modes, modes)[:, *np.triu_indices(3)] / 30
    spectra[:, :, 3] = 0.0
    scaling = SpectraInputs(3, 4)
    values = scaling.correlations(torch.tensor(spectra, dtype=torch.float32)).numpy()
    for place, (i, j) in enumerate(zip(*np.triu_indices(3), strict=True)):
        for b in range(3):
            mine = modes[:, :, i, b] * modes[:, :, j, b]
            norm = np.sqrt((modes[:, :, i, b] ** 2).mean(1) * (modes[:, :, j, b] ** 2).mean(1))
            expected = np.log(mine.mean(1)) if i == j else mine.mean(1) / norm
            np.testing.assert_allclose(values[:, place, b], expected, rtol=1e-5, atol=1e-6)
    assert not values[:, :, 3].any()
    scaling.fit(torch.tensor(spectra, dtype=torch.float32))
    scaled = scaling(torch.tensor(spectra, dtype=torch.float32))[:, :, :3]
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-5)


def test_the_hybrid_does_not_ask_where_a_tile_lies():
    torch.manual_seed(5)
    network, spectra, tiles = HybridNetwork(HYBRID_SMALL), torch.rand(2, 36, 20), torch.randn(2, 8, 6, 32, 32)
    moved = tiles[:, :, torch.randperm(6)]
    torch.testing.assert_close(network(spectra, tiles), network(spectra, moved), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(network(spectra, tiles), network(spectra, tiles + 1), rtol=1e-4, atol=1e-5)


def test_cnn_of_another_size():
    assert MosaicCnn(replace(CNN_SMALL, maps=4, size=128, parameters=5))(torch.zeros(2, 4, 128, 128)).shape == (2, 20)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CnnConfig(channels=0), "cnn channels: 0"),
        (lambda: PowerConfig(kind="deep"), "power kind: 'deep'"),
        (lambda: PowerConfig(scaling="logarithms"), "power scaling: 'logarithms'"),
        (lambda: replace(HYBRID_SMALL, width=-1), "hybrid width: -1"),
    ],
)
def test_what_is_no_network_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
