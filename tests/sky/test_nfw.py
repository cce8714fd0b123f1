import warnings

import galsim
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.sky.cosmology import MASSIVENUS, Cosmology, angular_diameter_distance, critical_density, matter_density
from lensdask.sky.nfw import (
    Halo,
    cylinder_mass,
    nfw_convergence,
    nfw_mass,
    nfw_shear,
    nfw_transform,
    scale_angle,
    surface_density,
    virial_radius,
)
from lensdask.sky.sources import Source

PLANE = Source(np.array([1.0]), np.array([1.0]))
RADII = np.array([0.05, 0.3, 0.99995, 1.0, 1.00005, 1.0002, 2.5, 3.99])


@pytest.mark.parametrize("c", [4.0, 9.0])
@pytest.mark.parametrize("truncated", [True, False])
def test_projections_are_integrals_along_the_line_of_sight(c: float, truncated: bool) -> None:
    for x in RADII:
        end = np.sqrt(c**2 - x**2) if truncated else np.inf

        def density(s: float, x: float = x) -> float:
            r = np.hypot(x, s)
            return 1 / (r * (1 + r) ** 2)

        # Σ = 2 ρ_s r_s F is twice the half line of sight.
        expected = quad(density, 0, end, epsabs=0, epsrel=1e-11)[0]
        assert surface_density(x, c, truncated=truncated) == pytest.approx(expected, rel=3e-7)
    # G is the integral of F over the disc: 4 π ρ_s r_s³ G = 2 ρ_s r_s ∫ F 2 π r dr.
    for x in (0.3, 1.0, 2.5):
        disc = quad(lambda r: r * surface_density(r, c, truncated=truncated), 0, x, points=[min(x, 0.999)], epsrel=1e-9)
        assert cylinder_mass(x, c, truncated=truncated) == pytest.approx(disc[0], rel=1e-6)


def test_a_cut_halo_holds_its_mass_and_nothing_is_beyond_it() -> None:
    c = np.array([3.0, 7.0])
    np.testing.assert_allclose(cylinder_mass(c, c), nfw_mass(c), rtol=1e-12)
    np.testing.assert_allclose(cylinder_mass(5 * c, c), nfw_mass(c), rtol=1e-12)
    np.testing.assert_array_equal(surface_density(1.001 * c, c), 0)


@settings(deadline=None)
@given(c=st.floats(2.0, 20.0), wave=st.floats(0.01, 30.0))
def test_transform_is_that_of_the_sphere(c: float, wave: float) -> None:
    # ∫ 4 π r² ρ sin(k r) / (k r) dr, with r ρ r = r / (1 + r)² for r in scale radii.
    integral = quad(lambda r: np.sin(wave * r) / (wave * (1 + r) ** 2), 0, c, limit=500, epsabs=1e-11)[0]
    assert nfw_transform(wave, c) == pytest.approx(integral / float(nfw_mass(c)), rel=1e-6, abs=1e-9)


def test_convergence_and_shear_are_those_of_galsim() -> None:
    # GalSim's mass is M200c in Msun / h. Its constants have three digits (c / H0 = 3000 Mpc / h, M^0.3333).
    mass, c, z_lens, z_source = 5e14, 4.0, 0.3, 1.0
    lens = galsim.NFWHalo(mass * MASSIVENUS.h, c, z_lens, omega_m=0.3, omega_lam=0.7)
    halo = Halo(mass, c, z_lens, "200c")
    assert 60 * scale_angle(halo) == pytest.approx(lens.rs_arcsec, rel=2e-3)
    x = np.array([0.1, 0.4, 0.95, 1.5, 4.0, 12.0])
    kappa, gamma = (profile(x * scale_angle(halo), halo, PLANE) for profile in (nfw_convergence, nfw_shear))
    positions = (x * lens.rs_arcsec, np.zeros(6))
    theirs, unit = lens.getConvergence(positions, z_source), lens.getConvergence((0.5 * lens.rs_arcsec, 0.0), z_source)
    np.testing.assert_allclose(kappa, theirs, rtol=2e-3)
    # At the same number of scale radii, in units of the convergence at one of them, constants drop out.
    ours = float(nfw_convergence(0.5 * scale_angle(halo), halo, PLANE))
    np.testing.assert_allclose(kappa / ours, theirs / unit, rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised inside GalSim
        gamma1, gamma2 = lens.getShear(positions, z_source, reduced=False)
    np.testing.assert_allclose(-gamma / ours, gamma1 / unit, rtol=1e-6)
    np.testing.assert_allclose(gamma2, 0, atol=1e-10)


@pytest.mark.parametrize("definition", ["200m", "200c"])
def test_mass_of_the_map_is_the_mass_of_the_halo(definition: str) -> None:
    halo = Halo(3e14, 5.0, 0.4, definition)
    radius = float(virial_radius(halo) / angular_diameter_distance(0.4) / ARCMIN)
    total = quad(
        lambda t: 2 * np.pi * t * nfw_convergence(t, halo, PLANE, truncated=True), 1e-6, radius, epsrel=1e-8, limit=200
    )[0]
    mass = total * (ARCMIN * angular_diameter_distance(0.4)) ** 2 * critical_density(0.4, 1.0)
    assert mass == pytest.approx(3e14, rel=1e-4)


def test_outside_a_cut_halo_its_shear_is_that_of_a_point() -> None:
    halo = Halo(3e14, 5.0, 0.4)
    edge = float(5 * scale_angle(halo))
    theta = edge * np.array([1.1, 2.0, 4.0])
    proper = theta * ARCMIN * angular_diameter_distance(0.4)
    expected = 3e14 / (np.pi * proper**2) / critical_density(0.4, 1.0)
    np.testing.assert_allclose(nfw_shear(theta, halo, PLANE, truncated=True), expected, rtol=1e-10)


def test_virial_spheres_have_the_density_they_say() -> None:
    other = Cosmology(0.68, 0.25, 0.045, 0.8, 0.96)
    volume = 4 / 3 * np.pi * virial_radius(Halo(1e14, 5.0, 0.5), other) ** 3
    assert 1e14 / volume == pytest.approx(200 * matter_density(other) * 1.5**3)
    volume = 4 / 3 * np.pi * virial_radius(Halo(1e14, 5.0, 0.0001, "200c"), other) ** 3
    assert 1e14 / volume == pytest.approx(200 * matter_density(other) / 0.25, rel=1e-3)
    with pytest.raises(InputError, match="expected one of 200m, 200c"):
        virial_radius(Halo(1e14, 5.0, 0.5, "500c"))
