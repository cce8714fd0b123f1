"""Cost of the shipped D4CNN with its response on a CPU, against what one would write first; one thread, one run."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from machine import median_and_spread

from lensdask.compute import cached_model
from lensdask.compute.devices import torch_settings
from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig, build_d4cnn
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.resmooth import Resmoothed
from lensdask.shear.shapes.response import shapes_with_response

pytestmark = pytest.mark.benchmark

STAMPS, REPEATS = 64, 9
# 64 stamps at a time, whose maps would fill a gigabyte, would be unkind to the straightforward version.
WIDE_STAMPS = 8
PAPER_LIKE = D4CNNConfig(channels=(8,) * 5, grid_points=32, grid_spacing=0.4)


def backward(network: D4CNN, images: Resmoothed) -> torch.Tensor:
    """Straightforward: the orbit as a batch, in torch's own memory format, and one pass backwards for each e_i."""
    value = images.value.clone().requires_grad_()
    e = network(value)
    gradients = [torch.autograd.grad(e[:, i].sum(), value, retain_graph=i == 0)[0] for i in range(2)]
    rows = [(gradient * tangent).sum((-2, -1)) for gradient in gradients for tangent in images[1:]]
    return torch.stack([*e.detach().T, *rows])


def forward(network: D4CNN, images: Resmoothed) -> torch.Tensor:
    """Automatic differentiation along each of the two shears."""
    with torch.no_grad():
        (e, de1), (_, de2) = (torch.func.jvp(network, (images.value,), (tangent,)) for tangent in images[1:])
    return torch.stack([*e.T, de1[:, 0], de2[:, 0], de1[:, 1], de2[:, 1]])


def operations(config: D4CNNConfig) -> int:
    """Return the floating-point operations of the convolutions for one stamp, values and two derivatives."""
    points, total = config.grid_points, 0
    for inputs, outputs, stride in zip((1, *config.channels[:-1]), config.channels, config.strides, strict=True):
        points //= stride
        total += 2 * points**2 * outputs * inputs * (config.kernel_size + stride - 1) ** 2
    return 3 * (8 if config.equivariant else 1) * total


def some_images(config: D4CNNConfig, stamps: int) -> Resmoothed:
    rng = torch.Generator().manual_seed(1)
    return Resmoothed(*10 * torch.randn(3, stamps, config.grid_points, config.grid_points, generator=rng))


def seconds(cases: dict[str, Callable[[], object]]) -> dict[str, np.ndarray]:
    """Return the CPU times of several runs of each case, which take turns so that other load disturbs all alike."""
    times = {name: np.empty(REPEATS) for name in cases}
    for repeat in range(-1, REPEATS):
        for name, function in cases.items():
            began = time.process_time()
            function()
            # The first round, number -1, warms up and is written over by the last.
            times[name][repeat] = time.process_time() - began
    return times


def test_shipped_network_costs_a_quarter_of_the_straightforward_version(record) -> None:
    chosen = find_estimator("d4cnn")
    network = cached_model(build_d4cnn, chosen.weights, str(chosen.sha256), "cpu")
    wide = D4CNN(replace(network.config, grid_points=64, grid_spacing=0.2)).requires_grad_(False)
    wide.load_state_dict(network.state_dict())
    window = D4CNN(replace(network.config, window_fwhm=2.6)).requires_grad_(False)
    window.load_state_dict(network.state_dict())
    images, pixels = some_images(network.config, STAMPS), some_images(wide.config, WIDE_STAMPS)
    matrix = torch.randn(1024, 1024)
    cases = {
        "straightforward, 64 x 64 pixels": lambda: backward(wide, pixels),
        "straightforward, shipped grid": lambda: backward(network, images),
        "shapes_with_response, with a window": lambda: shapes_with_response(window, images),
        "shapes_with_response": lambda: shapes_with_response(network, images),
        "matrix product": lambda: matrix @ matrix,
    }
    with torch_settings():
        torch.testing.assert_close(shapes_with_response(network, images), backward(network, images), rtol=0, atol=1e-5)
        times = seconds(cases)
    rate = 2 * 1024**3 / times.pop("matrix product")
    flops = dict(zip(times, map(operations, (wide.config, *[network.config] * 3)), strict=True))
    each = dict(zip(times, (WIDE_STAMPS, *[STAMPS] * 3), strict=True))
    *_, ours = times
    cost = {name: times[name] / each[name] for name in times}
    rows = [
        {
            "version": name,
            "ms": [1e3 * value for value in median_and_spread(cost[name])],
            "flops": flops[name],
            "flops_per_s": float(np.median(flops[name] / cost[name])),
            "over_ours": median_and_spread(cost[name] / cost[ours]),
        }
        for name in cost
    ]
    print(rows)
    record("network", {"matrix_flops_per_s": float(np.median(rate)), "rows": rows})
    assert rows[0]["over_ours"][0] >= 4
    assert rows[2]["over_ours"][0] <= 1.1


# torch.func.jvp compiles its rules with an interface that torch itself has deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_layer_by_layer_beats_automatic_differentiation_in_the_paper_s_layout() -> None:
    with torch_settings(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = D4CNN(PAPER_LIKE).requires_grad_(False)
        images = some_images(PAPER_LIKE, 16)
        ways = (shapes_with_response, backward, forward)
        times = seconds({way.__name__: lambda way=way: way(network, images) for way in ways})
    print("\npaper's layout, 8 channels, 32 points")
    for name, each in times.items():
        ratio, spread = median_and_spread(each / times["shapes_with_response"])
        print(f"  {name:22s} {1e3 * np.median(each) / 16:6.2f} ms a stamp  {ratio:5.2f} ± {spread:.2f} times lensdask")
    assert min(times, key=lambda name: np.median(times[name])) == "shapes_with_response"
