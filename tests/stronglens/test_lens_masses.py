"""Distances, mass function, number of subhaloes, compensation, presets, and noise."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lensdask.stronglens.simulation.imaging import noisy
from lensdask.stronglens.simulation.lenses import draw_lenses, mean_number, with_subhaloes, with_vortex
from lensdask.stronglens.simulation.masses import (
    deflection_ratio,
    einstein_area,
    mean_mass,
    power_law_masses,
    vortex_half_length,
)
from lensdask.stronglens.simulation.presets import PRESETS, SIGNALS, SURVEYS, Signal

ALIKE = replace(PRESETS["physical"], theta_e=(1.3, 1.3))
LIGHT = Signal(most_mass=1e8)


def test_distances():
    assert einstein_area(1e12, 0.5, 1.0) ** 0.5 == pytest.approx(1.6645, abs=1e-4)
    assert einstein_area(1e12, 0.5, 1.0, "luminosity") ** 0.5 == pytest.approx(1.2815, abs=1e-4)
    published = PRESETS["deeplensesim"]
    assert published.theta_e == (pytest.approx(1.2815), pytest.approx(1.2815))
    assert deflection_ratio(0.5, 1.0, 2.5) == pytest.approx(published.deflection_scale, abs=1e-3)


def test_published_lenses_are_alike_but_for_their_sources():
    macro, source, *_ = draw_lenses(np.arange(500), PRESETS["deeplensesim"], SURVEYS["euclid"], 1)
    for values, expected in zip(macro, (0.8125, 0.1, 0.0, 0.0317, 0.0), strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-4)
    for values, expected in ((source.e1, -0.1), (source.e2, 0.1), (source.index, 1.0), (source.radius, 0.25)):
        np.testing.assert_allclose(values, expected, atol=1e-12)
    np.testing.assert_allclose(source.flux, 10**1.6)
    assert stats.kstest(source.x, stats.uniform(-0.35, 0.7).cdf).pvalue > 1e-3
    assert stats.kstest(source.y, stats.uniform(-0.35, 0.7).cdf).pvalue > 1e-3


@pytest.mark.parametrize("slope", [-1.9, -0.9, -1.0, -2.0])
def test_masses_follow_their_function(slope):
    chance = (np.arange(20_000) + 0.5) / 20_000
    masses = power_law_masses(chance, slope, 1e6, 1e10)
    assert (masses.min() >= 1e6, masses.max() <= 1e10) == (True, True)
    # The share of dn/dm ∝ m^slope below a mass, by integration over log m.
    at = np.linspace(np.log(1e6), np.log(1e10), 200_001)
    share = np.concatenate([[0], np.cumsum(np.exp((slope + 1) * (at[1:] + at[:-1]) / 2))])
    np.testing.assert_allclose(np.interp(np.log(masses), at, share / share[-1]), chance, atol=1e-6)
    assert mean_mass(slope, 1e6, 1e10) == pytest.approx(masses.mean(), rel=0.02)


def test_as_coded_has_25_points_and_a_hundred_times_the_mass():
    preset, signal, ids = PRESETS["deeplensesim"], SIGNALS["as-coded"], np.arange(300)
    lenses = draw_lenses(ids, preset, SURVEYS["euclid"], 1)
    clumps = with_subhaloes(lenses, ids, signal, preset, 1).points
    assert clumps.mass.shape == (300, 25)
    one = 0.634 * einstein_area(1.0, 0.5, 1.0, "luminosity")
    total = clumps.mass.sum(axis=1) / one
    assert total.mean() == pytest.approx(3.8e10, rel=0.05)
    radius = np.hypot(clumps.x, clumps.y).ravel()
    assert stats.kstest(radius, stats.uniform(0.25, 1.75).cdf).pvalue > 1e-3
    with_line, mass, _ = with_vortex(lenses, ids, signal, preset, 1)
    assert with_line.points.mass.sum(axis=1) / one == pytest.approx(3e10)
    assert stats.kstest(mass, stats.uniform(-24, 2).cdf).pvalue > 1e-3
    assert vortex_half_length([-24.0, -22.0]) == pytest.approx([3.0, 0.03])
    assert with_line.macro == lenses.macro


def test_number_and_compensation():
    ids = np.arange(400)
    lenses = draw_lenses(ids, ALIKE, SURVEYS["euclid"], 1)
    heavy = with_subhaloes(lenses, ids, LIGHT, ALIKE, 1)
    number, mean = (heavy.haloes.mass > 0).sum(axis=1), mean_number(1.3, LIGHT, ALIKE)
    assert number.mean() == pytest.approx(mean, abs=4 * (mean / 400) ** 0.5)
    assert number.var() == pytest.approx(mean, rel=0.3)
    # Half a per cent of the mass within 2 arcsec, θ_E R in the square of Einstein radii.
    assert heavy.haloes.mass.sum(axis=1).mean() == pytest.approx(0.005 * 1.3 * 2.0, rel=0.05)
    inside = (heavy.haloes.mass * (np.hypot(heavy.haloes.x, heavy.haloes.y) < 1.3)).sum(axis=1)
    assert (heavy.macro.theta_e**2 + inside).mean() == pytest.approx(1.3**2, abs=3e-4)
    assert inside.mean() > 2e-3
    vortex, *_ = with_vortex(lenses, ids, LIGHT, ALIKE, 1)
    within = vortex.line.mass * np.minimum(1.3 / vortex.line.half_length, 1)
    np.testing.assert_allclose(vortex.macro.theta_e**2 + within, 1.3**2)


def test_subhaloes_do_not_depend_on_their_number():
    ids = np.array([7, 2**40])
    lenses = draw_lenses(ids, ALIKE, SURVEYS["euclid"], 1)
    few, many = (with_subhaloes(lenses, ids, Signal(number=n), ALIKE, 1).haloes for n in (3, 40))
    np.testing.assert_array_equal(few.mass, many.mass[:, :3])
    np.testing.assert_array_equal(few.x, many.x[:, :3])


@pytest.mark.parametrize("survey", SURVEYS.values(), ids=SURVEYS)
def test_noise(survey):
    light = np.tile(np.array([0.0, 0.5, 3.0, 20.0]), 64).reshape(1, 16, 16)
    seen = noisy(np.repeat(light, 400, axis=0), survey, np.arange(400), 1) - light
    sky = survey.electrons(survey.sky) * survey.pixel_scale**2
    variance = (light + sky) / survey.seconds + survey.exposures * (survey.read_noise / survey.seconds) ** 2
    for value in np.unique(light):
        there = seen[:, light[0] == value] / variance[light == value][0] ** 0.5
        assert abs(there.mean()) < 4 / there.size**0.5
        assert there.var() == pytest.approx(1, abs=5 * (2 / there.size) ** 0.5)
    assert abs(np.corrcoef(seen[:, 0, 0], seen[:, 0, 4])[0, 1]) < 0.2
