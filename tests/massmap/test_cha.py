from dataclasses import replace

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from lensdask.errors import InputError
from lensdask.massmap.networks.cha import CHA_PAPER, CHA_SMALL, ChaConfig, ChaNet

TINY = ChaConfig(channels=2, first_kernels=(3, 5, 9), large_kernel=9)


def network(config: ChaConfig) -> ChaNet:
    torch.manual_seed(3)
    made = ChaNet(config).double()
    for parameter in made.parameters():
        # Biases too.
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return made


def some_inputs(height: int, width: int, fields: int = 2) -> torch.Tensor:
    return torch.randn(fields, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def table_1(parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the map of Table 1, layer by layer, in torch's own convolutions."""
    p = parameters

    def active(maps: torch.Tensor) -> torch.Tensor:
        return leaky_relu(maps, 0.2)

    first = [
        active(conv2d(x, p[f"first.{i}.weight"], p[f"first.{i}.bias"], padding=side // 2))
        for i, side in enumerate((3, 5, 9))
    ]
    concatenate = torch.cat(first, dim=1)
    conv_3 = active(conv2d(concatenate, p["gather.0.weight"], p["gather.0.bias"]))
    trans_0 = active(conv_transpose2d(conv_3, p["spread.0.weight"], p["spread.0.bias"]))
    multiply = trans_0 * concatenate
    conv_4 = active(conv2d(multiply, p["gather.1.weight"], p["gather.1.bias"]))
    trans_1 = active(conv_transpose2d(conv_4, p["spread.1.weight"], p["spread.1.bias"]))
    return conv2d(trans_1, p["last.weight"], p["last.bias"])


def test_parameters_of_the_paper() -> None:
    with torch.device("meta"):
        paper = ChaNet(CHA_PAPER)
        other = ChaNet(replace(CHA_PAPER, second_skip=True))
    assert sum(p.numel() for p in paper.parameters()) == 5_606_617
    assert sum(p.numel() for p in other.parameters()) == 5_606_617
    first = [tuple(layer.weight.shape) for layer in paper.first]
    assert first == [(8, 3, 9, 9), (8, 3, 25, 25), (8, 3, 49, 49)]
    assert {tuple(layer.weight.shape) for layer in (*paper.gather, *paper.spread)} == {(24, 24, 49, 49)}


def test_network_is_table_1() -> None:
    net, x = network(TINY).eval(), some_inputs(20, 17)
    expected = table_1(net.state_dict(), x)
    assert expected.std() > 0.1
    assert (net(x) - expected).abs().max() < 1e-10 * expected.abs().max()


def test_second_skip_multiplies_again() -> None:
    net, x = network(TINY).eval(), some_inputs(20, 17)
    skipping = network(replace(TINY, second_skip=True)).eval()
    assert (skipping(x) - net(x)).abs().max() > 0.1 * net(x).std()
    # With gates of 1 and a second pair that gives 1, what is left of the network is its first layer.
    for pair in (0, 1):
        for layer, bias in ((skipping.gather[pair], 0.0), (skipping.spread[pair], 1.0)):
            layer.weight.data.zero_()
            layer.bias.data.fill_(bias)
    first = torch.cat([leaky_relu(layer(x), 0.2) for layer in skipping.first], dim=1)
    assert (skipping(x) - skipping.last(first)).abs().max() < 1e-12


def test_scale_of_the_output() -> None:
    net, x = network(TINY).eval(), some_inputs(12, 12)
    scaled = network(replace(TINY, output_scale=0.02)).eval()
    assert torch.allclose(scaled(x), 0.02 * net(x), rtol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(9, 9), (9, 30), (41, 26)])
def test_fields_of_any_size(height, width) -> None:
    assert network(TINY)(some_inputs(height, width)).shape == (2, 1, height, width)


def test_field_smaller_than_the_kernel_is_refused() -> None:
    with pytest.raises(InputError, match="field of 30 x 24 pixels; expected at least the kernel's 25 x 25"):
        ChaNet(CHA_SMALL)(torch.zeros(1, 5, 30, 24))


def test_a_pixel_knows_what_the_kernels_reach() -> None:
    # Half of the first kernel, then all but one pixel of each of two kernels to either side.
    net, reach = network(TINY).eval(), 4 + 2 * 8
    x = some_inputs(61, 61, 1).requires_grad_()
    net(x)[0, 0, 30, 30].backward()
    reached = x.grad[0].abs().sum(0)
    # FFTs leave rounding elsewhere.
    rows, columns = (reached > 1e-9 * reached.max()).nonzero(as_tuple=True)
    for place in (rows, columns):
        assert (place.min().item(), place.max().item()) == (30 - reach, 30 + reach)


def test_dropout_is_for_training() -> None:
    net, x = network(TINY), some_inputs(20, 20)
    torch.manual_seed(0)
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))
    dropped = torch.nn.functional.dropout(torch.ones(4000), net.dropout.p)
    assert abs((dropped == 0).float().mean() - 0.25) < 0.03


def test_every_parameter_learns() -> None:
    net = network(TINY)
    net(some_inputs(20, 20)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in net.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 0}, "expected channels and kernels of at least 1"),
        ({"dropout": 1.0}, "expected numbers from 0 to below 1"),
        ({"inputs": "shear+colour"}, "inputs 'shear[+]colour'; expected some of shear"),
        ({"inputs": "shear+shear"}, "expected some of shear"),
        ({"input_scale": 0.0}, "input_scale: 0.0; expected a positive number"),
    ],
)
def test_what_cannot_be_built_is_refused(change, message) -> None:
    with pytest.raises(InputError, match=message):
        replace(CHA_PAPER, **change)
