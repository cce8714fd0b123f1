"""Redshift bins, kernels, shells: against direct integrals and another code."""

import numpy as np
import pytest
from scipy.integrate import quad

from lensdask.errors import InputError
from lensdask.sky import (
    STAGE3_BINS,
    calibration_cosmologies,
    field_kernels,
    limber_spectra,
    read_redshift_bins,
    redshift_bins,
    shell_spectra,
    tomography_cosmology,
)
from lensdask.sky.cosmology import SPEED_OF_LIGHT, comoving_distance, expansion, growth
from lensdask.sky.power import pyccl_cosmology
from lensdask.sky.tomography.redshifts import REDSHIFTS
from lensdask.sky.tomography.shells import matter_shells

FIDUCIAL = tomography_cosmology(0.2915, 0.7835)
ELL = np.geomspace(36, 2304, 15)
PAIRS = np.triu_indices(12)


def test_bins_are_those_of_the_paper():
    np.testing.assert_allclose(STAGE3_BINS.mean, [0.31, 0.48, 0.75, 0.94], atol=0.006)
    np.testing.assert_allclose(np.trapezoid(STAGE3_BINS.n_of_z, REDSHIFTS, axis=1), 1)
    assert STAGE3_BINS.n_of_z.min() >= 0
    assert STAGE3_BINS.n_of_z[0, 0] == 0


def test_bins_of_other_redshifts_and_units():
    z = np.linspace(0, 3, 601)
    wide = [np.exp(-(((z - mean) / 0.1) ** 2)) * 1e4 for mean in (0.3, 0.5, 0.8, 1.7)]
    bins = redshift_bins(z, wide)
    np.testing.assert_allclose(bins.mean[:3], [0.3, 0.5, 0.8], rtol=1e-3)
    # Cut at 1.75.
    assert bins.mean[3] < 1.68
    assert hash(bins) == hash(redshift_bins(z, wide))


GOOD = np.ones((4, 5))


@pytest.mark.parametrize(
    ("redshift", "number", "message"),
    [
        (range(5), GOOD - [[0], [2], [0], [0]], "bin 2: least value -1.0"),
        (range(5), GOOD * [[1], [1], [0], [1]], "bin 3: no galaxies"),
        (range(5), GOOD * np.nan, "bin 1: least value nan"),
        (range(2, 7), GOOD, "bin 1: no galaxies at redshifts 0 to 1.75"),
        (range(5, 0, -1), GOOD, "that increase"),
        (range(-1, 4), GOOD, "zero or more, that increase"),
        (range(5), GOOD[:3], r"expected \(4, z\)"),
    ],
)
def test_what_is_no_distribution_is_refused(redshift, number, message):
    with pytest.raises(InputError, match=message):
        redshift_bins(redshift, number)


def test_bins_from_a_file(tmp_path):
    path = tmp_path / "n.txt"
    np.savetxt(path, np.column_stack([REDSHIFTS, STAGE3_BINS.n_of_z.T]))
    np.testing.assert_allclose(read_redshift_bins(path).n_of_z, STAGE3_BINS.n_of_z)
    for text in ("0.1 1 1 1", "x", "0.1 1 1 1 1\n0.2 1", ""):
        path.write_text(text)
        with pytest.raises(
            InputError, match=r"n.txt: .*expected a text file with a redshift and n\(z\) of 4 bins in each row"
        ):
            read_redshift_bins(path)
    with pytest.raises(InputError, match=r"none.txt not found; expected a text file"):
        read_redshift_bins(tmp_path / "none.txt")


