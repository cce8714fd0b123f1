"""Deflections: the line and its points, limits, all array libraries."""

from functools import partial

import numpy as np
import pytest
import torch
from device_arrays import DeviceArray
from lens_oracle import lenses_of

from lensdask.arrays import to_numpy
from lensdask.fourier import coordinates
from lensdask.stronglens.simulation.deflectors import Clumps, Line, Macro, line, points, pseudo_jaffe, sie
from lensdask.stronglens.simulation.imaging import lensed_images
from lensdask.stronglens.simulation.lenses import as_points, turned
from lensdask.stronglens.simulation.masses import einstein_area
from lensdask.stronglens.simulation.presets import CLASSES, SURVEYS, Signal

AT = np.linspace(-3.2, 3.2, 64)
X, Y = AT[None, None, :], AT[None, :, None]
LIBRARIES = {"torch": torch.from_numpy, "CuPy's manner": DeviceArray}


def one(*values):
    return (np.array([value]) for value in values)


def test_a_line_is_many_points():
    for half_length in 0.03 * 10.0 ** np.linspace(0, 2, 5):
        vortex = Line(*one(float(einstein_area(3e10, 0.5, 1.0)), half_length, 0.7))
        smooth, fine = line(X, Y, vortex), points(X, Y, as_points(vortex, 20_000))
        difference = np.hypot(smooth[0] - fine[0], smooth[1] - fine[1])
        assert np.median(difference) < 1e-5
        # All pixels, but those beside the line.
        beside = abs(np.cos(0.7) * Y - np.sin(0.7) * X) < 0.02
        assert difference[~beside].max() < 1e-4


@pytest.mark.parametrize(("preset", "most"), [("deeplensesim", 1.1e-4), ("physical", 3e-4)])
@pytest.mark.parametrize("survey", SURVEYS)
def test_a_line_is_a_hundred_points(preset, most, survey):
    """Of axion masses drawn from the prior, arcsec: over all lenses and pixels, and over the pixels of each lens.

    The 100 points of the longest vortices, of 3 arcsec, stand 0.06 arcsec apart, and the line is smooth in between.
    """
    lenses = lenses_of("vortex", preset, survey, np.arange(100), Signal(vortex="line", compensated=False))
    at = coordinates(64, SURVEYS[survey].pixel_scale)
    x, y = at[None, None, :], at[None, :, None]
    smooth, coarse = line(x, y, lenses.line), points(x, y, as_points(lenses.line))
    difference = np.hypot(smooth[0] - coarse[0], smooth[1] - coarse[1])
    median = np.median(difference, axis=(1, 2))
    length, share = lenses.line.half_length[median.argmax()], np.mean(median <= 1e-4)
    print(f"{preset}, {survey}: median {np.median(difference):.1e} arcsec; in the image of a lens at most")
    print(f"{median.max():.1e}, for a half length of {length:.2f} arcsec, and at most 1e-4 for {share:.0%} of lenses")
    assert np.median(difference) <= 2e-5
    assert share >= 0.75
    assert median.max() <= most


def test_limits():
    circle = Macro(*one(1.3, 0.0, 0.0, 0.0, 0.0))
    radius = np.hypot(X, Y)
    np.testing.assert_allclose(sie(X, Y, circle)[0], 1.3 * X / radius, atol=1e-9)
    assert np.isfinite(sie(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), circle)).all()
    clump = Clumps(*(np.array([[value]]) for value in (0.0, 0.0, 0.01, 0.002)))
    far = radius > 1
    for along, expected in zip(pseudo_jaffe(X, Y, clump), points(X, Y, clump), strict=True):
        np.testing.assert_allclose(along[far], expected[far], rtol=5e-3)


def test_mass_of_a_subhalo_within_its_truncation():
    """The deflection is the mass within r over r: that of κ = θ_E² / 2 (s - c) · [1 / √(c² + r²) - 1 / √(s² + r²)]."""
    clump = Clumps(*(np.array([[value]]) for value in (0.0, 0.0, 0.01, 0.5)))
    r = np.linspace(1e-4, 2.0, 20_001)
    alpha = pseudo_jaffe(r[None, None, :], np.zeros((1, 1, 1)), clump)[0][0, 0]
    core, outer = 0.005, 0.5
    kappa = 0.01 / (2 * (outer - core)) * (1 / np.hypot(core, r) - 1 / np.hypot(outer, r))
    mass = np.concatenate([[0], np.cumsum((2 * kappa * r)[1:] + (2 * kappa * r)[:-1]) * (r[1] - r[0]) / 2])
    np.testing.assert_allclose(alpha[100:], (mass / r)[100:], rtol=1e-3)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", CLASSES)
def test_libraries_agree(library, name):
    lenses = lenses_of(name, "physical", "euclid", np.arange(2), Signal(number=3))
    make = partial(lensed_images, lenses, SURVEYS["euclid"], 16)
    images, others = make(np.zeros(1)), make(LIBRARIES[library](np.zeros(1)))
    assert type(others) is type(LIBRARIES[library](np.zeros(1)))
    np.testing.assert_allclose(to_numpy(others), images, rtol=1e-10)


@pytest.mark.parametrize("name", CLASSES)
def test_turned_lenses_have_turned_images(name):
    lenses = lenses_of(name, "physical", "euclid", np.arange(2), Signal(number=3))
    images, quarter = (lensed_images(each, SURVEYS["euclid"], 16, np.zeros(1)) for each in (lenses, turned(lenses, 90)))
    # A quarter turn of the array whose rows go upwards.
    np.testing.assert_allclose(quarter, np.rot90(images, -1, axes=(1, 2)), rtol=1e-8)
    # Another angle leaves the light where it is, in all.
    half = lensed_images(turned(lenses, 45), SURVEYS["euclid"], 64, np.zeros(1))
    assert half.sum() == pytest.approx(lensed_images(lenses, SURVEYS["euclid"], 64, np.zeros(1)).sum(), rel=0.05)


def test_gradients():
    """Parameters of torch keep their gradients, which are those of finite differences."""
    lenses = lenses_of("vortex", "physical", "euclid", np.arange(1), Signal(compensated=False))

    def total(half_length):
        varied = lenses._replace(line=lenses.line._replace(half_length=half_length))
        return (lensed_images(varied, SURVEYS["euclid"], 16, torch.zeros(1, dtype=torch.float64)) ** 2).sum()

    half = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(total(half), half)
    half, step = half.detach(), 1e-6
    assert slope.item() == pytest.approx(float(total(half + step) - total(half - step)) / (2 * step), rel=1e-5)


def test_the_compiled_loop_does_what_arrays_do(monkeypatch):
    pytest.importorskip("numba")
    lenses = lenses_of("cdm", "physical", "euclid", np.arange(3))
    make = partial(lensed_images, lenses, SURVEYS["euclid"], 32, np.zeros(1))
    compiled = make()
    monkeypatch.setattr("lensdask.stronglens.simulation.deflectors.compiled_pseudo_jaffe", lambda: None)
    np.testing.assert_allclose(compiled, make(), rtol=1e-11)
