from itertools import pairwise

import numpy as np
import pytest
from astropy import constants, units
from astropy.cosmology import FlatLambdaCDM
from scipy.ndimage import gaussian_filter

from lensdask.errors import InputError
from lensdask.maps.statistics.profiles import azimuthal_profile, fit_halo, radial_profile
from lensdask.sky.sources import SOURCES

SCALE = 0.41
COSMOLOGY = FlatLambdaCDM(H0=70, Om0=0.3, Tcmb0=0)
COMA = {"mass": 7.4e14, "concentration": 4.0, "redshift": 0.0231}


def lens_and_critical_density(redshift, source_redshift):
    lens, source = (COSMOLOGY.angular_diameter_distance(z) for z in (redshift, source_redshift))
    between = source - lens * (1 + redshift) / (1 + source_redshift)  # in a flat universe
    return lens, constants.c**2 / (4 * np.pi * constants.G) * source / (lens * between)


def wright_brainerd(theta, mass, concentration, redshift, source_redshift=1.0):
    """Return κ of an NFW halo of mass M200c at a distance in arcmin (Wright & Brainerd 2000, equation 11)."""
    density = COSMOLOGY.critical_density(redshift)
    radius = np.cbrt(3 * mass * units.Msun / (4 * np.pi * 200 * density)).to(units.Mpc) / concentration
    lens, critical = lens_and_critical_density(redshift, source_redshift)
    contrast = 200 / 3 * concentration**3 / (np.log1p(concentration) - concentration / (1 + concentration))
    x = np.asarray(theta) * units.arcmin.to(units.rad) * (lens / radius).to_value("")
    root = np.sqrt(np.abs(1 - x) / (1 + x))
    inner = 1 - 2 / np.sqrt(np.abs(1 - x**2)) * np.arctanh(np.minimum(root, 1 - 1e-12))
    outer = 1 - 2 / np.sqrt(np.abs(x**2 - 1)) * np.arctan(root)
    shape = np.where(x < 1, inner, outer) / (x**2 - 1)
    return (2 * radius * contrast * density / critical).to_value("") * shape


def drawn(half, *, fine=5, smoothing=0.0, **halo):
    """Draw the map of a halo, (2 half + 1)² pixels: on a finer grid, smoothed there, then averaged over pixels."""
    n = (2 * half + 1) * fine
    y, x = (np.mgrid[:n, :n] - (n - 1) / 2) * SCALE / fine
    image = wright_brainerd(np.maximum(np.hypot(x, y), 0.38 * SCALE / fine), **halo)
    image = gaussian_filter(image, smoothing * fine / SCALE, mode="nearest") if smoothing else image
    return image.reshape(2 * half + 1, fine, 2 * half + 1, fine).mean(axis=(1, 3))


def test_radial_profile_is_the_mean_in_rings():
    kappa = np.random.default_rng(1).normal(size=(30, 40))
    mask = np.random.default_rng(2).uniform(size=kappa.shape) < 0.8
    edges = np.array([0.0, 1.0, 2.5, 4.0])
    found = radial_profile(np.where(mask, kappa, np.nan), (12.3, 20.6), edges, pixel_scale=SCALE, mask=mask)
    y, x = np.mgrid[:30, :40]
    radius = SCALE * np.hypot(y - 12.3, x - 20.6)
    for ring in range(3):
        values = kappa[mask & (radius >= edges[ring]) & (radius < edges[ring + 1])]
        assert found.kappa[ring] == pytest.approx(values.mean())
        assert found.scatter[ring] == pytest.approx(values.std())
        assert found.pixels[ring] == len(values)


def test_ring_without_pixels():
    with pytest.raises(InputError, match="ring of 90 to 95 arcmin: no pixel"):
        radial_profile(np.zeros((9, 9)), (4, 4), np.array([0.0, 90, 95]), pixel_scale=SCALE)


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_fit_gives_back_the_halo(smoothing):
    halo = {"mass": 4e14, "concentration": 5.0, "redshift": 0.3}
    edges = np.geomspace(1.0, 10.0, 9)
    kappa = drawn(50, smoothing=smoothing, **halo) + 0.003
    profile = radial_profile(kappa, (50, 50), edges, pixel_scale=SCALE)
    fit = fit_halo(
        profile,
        np.full(8, 1e-3),
        redshift=0.3,
        source=SOURCES["zs1.0"],
        pixel_scale=SCALE,
        smoothing=smoothing,
        background=0.003,
    )
    assert fit.mass == pytest.approx(4e14, rel=0.01)
    assert fit.concentration == pytest.approx(5.0, rel=0.02)
    assert fit.degrees == 6
    assert fit.mass_range[0] < fit.mass < fit.mass_range[1]


def test_fit_of_a_cluster_like_coma():
    # One radian is 95 Mpc away: 1 Mpc is 36 arcmin.
    kappa = drawn(150, fine=1, **COMA)
    profile = radial_profile(kappa, (150, 150), np.geomspace(3.0, 60.0, 11), pixel_scale=SCALE)
    settings = {"redshift": 0.0231, "source": SOURCES["zs1.0"], "pixel_scale": SCALE}
    fit = fit_halo(profile, np.full(10, 1e-3), **settings)
    assert fit.mass == pytest.approx(7.4e14, rel=0.01)
    held = fit_halo(profile, np.full(10, 1e-3), concentration=4.0, **settings)
    assert held.mass == pytest.approx(7.4e14, rel=0.01)
    assert held.concentration_range == (4.0, 4.0)
    # Concentration and mass trade against each other.
    assert held.mass_range[1] - held.mass_range[0] < fit.mass_range[1] - fit.mass_range[0]


