"""Mass maps of networks and of the Wiener filter are those of the CPU."""

import numpy as np
import pytest

from lensdask.arrays import to_numpy, to_torch
from lensdask.maps.fields import ShearMaps
from lensdask.massmap.classical.wiener_filter import wiener
from lensdask.massmap.method import find_method
from lensdask.massmap.products import convergence_of
from lensdask.sky.power import ConvergencePower

FIELDS, SIDE = 3, 64


@pytest.fixture(scope="module")
def maps():
    rng = np.random.default_rng(2)
    mask = (rng.random((FIELDS, SIDE, SIDE)) > 0.1).astype(np.float64)
    g1, g2 = rng.normal(scale=0.05, size=(2, FIELDS, SIDE, SIDE)) * mask
    return ShearMaps(g1, g2, 400 * mask, 0 * mask, mask)


@pytest.mark.parametrize("name", ["miu2net", "h21", "cha"])
def test_networks(device, maps, name):
    method = find_method(name)
    there = convergence_of(maps, method, pixel_scale=0.82, device=device)
    # One field alone: the others in a call change nothing.
    here = convergence_of(ShearMaps(*(part[1:2] for part in maps)), method, pixel_scale=0.82)
    np.testing.assert_allclose(there[1:2], here, atol=1e-4 * np.abs(here).max())


def test_wiener(device, maps):
    ell = np.geomspace(1, 1e6, 61)
    settings = {"pixel_scale": 0.82, "power": ConvergencePower(ell, 1e-5 * ell**-1.2)}
    here = wiener(*maps[:3], **settings)
    there = wiener(*(to_torch(part, device) for part in maps[:3]), **settings)
    assert there.kappa.device.type == device
    np.testing.assert_allclose(to_numpy(there.kappa), here.kappa, atol=1e-5 * np.abs(here.kappa).max())
    assert abs(there.iterations - here.iterations) <= 1
