from itertools import pairwise

import numpy as np
import pytest

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.sky.cosmology import MASSIVENUS, angular_diameter_distance, comoving_distance, critical_density
from lensdask.sky.haloes import (
    Points,
    Population,
    concentration,
    diffuse_power,
    draw_haloes,
    halo_density,
    halo_population,
    one_halo_power,
)
from lensdask.sky.nfw import Halo, nfw_convergence, scale_angle
from lensdask.sky.painting import paint_haloes
from lensdask.sky.power import MULTIPOLES, convergence_power
from lensdask.sky.sources import find_source
from lensdask.stats import ring_power

SIDE = np.deg2rad(3.5)


def one_halo(mass: float, redshift: float, x: float, y: float) -> Points:
    return Points(*(np.array([value]) for value in (mass, redshift, x, y)))


@pytest.mark.parametrize("redshift", [0.0, 0.55, 1.5])
def test_mass_function_is_that_of_pyccl(redshift: float) -> None:
    pyccl = pytest.importorskip("pyccl")
    pytest.importorskip("camb")
    from lensdask.sky.power import pyccl_cosmology

    mass = np.geomspace(2e12, 2e15, 7)
    function = pyccl.halos.MassFuncTinker08(mass_def="200m")
    expected = function(pyccl_cosmology(MASSIVENUS), mass, 1 / (1 + redshift))
    np.testing.assert_allclose(halo_density(mass, redshift), expected, rtol=0.02)


def test_concentrations_are_those_of_pyccl() -> None:
    pyccl = pytest.importorskip("pyccl")
    pytest.importorskip("camb")
    from lensdask.sky.power import pyccl_cosmology

    mass = np.array([1e13, 1e14, 1e15])
    relation = pyccl.halos.ConcentrationDuffy08(mass_def="200m")
    for redshift in (0.1, 1.0):
        expected = relation(pyccl_cosmology(MASSIVENUS), mass, 1 / (1 + redshift))
        np.testing.assert_allclose(concentration(mass, redshift), expected, rtol=1e-6)


def test_numbers_in_the_fields_are_those_of_the_mass_function() -> None:
    population = halo_population("zs1.0", 3e13)
    drawn = [draw_haloes(one, population, SIDE, seed=1) for one in range(20)]
    mass, redshift = (np.concatenate([getattr(points, name) for points in drawn]) for name in ("mass", "redshift"))
    # The integral of the mass function over the light cone, on a grid of its own.
    z, log_m = np.linspace(0.02, 1.0, 801), np.linspace(np.log10(3e13), 15.8, 401)
    volume = np.gradient(comoving_distance(z) ** 3 / 3, z)
    density = volume[:, None] * halo_density(10.0**log_m, z[:, None]) * 20 * SIDE**2
    for low, high, nearest, farthest in ((13.48, 13.8, 0.02, 0.5), (13.8, 14.2, 0.4, 1.0), (14.2, 15.8, 0.02, 1.0)):
        cells = (z[:, None] >= nearest) & (z[:, None] < farthest) & (log_m >= low) & (log_m < high)
        expected = np.trapezoid(np.trapezoid(np.where(cells, density, 0.0), log_m, axis=1), z)
        chosen = (mass >= 10**low) & (mass < 10**high) & (redshift >= nearest) & (redshift < farthest)
        counted = np.count_nonzero(chosen)
        assert counted == pytest.approx(expected, abs=4 * np.sqrt(expected) + 0.01 * expected)


def test_positions_are_uniform_and_a_field_is_its_own() -> None:
    population = halo_population("zs1.0", 1e13)
    points = draw_haloes(3, population, SIDE, seed=1)
    for place in (points.x, points.y):
        counts = np.histogram(place, bins=10, range=(0, 1))[0]
        assert ((counts - len(place) / 10) ** 2 / (len(place) / 10)).sum() < 27.9  # 0.1 % of a chi² of 9
    again, other = draw_haloes(3, population, SIDE, seed=1), draw_haloes(4, population, SIDE, seed=1)
    np.testing.assert_array_equal(again.mass, points.mass)
    assert len(other.mass) != len(points.mass) or not np.array_equal(other.mass, points.mass)


