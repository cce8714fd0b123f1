"""Nobody compiles the response unseen: torch 2.13's inductor drops forward-mode derivatives without a word."""

import re
from pathlib import Path

import pytest
import torch
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual

import lensdask
from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig
from lensdask.shear.shapes.resmooth import Resmoothed
from lensdask.shear.shapes.response import shapes_with_response

CONFIG = D4CNNConfig(channels=(4, 8), strides=(1, 2), hidden=8, grid_points=16, grid_spacing=0.4)
COMPILES = re.compile(r"torch\s*\.\s*(compile|jit|_dynamo|_inductor)\b|\.compile\(")


def test_nothing_in_the_package_is_compiled():
    # Whoever compiles the response shows below that the compiled one agrees with forward-mode derivatives, eagerly.
    package = Path(lensdask.__file__).parent
    found = [
        f"{path.relative_to(package)}: {line}"
        for path in package.rglob("*.py")
        for line in path.read_text().splitlines()
        if COMPILES.search(line) and "re.compile" not in line
    ]
    assert found == []


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # inside torch
def test_the_response_is_the_forward_mode_derivative():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = D4CNN(CONFIG).double().eval().requires_grad_(False)
        planes = 10 * torch.randn(3, 5, 16, 16, dtype=torch.float64)
    found = shapes_with_response(network, Resmoothed(*planes))
    for component in (0, 1):
        with dual_level():
            e = unpack_dual(network(make_dual(planes[0], planes[1 + component])))
        # Columns are e1, e2, de1_dg1, de1_dg2, de2_dg1, de2_dg2.
        assert e.tangent.abs().min() > 0
        torch.testing.assert_close(found[:2].T, e.primal)
        torch.testing.assert_close(found[[2 + component, 4 + component]].T, e.tangent)
