from dataclasses import replace

import pytest
import torch
from torch import nn

from lensdask.errors import InputError
from lensdask.massmap.networks.h21 import H21_LIKE, H21_SMALL, H21Config, H21Net, smoothed
from lensdask.training.large_conv import LargeConv2d, LargeConvTranspose2d

TINY = H21Config(channels=2, reduction=2, first_kernel=6, kernel=5, pairs=2, smoothing=0.7)


def network(config: H21Config = TINY) -> H21Net:
    torch.manual_seed(5)
    return H21Net(config).double().eval()


def some_inputs(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_eleven_convolutions() -> None:
    with torch.device("meta"):
        paper = H21Net(H21_LIKE)
    kinds = LargeConv2d, LargeConvTranspose2d, nn.Conv2d
    assert sum(isinstance(module, kinds) for module in paper.modules()) == 11


def test_resolution_is_lost_in_the_first_layer() -> None:
    net, seen = network(replace(TINY, reduction=4, first_kernel=4)), []
    net.reduce.register_forward_hook(lambda *call: seen.append(call[2].shape))
    assert net(some_inputs(40, 48)).shape == (2, 1, 40, 48)
    assert seen == [(2, 2, 10, 12)]


def test_fields_of_any_size() -> None:
    net = network()
    for height, width in ((10, 10), (11, 24), (31, 29)):
        assert net(some_inputs(height, width)).shape == (2, 1, height, width)


def test_field_too_small_is_refused() -> None:
    with pytest.raises(InputError, match="field of 4 x 10 pixels; expected at least the kernel's 5 x 5"):
        network()(some_inputs(8, 20))


def test_map_is_centred_on_the_field() -> None:
    # With kernels that are symmetric the network commutes with turns and mirrors only if nothing shifts the map.
    net = network()
    for parameter in net.parameters():
        if parameter.ndim == 4:
            turned = [torch.rot90(parameter.data, k, (2, 3)) for k in range(4)]
            parameter.data = (sum(turned) + sum(part.flip(2) for part in turned)) / 8
    x = some_inputs(26, 26)
    y = net(x)
    for k in range(4):
        there = net(torch.rot90(x, k, (2, 3)))
        assert (there - torch.rot90(y, k, (2, 3))).abs().max() < 1e-12 * y.abs().max()
    assert (net(x.flip(2)) - y.flip(2)).abs().max() < 1e-12 * y.abs().max()


def test_smoothing_is_a_gaussian_of_its_width() -> None:
    # Wide enough that pixels do not matter: the variance along each axis is sigma squared.
    net = network(replace(TINY, smoothing=3.0))
    point = torch.zeros(1, 3, 61, 61, dtype=torch.float64)
    point[:, :, 30, 30] = 1
    profile = smoothed(point, net.gaussian)[0, 0]
    x = torch.arange(61, dtype=torch.float64) - 30
    assert abs(profile.sum() - 1) < 1e-6
    for axis in (0, 1):
        assert abs((profile.sum(axis) * x**2).sum() - 9) < 0.05
    assert torch.equal(smoothed(point, network(replace(TINY, smoothing=0.0)).gaussian), point)


def test_small_member_maps_its_field() -> None:
    torch.manual_seed(0)
    net = H21Net(H21_SMALL).eval()
    with torch.no_grad():
        assert net(torch.randn(1, 3, 128, 128)).shape == (1, 1, 128, 128)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first_kernel": 3}, "first_kernel - reduction even and from 0 on"),
        ({"kernel": 4}, "an odd kernel"),
        ({"smoothing": -1.0}, "smoothing: -1.0; expected a number of at least 0"),
        ({"pairs": 0}, "expected channels and kernels of at least 1"),
    ],
)
def test_what_cannot_be_built_is_refused(change, message) -> None:
    with pytest.raises(InputError, match=message):
        replace(TINY, **change)