@pytest.mark.parametrize(("mass", "redshift"), [(3e14, 0.2), (2e13, 0.9), (1e12, 0.95)])
def test_a_painted_halo_has_its_mass_wherever_it_lies(mass: float, redshift: float) -> None:
    for x, y in ((0.5, 0.5), (0.003, 0.9971), (0.31257, 0.7)):
        kappa = paint_haloes(one_halo(mass, redshift, x, y), np.array([7.0]), 128, 0.41)
        assert kappa.sum() == pytest.approx(7.0, rel=1e-12)
        assert kappa.min() == 0
        # On the least area there can be, too.
        assert paint_haloes(one_halo(mass, redshift, x, y), np.array([7.0]), 2, 0.41).sum() == pytest.approx(7.0)


def test_a_painted_halo_has_the_profile_of_its_mass() -> None:
    mass, redshift, scale, area = 5e14, 0.25, 0.41, 256
    source = find_source("zs1.0")
    distance = angular_diameter_distance(redshift)
    total = mass / critical_density(redshift, 1.0) / distance**2 / (scale * ARCMIN) ** 2
    middle = (100.3, 140.8)  # in pixels, as (y, x)
    place = [(pixel + 0.5) / area for pixel in middle]
    kappa = paint_haloes(one_halo(mass, redshift, place[1], place[0]), np.atleast_1d(total), area, scale)
    y, x = np.mgrid[:area, :area]
    theta = scale * np.hypot(y - middle[0], x - middle[1])
    halo = Halo(mass, concentration(mass, redshift), redshift)
    edge = float(scale_angle(halo) * halo.concentration)
    between = (theta > 3 * scale) & (theta < 0.95 * edge)
    expected = nfw_convergence(theta[between], halo, source, truncated=True)
    np.testing.assert_allclose(kappa[between], expected, rtol=0.02)
    np.testing.assert_array_equal(kappa[theta > edge], 0)


def test_painting_many_haloes_is_the_sum_of_painting_each() -> None:
    rng = np.random.default_rng(1)
    count, area = 40, 64
    points = Points(
        10 ** rng.uniform(13, 15, count), rng.uniform(0.1, 0.9, count), rng.random(count), rng.random(count)
    )
    convergence = rng.uniform(1, 2, count)
    together = paint_haloes(points, convergence, area, 1.0)
    one_by_one = sum(
        paint_haloes(Points(*(column[[i]] for column in points)), convergence[[i]], area, 1.0) for i in range(count)
    )
    np.testing.assert_allclose(together, one_by_one, atol=1e-12)


def test_power_of_painted_haloes_is_the_one_halo_term() -> None:
    # Many light haloes, so that the variance of the power is small.
    whole = halo_population("zs1.0", 1e13)
    light = Population(*(column[whole.log_mass < 14] for column in whole))
    area, scale = 256, 0.82
    maps = []
    for one in range(12):
        points = draw_haloes(one, light, area * scale * ARCMIN, seed=2)
        distance = angular_diameter_distance(points.redshift)
        convergence = points.mass / critical_density(points.redshift, 1.0) / (distance * scale * ARCMIN) ** 2
        maps.append(paint_haloes(points, convergence, area, scale))
    edges = np.array([300.0, 600.0, 1200.0, 2400.0])
    _, power = ring_power(np.array(maps), scale, edges)
    error = power.std(axis=0, ddof=1) / np.sqrt(len(maps))
    wave = 2 * np.pi * np.fft.fftfreq(area, scale * ARCMIN)
    ell = np.hypot(wave[:, None], wave[None, :])
    values = one_halo_power(light).at(ell)
    rings = pairwise(edges)
    expected = np.array([values[(ell >= low) & (ell < high)].mean() for low, high in rings])
    # The pixel, which the formula does not know, takes 1 to 3 % of the power of the last ring.
    np.testing.assert_array_less(np.abs(power.mean(axis=0) - expected), 4 * error + 0.03 * expected)


@pytest.mark.parametrize("source", ["zs1.0", "zs2.5", "lsst"])
def test_haloes_and_the_field_between_them_have_the_power_of_theory(source: str) -> None:
    theory = convergence_power(source).at(MULTIPOLES)
    haloes, diffuse = one_halo_power(halo_population(source, 1e13)), diffuse_power(source, 1e13)
    chosen = (MULTIPOLES >= 100) & (MULTIPOLES <= 10000)
    np.testing.assert_allclose((haloes.power + diffuse.power)[chosen], theory[chosen], rtol=1e-3)
    # The haloes do not cluster, so they hold little of the largest scales.
    assert haloes.at(50) < 0.3 * convergence_power(source).at(50)


def test_bad_masses_are_refused() -> None:
    with pytest.raises(InputError, match="minimum_mass"):
        halo_population("zs1.0", 1e10)
