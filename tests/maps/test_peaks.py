import numpy as np
import pytest
from astropy import constants, units
from astropy.cosmology import FlatLambdaCDM
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.errors import InputError
from lensdask.maps.statistics.metrics import pooled, ratios
from lensdask.maps.statistics.peaks import (
    Peaks,
    completeness_sums,
    find_peaks,
    heights_near,
    match_peaks,
    peaks_of_haloes,
    projected_masses,
    shuffled,
)
from lensdask.sky.nfw import Halo, nfw_convergence
from lensdask.sky.sources import SOURCES

SCALE = 0.41


def peaks(field, y, x, height=None):
    columns = [np.asarray(v, dtype=float) for v in (y, x, height if height is not None else np.ones(len(y)))]
    return Peaks(np.asarray(field, dtype=np.int64), *columns)


def planted(shape, places, sigma=2.0):
    """Draw Gaussian peaks of given heights: (field, y, x, height)."""
    maps = np.zeros(shape)
    y, x = np.mgrid[: shape[1], : shape[2]]
    for field, row, column, height in places:
        maps[field] += height * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
    return maps


PLACES = [(0, 10, 12, 0.3), (0, 25, 30, 0.2), (1, 20, 20, 0.1), (1, 8, 30, 0.4)]


def test_planted_peaks_are_found_the_highest_first():
    found = find_peaks(planted((3, 40, 40), PLACES), threshold=0.05)
    expected = [PLACES[0], PLACES[1], PLACES[3], PLACES[2]]
    assert [tuple(row) for row in np.stack(found[:3], axis=1).tolist()] == [p[:3] for p in expected]
    np.testing.assert_allclose(found.height, [p[3] for p in expected], rtol=1e-3)
    assert len(find_peaks(planted((3, 40, 40), PLACES), threshold=0.25).field) == 2


def test_masked_peaks_are_not_found():
    maps, mask = planted((2, 40, 40), PLACES), np.ones((2, 40, 40))
    mask[0, 5:15, 5:20] = 0
    maps[0, 5:15, 5:20] = np.nan
    found = find_peaks(maps, threshold=0.05, mask=mask)
    assert [(f, y) for f, y in zip(found.field, found.y, strict=True)] == [(0, 25), (1, 8), (1, 20)]


def test_haloes_lie_where_their_peaks_are_drawn():
    mass = np.array([[1e14, 3e14, np.nan], [2e14, 5e13, 4e14]])
    x = np.array([[0.0, SCALE * 3, np.nan], [0, 0, SCALE * 40]])
    y = np.array([[0.0, -SCALE * 2, np.nan], [SCALE * 4.5, 0, 0]])
    found, used = peaks_of_haloes(mass, x, y, shape=(31, 41), pixel_scale=SCALE, threshold=1e14)
    assert used.tolist() == [[True, True, False], [True, False, False]]
    np.testing.assert_allclose(np.stack(found), [[0, 0, 1], [15, 13, 19.5], [20, 23, 20], [1e14, 3e14, 2e14]])


def test_matching_takes_the_closest_first_and_each_once():
    truth = peaks([0, 0, 0, 1], [10, 10, 30, 10], [10, 14, 30, 10])
    found = peaks([0, 0, 1, 1, 2], [10, 30, 18, 10, 10], [13, 35.5, 10, 15.9, 10])
    # The first found is 3 from the first true peak and 1 from the second.
    assert match_peaks(truth, found).tolist() == [-1, 0, 1, 3]
    assert match_peaks(truth, found, radius=5).tolist() == [-1, 0, -1, -1]


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 25), m=st.integers(0, 25))
def test_matches_are_one_to_one_within_the_radius_and_complete(seed, n, m):
    rng = np.random.default_rng(seed)
    truth, found = (peaks(rng.integers(0, 2, k), *rng.uniform(0, 30, (2, k))) for k in (n, m))
    partner = match_peaks(truth, found)
    taken = partner[partner >= 0]
    assert len(set(taken.tolist())) == len(taken)
    distance = np.hypot(truth.y[:, None] - found.y, truth.x[:, None] - found.x)
    near = (distance <= 6) & (truth.field[:, None] == found.field)
    assert near[np.flatnonzero(partner >= 0), taken].all()
    # No two that are free lie within the radius.
    assert not near[np.ix_(partner < 0, ~np.isin(np.arange(m), taken))].any()


