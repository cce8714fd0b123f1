from dataclasses import replace

import pytest
import torch
from torch import nn

from lensdask.errors import InputError
from lensdask.massmap.networks.miu2net import MIU2NET_PAPER, MIU2NET_SMALL, MIU2Net, MIU2NetConfig

TINY = MIU2NetConfig(
    heights=(5, 3, 0), middle=(2, 2, 3), channels=(3, 4, 5), middle_up=(2, 3), channels_up=(3, 4), output_scale=0.5
)


def network(config: MIU2NetConfig = TINY) -> MIU2Net:
    torch.manual_seed(5)
    return MIU2Net(config).eval()


def some_inputs(height: int, width: int, fields: int = 2) -> torch.Tensor:
    return torch.randn(fields, 2, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("inputs", "parameters"), [("shear", 43_994_893), ("shear+mask", 43_995_469)])
def test_parameters_of_the_paper(inputs, parameters) -> None:
    with torch.device("meta"):
        paper = MIU2Net(replace(MIU2NET_PAPER, inputs=inputs))
    assert sum(parameter.numel() for parameter in paper.parameters()) == parameters


def test_convolutions_of_the_paper() -> None:
    # The published table, by what goes into a block, what runs in it and what comes out; L convolutions on the way
    # down, the one before them, and one less on the way up.
    with torch.device("meta"):
        paper = MIU2Net(MIU2NET_PAPER)
    down = [(2, 32, 64, 7), (64, 32, 128, 6), (128, 64, 256, 5), (256, 128, 512, 4), (512, 256, 512, 4)]
    up = [(128, 16, 64, 7), (256, 32, 64, 6), (512, 64, 128, 5), (1024, 128, 256, 4), (1024, 256, 512, 4)]
    for block, (inputs, middle, outputs, levels) in zip(
        (*paper.down, *paper.up), (*down, (512, 256, 512, 4), *up), strict=True
    ):
        shapes = [(m.in_channels, m.out_channels) for m in block.modules() if isinstance(m, nn.Conv2d)]
        assert shapes[:2] == [(inputs, outputs), (outputs, middle)]
        assert shapes[2 : levels + 1] == (levels - 1) * [(middle, middle)]
        assert shapes[levels + 1 :] == [(2 * middle, outputs), *(levels - 2) * [(2 * middle, middle)]]
    convolutions = [m for m in paper.modules() if isinstance(m, nn.Conv2d)]
    with_bias = [m for m in convolutions if m.bias is not None]
    assert [m.in_channels for m in with_bias] == [64, 64, 128, 256, 512, 512, 6]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (37, 50), (9, 17), (5, 4)])
def test_fields_of_any_size(height, width) -> None:
    maps = network()(some_inputs(height, width))
    assert maps.shape == (2, 4, height, width)
    assert torch.isfinite(maps).all()


def test_fused_map_begins_as_the_mean_of_the_others() -> None:
    maps = network()(some_inputs(32, 32))
    assert maps[:, 1:].std() > 0
    assert torch.allclose(maps[:, 0], maps[:, 1:].mean(dim=1), atol=1e-6)


def test_output_may_be_negative_and_has_its_scale() -> None:
    maps, double = network()(some_inputs(32, 32)), network(replace(TINY, output_scale=1.0))(some_inputs(32, 32))
    assert maps.min() < 0 < maps.max()
    assert torch.equal(2 * maps, double)


def test_stages_are_ever_coarser() -> None:
    # A map interpolated from fewer pixels changes less from pixel to pixel.
    maps = network()(some_inputs(64, 64))[:, 1:]
    roughness = (maps.diff(dim=-1).diff(dim=-1).square().mean((0, 2, 3)) / maps.var((0, 2, 3))).tolist()
    assert roughness == sorted(roughness, reverse=True)


def test_whole_field_reaches_every_pixel() -> None:
    x = some_inputs(64, 64, 1).requires_grad_()
    network()(x)[0, 0, 5, 5].backward()
    assert (x.grad[0, :, -1, -1] != 0).any()


def test_halving_averages() -> None:
    # The mean of the pixels, and what is left over at odd sides, has the same mean.
    seen = []
    net = network()
    net.down[1].register_forward_hook(lambda *call: seen.append(call[1][0]))
    net.down[0].register_forward_hook(lambda *call: seen.append(call[2]))
    net(some_inputs(10, 13))
    fine, coarse = seen
    assert coarse.shape[-2:] == (5, 7)
    assert torch.allclose(coarse[..., 1, 2], fine[..., 2:4, 4:6].mean((-2, -1)), atol=1e-6)
    assert torch.allclose(coarse[..., 1, 6], fine[..., 2:4, 12].mean(-1), atol=1e-6)


def test_every_parameter_learns() -> None:
    net = network().train()
    net(some_inputs(64, 64)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in net.parameters())


def test_small_member_maps_its_field() -> None:
    with torch.no_grad():
        assert network(MIU2NET_SMALL)(torch.randn(1, 5, 128, 128)).shape == (1, 5, 128, 128)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heights": (5, 3)}, "stages down"),
        ({"channels_up": (3, 4, 5)}, "expected as many heights, middle and channels"),
        ({"heights": (5, 2, 0)}, "heights .5, 2, 0.; expected 0 or at least 3"),
        ({"middle": (2, 0, 3)}, "expected channels and kernels of at least 1"),
        ({"inputs": "g1"}, "inputs 'g1'; expected some of shear"),
    ],
)
def test_what_cannot_be_built_is_refused(change, message) -> None:
    with pytest.raises(InputError, match=message):
        replace(TINY, **change)
