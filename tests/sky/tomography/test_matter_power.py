"""Distances, growth and matter power against another code; the table against what made it."""

import sys

import numpy as np
import pytest

from lensdask.errors import InputError
from lensdask.sky import MASSIVENUS, calibration_cosmologies, grid_cosmologies, matter_power, tomography_cosmology
from lensdask.sky.cosmology import comoving_distance, growth
from lensdask.sky.power import pyccl_cosmology

REDSHIFT = np.linspace(0.05, 1.75, 9)
COSMOLOGIES = [(0.2915, 0.7835), tuple(grid_cosmologies()[1]), tuple(calibration_cosmologies()[-1])]


@pytest.mark.parametrize("point", COSMOLOGIES)
def test_background_and_power_are_those_of_pyccl(point):
    pyccl = pytest.importorskip("pyccl")
    pytest.importorskip("camb")
    cosmology = tomography_cosmology(*point)
    theory = pyccl_cosmology(cosmology)
    a = 1 / (1 + REDSHIFT)
    np.testing.assert_allclose(comoving_distance(REDSHIFT, cosmology), theory.comoving_radial_distance(a), rtol=1e-3)
    np.testing.assert_allclose(growth(REDSHIFT, cosmology), pyccl.growth_factor(theory, a), rtol=1e-3)
    # Between the points of the table.
    k = np.geomspace(2e-3, 55, 301)
    for z in REDSHIFT:
        expected = theory.nonlin_matter_power(k, 1 / (1 + z))
        np.testing.assert_allclose(matter_power(cosmology).at(k, z), expected, rtol=5e-3)
        # Beyond its last wave number.
        assert matter_power(cosmology).at(90, z) == pytest.approx(
            theory.nonlin_matter_power(90.0, 1 / (1 + z)), rel=0.05
        )


def test_other_cosmologies_need_the_theory_code(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyccl", None)
    # Other tests may have made some.
    matter_power.cache_clear()
    assert matter_power(tomography_cosmology(0.2915, 0.7835)).at(0.1, 0.0) > 0
    for cosmology in (tomography_cosmology(0.2915, 0.7836), MASSIVENUS):
        with pytest.raises(InputError, match=r"pyccl is not installed.*theory"):
            matter_power(cosmology)


def test_other_cosmologies_with_the_theory_code():
    pytest.importorskip("pyccl")
    pytest.importorskip("camb")
    near = matter_power(tomography_cosmology(0.2915, 0.7836)).at(0.05, [0.0, 1.0])
    assert near / matter_power(tomography_cosmology(0.2915, 0.7835)).at(0.05, [0.0, 1.0]) == pytest.approx(1, abs=2e-3)
