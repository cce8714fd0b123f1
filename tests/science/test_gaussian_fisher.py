"""On Gaussian fields a network of spectra loses nothing: the Fisher errors of its summaries are those of the spectra.

There are two bins of redshift, with matter m₁ and m₂ in them and m₀ before them. S₈ = s is the amplitude of all matter,
and galaxies are b δ^r with δ^r = r δ + √(1 − r²) ε, where ε has the power of δ ::

    κ₁ = s (0.5 m₀ + 0.25 m₁ − 0.1 A m₁) + noise                 δ₁ = s b (r m₁ + √(1 − r²) ε₁) + noise
    κ₂ = s (0.6 m₀ + 0.5 m₁ + 0.25 m₂ − 0.1 A m₂) + noise        δ₂ = s b (r m₂ + √(1 − r²) ε₂) + noise

The Fisher matrix of the spectra, ∂C/∂θ Cov⁻¹ ∂C/∂θ, is computed: mean spectra from the power of the fields, and their
covariance by Wick's theorem. That of summaries is measured on mosaics: central differences with the same random numbers
on both sides, and the covariance at the fiducial parameters. Bins above `ell_max` have no waves and are in neither.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.special import hyp2f1
from scipy.stats import chi2

from lensdask.fourier import half_plane, multipoles, plane_of, real_of
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.networks.loss import summary_loss
from lensdask.lss.networks.power import PowerConfig, PowerNetwork
from lensdask.lss.networks.trainingset import network_inputs
from lensdask.lss.networks.units import to_units
from lensdask.lss.parameters import find_parameters
from lensdask.lss.spectra import ell_edges, pairs, waves
from lensdask.training import TrainingConfig, train

pytestmark = pytest.mark.science

MODEL = ForwardModel(ell_max=1500.0)
SIZE, TILES, MAPS, FIELDS = 32, 4, 4, 9
PRIOR = find_parameters(("s8", "a_ia", "b_g", "r_g"))
FIDUCIAL = np.array([one.fiducial for one in PRIOR])
LOW, WIDTH = np.array([(one.low, one.high - one.low) for one in PRIOR]).T
STEP = 0.01 * WIDTH
TRAINING, VALIDATION, TESTED, PART, SEED = 100_000, 4000, 4000, 50, 1
CONFIG = TrainingConfig(
    epochs=16, batch=128, micro_batch=4000, learning_rate=2e-3, schedule="cosine", minimum_rate=0.0, validate_every=100
)
FIRST, SECOND = np.array(pairs(MAPS)).T


def mixing(theta):
    """Return what each map has of m₀, m₁, m₂, ε₁, ε₂ and four noises, shape (..., map, field)."""
    s, a, b, r = np.moveaxis(np.asarray(theta, dtype=np.float64), -1, 0)
    made = np.zeros((*s.shape, MAPS, FIELDS))
    made[..., 0, 0], made[..., 1, 0], made[..., 1, 1] = 0.5 * s, 0.6 * s, 0.5 * s
    for i in range(2):
        made[..., i, 1 + i] = s * (0.25 - 0.1 * a)
        made[..., 2 + i, 1 + i], made[..., 2 + i, 3 + i] = s * b * r, s * b * np.sqrt(1 - r**2)
    made[..., range(4), range(5, 9)] = 0.3
    return made


def power():
    """Return the power of each field over that of white noise, at each wave of the half plane, shape (field, y, x)."""
    ell = np.hypot(*multipoles((SIZE, SIZE), MODEL.pixel_scale))
    red = np.where(ell > 0, (np.maximum(ell, 1) / 600) ** -1.2, 0.0)
    return np.stack([red] * 5 + [np.ones_like(red)] * 4)


def spectra_of(part, points, cross):
    """Return the spectra of some mosaics at points (point, sample, parameter), as networks take them, by kind."""
    rng, red = np.random.default_rng(part), np.sqrt(power()[:5, None]).astype(np.float32)
    fields = rng.standard_normal((points.shape[1], FIELDS, TILES, SIZE, SIZE), dtype=np.float32)
    fields[:, :5] = real_of(plane_of(fields[:, :5]) * red, (SIZE, SIZE))
    maps = mixing(points).astype(np.float32) @ fields.reshape(len(fields), FIELDS, -1)
    seen = maps.reshape(-1, MAPS, TILES, SIZE, SIZE)
    made = [torch.from_numpy(network_inputs(("spectra",), seen, MODEL, kind)[0]) for kind in cross]
    return [each.reshape(*points.shape[:2], *each.shape[1:]) for each in made]


def simulate(points, seed, cross=("signed", "modulus")):
    """Return spectra by kind, shape (point, sample, pair, bin): at all points of a sample of the same fields."""
    parts = [points[:, start : start + PART] for start in range(0, points.shape[1], PART)]
    with ThreadPoolExecutor(2) as threads:
        made = threads.map(lambda i: spectra_of((seed, i), parts[i], cross), range(len(parts)))
        kinds = [torch.cat(each, dim=1) for each in zip(*made, strict=True)]
    return dict(zip(cross, kinds, strict=True))


def bins():
    """Return the bins that have waves and are below the cut."""
    return np.flatnonzero((waves(SIZE, MODEL.pixel_scale) > 0) & (ell_edges(SIZE, MODEL.pixel_scale)[:-1] < 1500))


def mean_over_waves(theta, function):
    """Return means over the waves of each bin of a function of the spectra of maps (wave, map, map), shape (bin, ...).

    Spectra are in the unit of the power of white noise.
    """
    each = np.einsum("if,fyx,jf->yxij", mixing(theta), power(), mixing(theta))
    edges = ell_edges(SIZE, MODEL.pixel_scale) * (1 + 1e-9)
    place = np.searchsorted(edges, np.hypot(*multipoles((SIZE, SIZE), MODEL.pixel_scale)), side="left")
    weight = np.broadcast_to(half_plane(SIZE), place.shape)
    inside = [place == k + 1 for k in bins()]
    return np.array([np.average(function(each[one]), axis=0, weights=weight[one]) for one in inside])


def factor():
    """Return what turns the power of white noise into ℓ (ℓ + 1) C_ℓ / 2π of the bins."""
    edges = ell_edges(SIZE, MODEL.pixel_scale)
    middle = ((edges[1:] + edges[:-1]) / 2)[bins()]
    return middle * (middle + 1) / (2 * np.pi) * np.radians(MODEL.pixel_scale / 60) ** 2


def wick(c):
    """Return the covariance of X_i X_j* and X_k X_l* of single waves."""
    i, j, k, m = FIRST[:, None], SECOND[:, None], FIRST, SECOND
    return c[:, i, k] * c[:, j, m] + c[:, i, m] * c[:, j, k]


def expected(theta):
    """Return mean, shape (bin, pair), and covariance, shape (bin, pair, pair), of the spectra of a mosaic."""
    mean = mean_over_waves(theta, lambda c: c[:, FIRST, SECOND]) * factor()[:, None]
    count = TILES * waves(SIZE, MODEL.pixel_scale)[bins()]
    return mean, mean_over_waves(theta, wick) * (factor() ** 2 / count)[:, None, None]


def fisher_errors_of_spectra():
    steps = np.diag(STEP)
    slopes = [(expected(FIDUCIAL + s)[0] - expected(FIDUCIAL - s)[0]) / (2 * s.max()) for s in steps]
    fisher = np.einsum("pki,kij,qkj->pq", slopes, np.linalg.inv(expected(FIDUCIAL)[1]), slopes)
    return np.sqrt(np.diag(np.linalg.inv(fisher)))


def fisher_errors_of_summaries(summaries):
    """Return the errors by summaries at the fiducial parameters and at both sides of each, (point, sample, number)."""
    slopes = np.stack([(high - low).mean(axis=0) for high, low in zip(summaries[1::2], summaries[2::2], strict=True)])
    slopes /= 2 * STEP[:, None]
    return np.sqrt(np.diag(np.linalg.inv(slopes @ np.linalg.inv(np.cov(summaries[0].T)) @ slopes.T)))


def jackknife(function, samples, blocks=20):
    """Return a function of samples, along axis 1, and its error."""
    left = [np.delete(samples, slice(b, None, blocks), axis=1) for b in range(blocks)]
    scatter = np.std([function(one) for one in left], axis=0)
    return function(samples), scatter * np.sqrt(blocks - 1)


def learn(spectra, theta, seed):
    """Return a network of spectra; the last samples are for validation."""
    torch.manual_seed(seed)
    network = PowerNetwork(PowerConfig(maps=MAPS, parameters=len(PRIOR), width=256, scaling="correlations"))
    label, count = torch.from_numpy(to_units(theta, PRIOR)).float(), len(theta) - VALIDATION
    network.scaling.fit(spectra[:count:10])

    def batches(epoch):
        order = torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(count))
        return ((spectra[rows], label[rows]) for rows in order.split(CONFIG.batch))

    checks = [(spectra[count:], label[count:])]
    train(network, batches, checks, CONFIG, objective=lambda model, batch: summary_loss(model(batch[0]), batch[1]))
    return network


@pytest.fixture(scope="module")
def fiducial():
    """Return spectra at the fiducial parameters and at both sides of each."""
    points = np.stack([FIDUCIAL, *(FIDUCIAL + sign * step for step in np.diag(STEP) for sign in (1, -1))])
    return simulate(np.repeat(points[:, None], TESTED, axis=1), SEED)


@pytest.fixture(scope="module")
def ratios(fiducial):
    """Return the errors by summaries over those by spectra, and the errors of these ratios, by kind."""
    theta = LOW + WIDTH * np.random.default_rng(SEED).random((TRAINING + VALIDATION, len(PRIOR)))
    spectra, found = simulate(theta[None], SEED + 1), {}
    for kind, values in spectra.items():
        network = learn(values[0], theta, SEED)
        with torch.no_grad():
            summaries = np.stack([network(one)[:, : len(PRIOR)].double().numpy() for one in fiducial[kind]])
        value, error = (each / fisher_errors_of_spectra() for each in jackknife(fisher_errors_of_summaries, summaries))
        found[kind] = value
        shown = (f"{one.name} {v:.3f} ± {e:.3f}" for one, v, e in zip(PRIOR, value, error, strict=True))
        print(f"\n{kind}: Fisher errors of summaries over those of spectra: {', '.join(shown)}")
    return found


def test_spectra_have_the_mean_and_the_covariance_of_theory(fiducial):
    mean, covariance = expected(FIDUCIAL)
    residual = np.moveaxis(fiducial["signed"][0].double().numpy()[:, :, bins()], 2, 0) - mean[:, None]
    inverse = np.linalg.inv(covariance)
    off = residual.mean(axis=1)
    together = TESTED * np.einsum("ki,kij,kj->", off, inverse, off)
    assert chi2.sf(together, off.size) > 1e-3
    ratio = np.einsum("ksi,kij,ksj->k", residual, inverse, residual) / (TESTED * off.shape[1])
    np.testing.assert_allclose(ratio, 1, atol=0.02)


def test_modulus_spectra_are_those_of_theory(fiducial):
    def modulus(c):
        scale = np.sqrt(c[:, FIRST, FIRST] * c[:, SECOND, SECOND])
        theory = np.pi / 4 * scale * hyp2f1(-0.5, -0.5, 1, (c[:, FIRST, SECOND] / scale) ** 2)
        return np.where(FIRST == SECOND, scale, theory)

    theory = (mean_over_waves(FIDUCIAL, modulus) * factor()[:, None]).T
    samples = fiducial["modulus"][0].double().numpy()[:, :, bins()]
    error = samples.std(axis=0) / np.sqrt(TESTED)
    assert (abs(samples.mean(axis=0) / theory - 1) < 5 * error / theory).all()
    assert (error < 0.01 * theory).all()


def test_summaries_know_what_spectra_know(ratios):
    assert (fisher_errors_of_spectra() < WIDTH / 6).all()
    assert (ratios["signed"] > 0.97).all()
    assert (ratios["signed"] < 1.15).all()


def test_summaries_of_modulus_spectra_do_not(ratios):
    """What cannot see the sign of a cross spectrum fails the same bound."""
    lost = dict(zip((one.name for one in PRIOR), ratios["modulus"], strict=True))
    assert lost["a_ia"] > 1.5
    assert lost["r_g"] > 1.5