def test_formula_of_the_oracle_is_that_of_colossus():
    cosmology = pytest.importorskip("colossus.cosmology.cosmology")
    profile_nfw = pytest.importorskip("colossus.halo.profile_nfw")
    parameters = {"flat": True, "H0": 70, "Om0": 0.3, "Ob0": 0.046, "sigma8": 0.85, "ns": 0.97, "relspecies": False}
    cosmology.setCosmology("cha", persistence="", **parameters)
    profile = profile_nfw.NFWProfile(M=COMA["mass"] * 0.7, c=4.0, z=COMA["redshift"], mdef="200c")
    theta = np.geomspace(3, 60, 12)
    lens, critical = lens_and_critical_density(COMA["redshift"], 1.0)
    kpc_over_h = theta * units.arcmin.to(units.rad) * lens.to_value(units.kpc) * 0.7
    sigma = profile.surfaceDensity(kpc_over_h) * 0.7 * units.Msun / units.kpc**2
    np.testing.assert_allclose(wright_brainerd(theta, **COMA), (sigma / critical).to_value(""), rtol=2e-3)


def test_errors_of_the_fit_are_the_scatter_of_fits():
    halo = {"mass": 4e14, "concentration": 5.0, "redshift": 0.3}
    kappa, edges, noise = drawn(30, **halo), np.geomspace(1.0, 10.0, 9), 0.05
    rng = np.random.default_rng(4)
    pulls = []
    for _ in range(40):
        profile = radial_profile(kappa + rng.normal(scale=noise, size=kappa.shape), (30, 30), edges, pixel_scale=SCALE)
        fit = fit_halo(
            profile,
            noise / np.sqrt(profile.pixels),
            redshift=0.3,
            source=SOURCES["zs1.0"],
            pixel_scale=SCALE,
            concentration=5.0,
        )
        width = np.log(fit.mass_range[1] / fit.mass_range[0]) / 2
        pulls.append(np.log(fit.mass / 4e14) / width)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(40)
    assert np.std(pulls) == pytest.approx(1, abs=4 / np.sqrt(80))


@pytest.mark.parametrize("errors", [np.zeros(8), np.full(8, np.nan)])
def test_fit_needs_errors(errors):
    profile = radial_profile(np.ones((61, 61)), (30, 30), np.geomspace(1, 10, 9), pixel_scale=SCALE)
    with pytest.raises(InputError, match="errors above 0"):
        fit_halo(profile, errors, redshift=0.3, source=SOURCES["zs1.0"], pixel_scale=SCALE)


def test_azimuthal_profile_is_the_mean_over_rings_of_sectors():
    kappa = np.random.default_rng(5).normal(size=(41, 43))
    edges, sectors = np.array([1.0, 3.0, 5.0, 7.0]), 12
    found = azimuthal_profile(kappa, (20, 21), edges, sectors, pixel_scale=SCALE)
    y, x = np.mgrid[:41, :43]
    radius = SCALE * np.hypot(y - 20, x - 21)
    angle = np.rad2deg(np.arctan2(y - 20, x - 21)) % 360
    for s in range(sectors):
        rings, excess = [], []
        for low, high in pairwise(edges):
            ring = (radius >= low) & (radius < high)
            part = kappa[ring & (angle >= 30 * s) & (angle < 30 * s + 30)].mean()
            rings.append(part)
            excess.append(part - kappa[ring].mean())
        assert found.angle[s] == 30 * s + 15
        assert found.kappa[s] == pytest.approx(np.mean(rings))
        assert found.excess[s] == pytest.approx(np.mean(excess))
        assert found.error[s] == pytest.approx(np.std(excess, ddof=1) / np.sqrt(3))


def test_azimuthal_profile_shows_filaments_and_not_the_halo():
    y, x = np.mgrid[:121, :121] - 60
    radius, kappa = np.hypot(x, y), 0.3 / (1 + np.hypot(x, y) / 10) ** 2
    for degrees in (50, 290):
        turned = x * np.cos(np.deg2rad(degrees)) + y * np.sin(np.deg2rad(degrees))
        across = x * np.sin(np.deg2rad(degrees)) - y * np.cos(np.deg2rad(degrees))
        kappa = kappa + 0.02 * np.exp(-(across**2) / 2 / 4**2) * (turned > 0)
    edges = np.arange(15, 55, 5) * SCALE
    found = azimuthal_profile(kappa, (60, 60), edges, 18, pixel_scale=SCALE)
    assert set(found.angle[np.argsort(found.excess)[-2:]]) == {50, 290}
    assert found.excess.max() > 5 * found.error[np.argmax(found.excess)]
    round_halo = azimuthal_profile(0.3 / (1 + radius / 10) ** 2, (60, 60), edges, 18, pixel_scale=SCALE)
    assert np.abs(round_halo.excess).max() < 2e-3


def test_azimuthal_profile_of_a_footprint():
    kappa, mask = np.random.default_rng(6).normal(size=(61, 61)), np.ones((61, 61))
    mask[:30, :30] = 0
    holed = np.where(mask, kappa, np.nan)
    with pytest.raises(InputError, match="one has no pixel"):
        azimuthal_profile(holed, (30, 30), np.array([2.0, 5, 9]), 12, pixel_scale=SCALE, mask=mask)
    found = azimuthal_profile(holed, (30, 30), np.array([2.0, 5, 9]), 3, pixel_scale=SCALE, mask=mask)
    assert np.isfinite(np.stack(found)).all()
    one = azimuthal_profile(kappa, (30, 30), np.array([2.0, 9]), 3, pixel_scale=SCALE)
    assert np.isnan(one.error).all()
