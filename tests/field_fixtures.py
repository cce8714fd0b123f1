"""Fixtures of the mass-map tests: turns and mirrors of fields, a power, an NFW cluster."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from lensdask.maps.fields import ShearMaps
from lensdask.sky.power import ConvergencePower

Array = np.ndarray

POWER_LAW = ConvergencePower(np.geomspace(1, 1e6, 61), 1e-5 * np.geomspace(1, 1e6, 61) ** -1.2)
"""Roughly the power of sources at redshift 1."""


@pytest.fixture(scope="session")
def power() -> ConvergencePower:
    return POWER_LAW


class Move(NamedTuple):
    """One of the eight turns and mirrors of a field, written down apart from the package's own."""

    turns: int
    mirror: bool

    def scalar(self, maps: Array) -> Array:
        turned = np.rot90(maps, self.turns, axes=(-2, -1))
        return np.ascontiguousarray(turned[..., ::-1, :] if self.mirror else turned)

    def shear(self, g1: Array, g2: Array) -> tuple[Array, Array]:
        sign = (-1) ** self.turns
        return sign * self.scalar(g1), (-sign if self.mirror else sign) * self.scalar(g2)


@pytest.fixture(scope="session")
def moves() -> list[Move]:
    return [Move(turns, mirror) for turns in range(4) for mirror in (False, True)]


@pytest.fixture(scope="session")
def noisy_maps() -> Callable[..., ShearMaps]:
    """Draw maps of noise with uneven weights, empty pixels and a hole."""

    def drawn(shape: tuple[int, ...], seed: int) -> ShearMaps:
        rng = np.random.default_rng(seed)
        count = rng.poisson(3.0, shape)
        mask = np.ones(shape, dtype=np.int8)
        mask[..., : shape[-2] // 3, 1 : shape[-1] // 3] = 0
        weight = count * mask / 0.24**2
        sigma = 1 / np.sqrt(np.where(weight > 0, weight, 1.0))
        g1, g2 = (np.where(weight > 0, np.clip(sigma * rng.normal(size=shape), -0.6, 0.6), 0.0) for _ in range(2))
        return ShearMaps(g1, g2, weight, np.zeros(shape), mask)

    return drawn


@pytest.fixture(scope="session")
def gaussian_mass() -> Callable[..., tuple[Array, Array, Array]]:
    """Draw kappa = a exp(-r²/2s²) about a point and its shear on an endless sky, from the mean within circles."""

    def drawn(size: int, sigma: float, x0: float = 0.0, y0: float = 0.0) -> tuple[Array, Array, Array]:
        offset = np.arange(size) - (size - 1) / 2
        x, y = offset[None, :] - x0, offset[:, None] - y0
        square = np.maximum(x**2 + y**2, 1e-12)
        kappa = 0.1 * np.exp(-square / (2 * sigma**2))
        tangential = 0.1 * 2 * sigma**2 / square * -np.expm1(-square / (2 * sigma**2)) - kappa
        return kappa, -tangential * (x**2 - y**2) / square, -tangential * 2 * x * y / square

    return drawn


@pytest.fixture(scope="session")
def nfw_cluster() -> tuple[Array, Array, Array, float]:
    """Convergence and shear of a cluster of 5e14 Msun/h at z = 0.3 for sources at z = 1: 512² pixels of 0.41'."""
    size, scale = 512, 0.41
    offset = (np.arange(size) - (size - 1) / 2) * scale * 60
    x, y = (axis.ravel() for axis in np.meshgrid(offset, offset))
    import galsim

    halo = galsim.NFWHalo(mass=5e14, conc=4.0, redshift=0.3, omega_m=0.3, omega_lam=0.7)
    with warnings.catch_warnings():
        # GalSim's own ufuncs with where= and no out=.
        warnings.simplefilter("ignore")
        g1, g2 = halo.getShear((x, y), 1.0, reduced=False)
        kappa = halo.getConvergence((x, y), 1.0)
    return (*(np.asarray(values).reshape(size, size) for values in (kappa, g1, g2)), scale)