def test_matches_after_a_shuffle_are_chance():
    rng = np.random.default_rng(1)
    fields, each, size = 40, 30, 200
    field = np.repeat(np.arange(fields), each)
    truth = peaks(field, *rng.uniform(0, size, (2, len(field))))
    assert (match_peaks(truth, truth) == np.arange(len(field))).all()
    chance = np.mean(match_peaks(truth, shuffled(truth, fields)) >= 0)
    # 1 - exp(-n π r²) of places without partners of their own; a little less as each is taken once.
    expected = 1 - np.exp(-each * np.pi * 6**2 / size**2)
    assert 0.8 * expected < chance < 1.05 * expected
    with pytest.raises(InputError, match="another field"):
        shuffled(truth, 1)


def test_heights_near_peaks():
    maps = planted((2, 40, 40), PLACES)
    mask = np.ones((40, 40))
    mask[22:29, 27:34] = 0
    places = peaks([0, 0, 1], [11, 25, 20.4], [13, 30, 19.6])
    np.testing.assert_allclose(heights_near(places, maps, 0), [maps[0, 11, 13], 0.2, 0.1], rtol=1e-4)
    np.testing.assert_allclose(heights_near(places, maps, 2)[0], 0.3, rtol=1e-4)
    assert np.isnan(heights_near(places, maps, 2, mask)[1])


@pytest.mark.parametrize("redshift", [0.2, 0.5])
def test_uniform_map_has_the_mass_of_its_surface_density(redshift):
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3, Tcmb0=0)
    lens, source = (cosmology.angular_diameter_distance(z) for z in (redshift, 1.0))
    between = source - lens * (1 + redshift) / 2  # in a flat universe
    critical = constants.c**2 / (4 * np.pi * constants.G) * source / (lens * between)
    expected = (0.1 * critical * np.pi * units.Mpc**2).to(units.Msun).value
    found = projected_masses(
        np.full((1, 80, 80), 0.1, dtype=np.float32),
        peaks([0, 0], [40, 2], [40, 40]),
        pixel_scale=SCALE,
        lens_redshift=redshift,
        source=SOURCES["zs1.0"],
    )
    # At the edge of the map, the half of the circle that is inside stands for all of it.
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_mass_of_haloes_at_different_redshifts():
    # The mass of an NFW sphere within r in projection (Bartelmann 1996), by integration of its convergence here.
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3, Tcmb0=0)
    redshifts, masses = [0.2, 0.4], [5e14, 2e14]
    y, x = (np.mgrid[:101, :101] - 50) * 0.2
    maps = np.stack(
        [
            nfw_convergence(np.hypot(np.hypot(x, y), 0.05), Halo(m, 4.0, z, "200c"), SOURCES["zs1.0"])
            for m, z in zip(masses, redshifts, strict=True)
        ]
    )
    found = projected_masses(
        maps,
        peaks([0, 1], [50, 50], [50, 50]),
        pixel_scale=0.2,
        lens_redshift=np.array(redshifts),
        source=SOURCES["zs1.0"],
    )
    for value, m, z in zip(found, masses, redshifts, strict=True):
        rho = 200 * cosmology.critical_density(z).to(units.Msun / units.Mpc**3).value
        virial = (3 * m / (4 * np.pi * rho)) ** (1 / 3)
        X = 4.0 / virial
        g = np.log(X / 2) + (np.arccos(1 / X) / np.sqrt(X**2 - 1) if X > 1 else np.arccosh(1 / X) / np.sqrt(1 - X**2))
        assert value == pytest.approx(m * g / (np.log(5) - 4 / 5), rel=0.01)


def test_mass_is_unknown_where_the_footprint_ends_and_impossible_behind_the_sources():
    maps, mask = np.full((1, 60, 60), 0.1), np.ones((60, 60))
    mask[:, 34:] = 0
    settings_ = {"pixel_scale": SCALE, "source": SOURCES["zs1.0"]}
    places = peaks([0, 0], [30, 30], [20, 40])
    found = projected_masses(maps, places, lens_redshift=0.3, mask=mask, **settings_)
    assert np.isfinite(found).tolist() == [True, False]
    with pytest.raises(InputError, match=r"lens at redshift 1\.2: no source"):
        projected_masses(maps, places, lens_redshift=1.2, **settings_)


def test_completeness_in_bins_of_mass():
    truth = peaks([0, 0, 0, 1, 1, 2], np.zeros(6), np.zeros(6))
    mass = np.array([1, 1.5, 5, 1.2, 6, np.nan]) * 1e14
    partner = np.array([0, -1, 1, -1, 2, 3])
    sums = completeness_sums(truth, partner, mass, np.array([0.5, 2, 10]) * 1e14, 3)
    np.testing.assert_array_equal(sums, [[1, 1, 2, 1], [0, 1, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(pooled(sums, ratios)[0], [1 / 3, 1])
