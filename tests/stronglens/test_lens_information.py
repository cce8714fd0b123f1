"""Derivatives, signal-to-noise ratios and bounds: against differences, closed forms, and the numbers on record."""

from dataclasses import replace

import numpy as np
import pytest
from lens_oracle import lenses_of

from lensdask.errors import InputError
from lensdask.stronglens import PRESETS, SURVEYS, Signal
from lensdask.stronglens.evaluation.derivatives import image_derivatives, significance
from lensdask.stronglens.evaluation.information import mass_bounds, substructure_snr
from lensdask.stronglens.simulation.imaging import lensed_images, noise_variance, noisy
from lensdask.stronglens.simulation.lenses import as_points
from lensdask.stronglens.simulation.masses import vortex_half_length

EUCLID = SURVEYS["euclid"]
PARTS = ("line", "macro", "source")


@pytest.fixture(scope="module")
def vortices():
    lenses = lenses_of("vortex", "physical", "euclid", np.arange(3))
    return lenses, *image_derivatives(lenses, EUCLID, 32, PARTS)


def test_derivatives_are_those_of_finite_differences(vortices):
    lenses, images, slopes = vortices
    np.testing.assert_allclose(images, lensed_images(lenses, EUCLID, 32, np.zeros(1)), rtol=1e-10)
    names = [(part, name) for part in PARTS for name in getattr(lenses, part)._fields]
    assert slopes.shape == (3, len(names), 32, 32) == (3, 15, 32, 32)
    for number, (part, name) in enumerate(names):
        numbers, step = getattr(lenses, part), 1e-6

        def moved(by, part=part, name=name, numbers=numbers):
            varied = numbers._replace(**{name: getattr(numbers, name) + by})
            return lensed_images(lenses._replace(**{part: varied}), EUCLID, 32, np.zeros(1))

        expected = (moved(step) - moved(-step)) / (2 * step)
        assert abs(slopes[:, number] - expected).max() < 1e-6 * abs(expected).max(), (part, name)


def test_points_of_a_vortex_have_derivatives(vortices):
    lenses = vortices[0]
    images, slopes = image_derivatives(lenses, EUCLID, 32, ("line",), points=True)

    def with_points(line):
        return lensed_images(lenses._replace(line=None, points=as_points(line)), EUCLID, 32, np.zeros(1))

    np.testing.assert_allclose(images, with_points(lenses.line), rtol=1e-10)
    for number, name in enumerate(lenses.line._fields):
        step = 1e-7 * getattr(lenses.line, name)
        up, down = (
            with_points(lenses.line._replace(**{name: getattr(lenses.line, name) + by})) for by in (step, -step)
        )
        expected = (up - down) / (2 * step[:, None, None])
        assert abs(slopes[:, number] - expected).max() < 1e-4 * abs(expected).max(), name


def test_what_the_smooth_lens_can_imitate_has_no_significance(vortices):
    _, images, slopes = vortices
    variance, sigma = noise_variance(images, EUCLID), np.sqrt(noise_variance(images, EUCLID))
    fitted = np.einsum("np,npyx->nyx", np.linspace(-1, 1, 36).reshape(3, 12) * 0.01, slopes[:, 3:])
    length = np.sqrt((fitted**2 / variance).sum(axis=(1, 2)))
    assert (significance(fitted, slopes[:, 3:], variance) < 1e-8 * length).all()
    # Another change beside it counts in full as far as no parameter imitates it.
    other = np.random.default_rng(0).normal(size=images.shape) * sigma
    alone = significance(other, slopes[:, 3:], variance)
    np.testing.assert_allclose(significance(fitted + other, slopes[:, 3:], variance), alone, rtol=1e-7)
    size = np.sqrt((other**2 / variance).sum(axis=(1, 2)))
    assert (alone < size).all()
    assert (alone > 0.95 * size).all()


def test_bound_of_a_straight_line():
    """The slope of a straight line with a free level has the error σ / √(Σ (x - x̄)²)."""
    x, sigma = np.linspace(0, 1, 20).reshape(1, 4, 5), 0.3
    level = np.ones((1, 1, 4, 5))
    bound = 1 / significance(x, level, np.full((1, 4, 5), sigma**2))
    assert bound[0] == pytest.approx(sigma / np.sqrt(((x - x.mean()) ** 2).sum()), rel=1e-12)


def test_bounds_are_those_of_the_fisher_matrix(vortices):
    lenses, images, slopes = vortices
    variance = noise_variance(images, EUCLID)
    fisher = np.einsum("nayx,nbyx,nyx->nab", slopes, slopes, 1 / variance)
    scale = np.sqrt(np.diagonal(fisher, axis1=1, axis2=2))
    covariance = np.linalg.inv(fisher / (scale[:, :, None] * scale[:, None, :]))
    of_length = np.sqrt(covariance[:, 1, 1]) / scale[:, 1]
    expected = of_length / (np.log(10) * lenses.line.half_length)
    bounds = mass_bounds("physical", "euclid", "cdm", np.arange(12), 3, size=32)
    np.testing.assert_allclose(bounds[:3], expected, rtol=1e-6)
    # Whatever lenses are asked for with them.
    np.testing.assert_array_equal(
        mass_bounds("physical", "euclid", "cdm", np.array([11, 2]), 3, size=32), bounds[[11, 2]]
    )


def test_short_vortices_tell_less():
    """A vortex a tenth as long as a pixel is a point, whose mass is known but not the length."""
    lenses = lenses_of("vortex", "physical", "euclid", np.arange(2))
    bounds = []
    for log10_mass in (-23.5, -22.0):
        half = np.full(2, vortex_half_length(log10_mass))
        one = lenses._replace(line=lenses.line._replace(half_length=half))
        images, slopes = image_derivatives(one, EUCLID, 64, PARTS)
        signal = np.log(10) * half[:, None, None] * slopes[:, 1]
        bounds.append(1 / significance(signal, np.delete(slopes, 1, axis=1), noise_variance(images, EUCLID)))
    assert (bounds[0] < 0.1).all()
    assert (bounds[1] > 0.5).all()


def test_substructure_of_no_mass_has_no_signal():
    light = Signal(vortex_mass=3e4, compensated=False)
    heavy = substructure_snr("physical", "euclid", replace(light, vortex_mass=3e8), "vortex", np.arange(4), 0, size=32)
    ratios = substructure_snr("physical", "euclid", light, "vortex", np.arange(4), 0, size=32)
    # Small signals are linear in their mass.
    np.testing.assert_allclose(ratios / heavy, 1e-4, rtol=0.05)


def test_variance_is_that_of_the_noise():
    images = np.broadcast_to(np.linspace(0, 2, 16).reshape(1, 4, 4), (4000, 4, 4))
    seen = noisy(images, EUCLID, np.arange(4000), 0)
    np.testing.assert_allclose(seen.var(axis=0), noise_variance(images[:1], EUCLID)[0], rtol=0.12)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="name: 'none'; expected cdm or vortex"):
        substructure_snr("physical", "euclid", "cdm", "none", np.arange(2), 0)
    with pytest.raises(InputError, match="preset: 'other'"):
        mass_bounds("other", "euclid", "cdm", np.arange(2), 0)
    circles = replace(PRESETS["physical"], ellipticity=(0.0, 0.0))
    with pytest.raises(InputError, match="do not change with e1 of the macro; expected ellipticities"):
        mass_bounds(circles, "euclid", "cdm", np.arange(2), 0)
