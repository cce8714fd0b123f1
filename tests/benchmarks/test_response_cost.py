"""Which way to differentiate the network: the shipped one and a narrow one in the paper's layout, one thread."""

import time

import pytest
import torch

from lensdask.compute.devices import torch_settings
from lensdask.shear.d4cnn import D4CNN, SHIPPED, D4CNNConfig
from lensdask.shear.resmooth import Resmoothed
from lensdask.shear.response import FASTEST, shapes_with_response

pytestmark = pytest.mark.benchmark

STAMPS, REPEATS = 64, 5
NETWORKS = {
    "shipped": SHIPPED,
    "paper's layout, 8 channels, 32 points": D4CNNConfig(channels=(8,) * 5, grid_points=32, grid_spacing=0.4),
}


def milliseconds(network, images, mode):
    """Return the least of several times, per stamp: other load only ever adds to it."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        shapes_with_response(network, images, mode)
        times.append(time.perf_counter() - began)
    return 1e3 * min(times) / STAMPS


# torch.func.jvp compiles its rules with an interface that torch itself has deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_faster_mode_is_the_default(name):
    with torch_settings(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = D4CNN(NETWORKS[name]).requires_grad_(False)
        images = Resmoothed(*torch.randn(3, STAMPS, *[NETWORKS[name].grid_points] * 2))
        cost = {mode: milliseconds(network, images, mode) for mode in ("backward", "forward")}
    ratio = cost["forward"] / cost["backward"]
    print(f"\n{name}: backward {cost['backward']:.2f} ms, forward {cost['forward']:.2f} ms, ratio {ratio:.2f}")
    assert min(cost, key=cost.get) == FASTEST
