import numpy as np
import pytest
from forward_tiles import GALAXIES, LIBRARIES, REDSHIFT, red_noise
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.arrays import to_numpy
from lensdask.errors import InputError
from lensdask.lss.forward.evolution import Redshifts, evolution, mean_redshift
from lensdask.lss.forward.galaxies import biased, correlation, expected_counts, phase_amplitude, turned_phases
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.spectra import ell_edges, power_spectra, waves

IDS = np.array([17])


def test_evolution_is_the_mean_over_galaxies() -> None:
    eta = np.array([-2.0, 0.0, 1.0, 5.0])
    power = evolution(eta, GALAXIES)
    assert power.shape == (4, 4)
    np.testing.assert_allclose(power[1], 1)
    np.testing.assert_allclose(power[2], (1 + mean_redshift(GALAXIES)) / 1.7)
    expected = np.trapezoid(GALAXIES.n[0] * ((1 + REDSHIFT) / 1.7) ** 5, REDSHIFT) / np.trapezoid(
        GALAXIES.n[0], REDSHIFT
    )
    assert power[3, 0] == pytest.approx(expected, rel=1e-12)


def test_evolution_is_one_at_the_pivot() -> None:
    planes = Redshifts(np.array([0.69, 0.7, 0.71]), np.array([[0.0, 1.0, 0.0]] * 4))
    np.testing.assert_allclose(evolution([3.0], planes), 1)


@pytest.mark.parametrize(
    ("redshift", "n", "words"),
    [
        (REDSHIFT, -GALAXIES.n, "negative"),
        (REDSHIFT, 0 * GALAXIES.n, "zero"),
        (REDSHIFT, np.nan * GALAXIES.n, "not finite"),
        (REDSHIFT[::-1], GALAXIES.n, "not increasing"),
        (REDSHIFT, GALAXIES.n[:3], "shapes"),
    ],
)
def test_what_is_no_distribution_is_refused(redshift: np.ndarray, n: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        evolution([1.0], Redshifts(redshift, n))


def test_phase_amplitudes() -> None:
    r = np.array([0.4, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(correlation(phase_amplitude(r)), [0.352, 0.464, 0.701, 0.925], atol=6e-4)
    np.testing.assert_allclose(phase_amplitude(r, "exact"), [0.6765, 0.6034, 0.4489, 0.2504], atol=6e-5)
    fine = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(correlation(phase_amplitude(fine, "exact")), fine, atol=1e-8)
    assert phase_amplitude(1.0) == phase_amplitude(1.0, "exact") == 0


@pytest.mark.parametrize("r", [0.4, 0.7, 0.9])
def test_correlations_and_spectra_of_turned_phases(r: float) -> None:
    delta, other = np.random.default_rng(2).standard_normal((2, 4, 2, 100, 64, 64))
    delta[:, 1] = 0.8 * delta[:, 0] + 0.6 * delta[:, 1]
    kappa = delta[:, :1] + 0.5 * other[:, :1]
    turned = turned_phases(delta, phase_amplitude([r] * 4), np.arange(4), 1)
    rho = correlation(phase_amplitude(r))
    for i in (0, 1):
        measured = np.corrcoef(turned[:, i].ravel(), delta[:, i].ravel())[0, 1]
        assert measured == pytest.approx(rho, rel=0.02)
    before, after = (power_spectra(np.concatenate([kappa, each], axis=1), 4.6875) for each in (delta, turned))
    # (kappa, delta 1, delta 2): the pairs 0, 3, 5 are autos, 1, 2 of kappa and delta, 4 of two bins.
    np.testing.assert_allclose(after[:, [0, 3, 5]], before[:, [0, 3, 5]], rtol=1e-6)
    # Every wave counts alike.
    edges = ell_edges(64, 4.6875)
    weight = waves(64, 4.6875) / (edges[1:] + edges[:-1]) ** 2
    scale = np.mean(after @ weight, axis=0) / np.mean(before @ weight, axis=0)
    np.testing.assert_allclose(scale[[1, 2]], rho, rtol=0.02)
    assert scale[4] == pytest.approx(rho**2, rel=0.03)


@settings(deadline=None, max_examples=25)
@given(ny=st.integers(1, 9), nx=st.integers(2, 9), a=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_phases_keep_every_amplitude(ny: int, nx: int, a: float, seed: int) -> None:
    # That of k = 0 too: any size has its own waves that are their own mirror images.
    field = np.random.default_rng(seed).standard_normal((1, 3, ny, nx))
    turned = turned_phases(field, [a], IDS, seed)
    np.testing.assert_allclose(abs(np.fft.fft2(turned)), abs(np.fft.fft2(field)), atol=1e-10)


def test_phases_of_sample_17_are_the_same_for_ever() -> None:
    turned = turned_phases(np.arange(16.0).reshape(1, 1, 4, 4), [0.5], IDS, 5)
    np.testing.assert_allclose(turned[0, 0, 0], [-1.56747240, 0.56423291, 1.21324567, 1.08154035], atol=1e-7)


def test_no_stochasticity_changes_nothing() -> None:
    field = red_noise(1, 4, 3, 16, 16)
    np.testing.assert_allclose(turned_phases(field, [0.0], IDS, 1), field, atol=1e-12)


def test_bias() -> None:
    delta = np.array([[-0.5, 0.5, 2.0, -2.0]])
    np.testing.assert_allclose(biased(delta, 1.5, 9.0, "linear"), 1.5 * delta)
    np.testing.assert_allclose(biased(delta, 1.5, 0.5, "printed"), 1.5 * delta + 0.5 * delta**2)
    expected = 1.5 * delta + 0.25 * np.sign(delta) * delta**2
    np.testing.assert_allclose(biased(delta, 1.5, 0.5, "released"), expected - expected.mean())


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("bias", ["linear", "printed", "released"])
def test_expected_counts_keep_their_mean_and_are_never_negative(bias: str, library: str) -> None:
    delta = LIBRARIES[library](np.exp(red_noise(2, 4, 9, 16, 16)) / 1.6487 - 1)
    model = ForwardModel(bias=bias)
    b, b2 = np.full((2, 4), 2.5), np.full((2, 4), -0.8)
    counts = to_numpy(expected_counts(delta, b, b2, np.array([0.7, 1.0]), np.array([3, 4]), model, 1))
    assert counts.min() == 0
    np.testing.assert_allclose(counts.mean(axis=(-2, -1)), model.mean_count, rtol=1e-10)


def test_the_released_expansion_comes_before_the_phases() -> None:
    delta = red_noise(1, 4, 4, 32, 32) * 0.1
    model = ForwardModel(bias="released", stochasticity="exact")
    ones = np.ones((1, 4))
    with_, without = (
        expected_counts(delta, ones, 0.5 * ones, np.array([r]), IDS, model, 1) / model.mean_count for r in (0.4, 1.0)
    )
    # Phases after the expansion leave the amplitudes of the expanded field.
    np.testing.assert_allclose(abs(np.fft.fft2(with_)), abs(np.fft.fft2(without)), atol=1e-8)
