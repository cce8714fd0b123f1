from dataclasses import replace

import astropy.constants as const
import astropy.units as u
import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM, FlatwCDM
from scipy.integrate import quad, solve_ivp

from lensdask.sky.cosmology import (
    CHA,
    LENSING_DENSITY,
    MASSIVENUS,
    Cosmology,
    angular_diameter_distance,
    comoving_distance,
    critical_density,
    expansion,
    growth,
    inverse_critical_density,
    matter_density,
)

OTHER = Cosmology(h=0.68, omega_m=0.25, omega_b=0.045, sigma8=0.8, n_s=0.96)
ASTROPY = FlatLambdaCDM(H0=68, Om0=0.25, Tcmb0=0)
REDSHIFTS = np.array([0.05, 0.5, 1.0, 3.0])


def test_distances_and_expansion_are_those_of_astropy() -> None:
    np.testing.assert_allclose(comoving_distance(REDSHIFTS, OTHER), ASTROPY.comoving_distance(REDSHIFTS).value)
    angular = ASTROPY.angular_diameter_distance(REDSHIFTS).value
    np.testing.assert_allclose(angular_diameter_distance(REDSHIFTS, OTHER), angular)
    np.testing.assert_allclose(expansion(REDSHIFTS, OTHER), ASTROPY.efunc(REDSHIFTS))


def test_constants_are_those_of_astropy() -> None:
    unit = (const.c**2 / (4 * np.pi * const.G)).to_value(u.Msun / u.Mpc)
    assert pytest.approx(unit, rel=1e-4) == LENSING_DENSITY
    density = 0.25 * ASTROPY.critical_density0.to_value(u.Msun / u.Mpc**3)
    assert matter_density(OTHER) == pytest.approx(density, rel=1e-4)


def test_critical_density_from_three_distances() -> None:
    # Σc = c² / (4 π G) D_s / (D_l D_ls), all from astropy.
    z_lens, z_source = np.array([0.1, 0.3, 0.5]), 1.2
    d_l, d_s = ASTROPY.angular_diameter_distance(z_lens), ASTROPY.angular_diameter_distance(z_source)
    d_ls = ASTROPY.angular_diameter_distance(z_lens, z_source)
    expected = (const.c**2 / (4 * np.pi * const.G) * d_s / (d_l * d_ls)).to_value(u.Msun / u.Mpc**2)
    np.testing.assert_allclose(critical_density(z_lens, z_source, OTHER), expected, rtol=1e-4)


def test_what_is_behind_the_source_does_not_lens() -> None:
    assert np.isinf(critical_density([0.8, 1.0, 0.5], [0.8, 0.5, 0.0])).all()
    np.testing.assert_array_equal(inverse_critical_density([0.8, 1.0, 0.5], [0.8, 0.5, 0.0]), 0)


def test_growth_solves_its_equation() -> None:
    # Heath's integral by adaptive quadrature, and D ∝ a while matter dominates.
    def brute(z: float) -> float:
        integral = quad(lambda at: (1 + at) / expansion(at, OTHER) ** 3, z, np.inf, epsrel=1e-10)[0]
        return float(expansion(z, OTHER)) * integral

    np.testing.assert_allclose(growth(REDSHIFTS, OTHER), [brute(z) / brute(0.0) for z in REDSHIFTS], rtol=1e-8)
    assert growth(0.0) == pytest.approx(1)
    assert growth(99.0) / growth(49.0) == pytest.approx(0.5, rel=1e-4)
    einstein_de_sitter = Cosmology(0.7, 1.0, 0.05, 0.8, 1.0)
    np.testing.assert_allclose(growth(REDSHIFTS, einstein_de_sitter), 1 / (1 + REDSHIFTS), rtol=1e-12)


def test_cha_has_the_distances_of_the_paper() -> None:
    # 1 Mpc at the redshift of Coma, 0.0231, is 35.7 arcmin in flat ΛCDM with h = 0.7 and Ωm = 0.3.
    assert np.rad2deg(1 / angular_diameter_distance(0.0231, CHA)) * 60 == pytest.approx(35.7, abs=0.1)
    np.testing.assert_array_equal(comoving_distance(REDSHIFTS, CHA), comoving_distance(REDSHIFTS, MASSIVENUS))


@pytest.mark.parametrize("w", [-0.6, -1.3])
def test_dark_energy_of_another_pressure(w: float) -> None:
    cosmology = replace(OTHER, w=w)
    astropy = FlatwCDM(H0=68, Om0=0.25, w0=w, Tcmb0=0)
    np.testing.assert_allclose(comoving_distance(REDSHIFTS, cosmology), astropy.comoving_distance(REDSHIFTS).value)
    np.testing.assert_allclose(expansion(REDSHIFTS, cosmology), astropy.efunc(REDSHIFTS))

    def grows(ln_a: float, state: tuple[float, float]) -> list[float]:
        z = np.exp(-ln_a) - 1
        matter = float(astropy.Om(z))
        friction = 0.5 - 1.5 * w * (1 - matter)
        return [state[1], 1.5 * matter * state[0] - friction * state[1]]

    start = -9.0
    solved = solve_ivp(grows, (start, 0), [np.exp(start)] * 2, rtol=1e-10, atol=1e-14, dense_output=True)
    expected = solved.sol(-np.log1p(REDSHIFTS))[0] / solved.sol(0.0)[0]
    np.testing.assert_allclose(growth(REDSHIFTS, cosmology), expected, rtol=1e-6)
    # And close to Λ it is Heath's integral.
    np.testing.assert_allclose(growth(REDSHIFTS, replace(OTHER, w=-1 + 1e-9)), growth(REDSHIFTS, OTHER), rtol=1e-8)