def test_kernels_are_the_integrals_of_the_paper():
    z = np.array([0.1, 0.45, 0.9])
    kappa, alignment, delta = field_kernels(z, STAGE3_BINS, FIDUCIAL)
    hubble = 100 * FIDUCIAL.h / SPEED_OF_LIGHT
    for b, n in enumerate(STAGE3_BINS.n_of_z):
        for i, at in enumerate(z):
            chi = float(comoving_distance(at, FIDUCIAL))

            def behind(source, n=n, chi=chi):
                return np.interp(source, REDSHIFTS, n) * (1 - chi / float(comoving_distance(source, FIDUCIAL)))

            efficiency = quad(behind, at, 1.75, limit=100, epsabs=1e-7, epsrel=1e-4)[0]
            expected = 1.5 * FIDUCIAL.omega_m * hubble**2 * (1 + at) * chi * efficiency
            assert kappa[b, i] == pytest.approx(expected, rel=2e-3, abs=1e-9)
    np.testing.assert_allclose(alignment / delta, np.tile(-0.013877 * 0.2915 / growth(z, FIDUCIAL), (4, 1)), rtol=1e-4)
    np.testing.assert_allclose(
        delta[1, 1], np.interp(0.45, REDSHIFTS, STAGE3_BINS.n_of_z[1]) * hubble * expansion(0.45, FIDUCIAL)
    )


@pytest.mark.parametrize("point", [(0.2915, 0.7835), tuple(calibration_cosmologies()[3])])
def test_each_galaxy_is_in_one_shell(point):
    cosmology = tomography_cosmology(*point)
    weights = matter_shells(cosmology).weights(STAGE3_BINS)
    np.testing.assert_allclose(weights[2].sum(axis=1), 1, rtol=1e-4)
    assert (weights[0] >= 0).all()
    assert (weights[1] <= 0).all()


@pytest.fixture(scope="module", params=[(0.2915, 0.7835), tuple(calibration_cosmologies()[3])])
def theory(request):
    """Return a cosmology, pyccl's, and pyccl's tracers of the twelve maps."""
    pyccl = pytest.importorskip("pyccl")
    pytest.importorskip("camb")
    cosmology = tomography_cosmology(*request.param)
    universe = pyccl_cosmology(cosmology)
    z = np.linspace(0, 1.75, 1751)
    one, densities = np.ones_like(z), [np.interp(z, REDSHIFTS, n) for n in STAGE3_BINS.n_of_z]
    lensing = [pyccl.WeakLensingTracer(universe, dndz=(z, n), n_samples=1000) for n in densities]
    alignment = [pyccl.WeakLensingTracer(universe, dndz=(z, n), has_shear=False, ia_bias=(z, one)) for n in densities]
    matter = [pyccl.NumberCountsTracer(universe, has_rsd=False, dndz=(z, n), bias=(z, one)) for n in densities]
    return cosmology, universe, lensing + alignment + matter


def test_power_of_shells_is_that_of_pyccl(theory):
    import pyccl

    cosmology, universe, _ = theory
    shells = matter_shells(cosmology)
    for shell in (3, 15, 30, 47):
        low, high = shells.edges[shell : shell + 2]
        chi = np.linspace(low, high, 400)
        tracer = pyccl.Tracer()
        tracer.add_tracer(universe, kernel=(chi, np.full_like(chi, 1 / (high - low))))
        expected = pyccl.angular_cl(universe, tracer, tracer, ELL)
        np.testing.assert_allclose(shells.power[shell].at(ELL), expected, rtol=1e-2)


def test_all_spectra_are_those_of_pyccl(theory):
    import pyccl

    cosmology, universe, tracers = theory
    expected = [pyccl.angular_cl(universe, tracers[a], tracers[b], ELL) for a, b in zip(*PAIRS, strict=True)]
    found = limber_spectra(ELL, STAGE3_BINS, cosmology)
    np.testing.assert_allclose(found[PAIRS], expected, rtol=1e-2)
    np.testing.assert_allclose(found, found.transpose(1, 0, 2), rtol=1e-12)
    # What the maps have: the integral in 48 steps.
    np.testing.assert_allclose(shell_spectra(ELL, STAGE3_BINS, cosmology), found, rtol=1e-2)
