"""The batched renderer against GalSim, drawn with accuracies that take it fifty times as long."""

from functools import partial
from pathlib import Path

import array_api_strict
import galsim
import numpy as np
import pytest

from lensdask.arrays import like, to_numpy
from lensdask.errors import InputError
from lensdask.shear.imaging import imaging_of_observation
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.measurement import COLUMNS, measure_stamps
from lensdask.shear.simulation import render
from lensdask.shear.simulation.catsim import mock_galaxies, read_catsim
from lensdask.shear.simulation.observation import (
    Observation,
    Poses,
    _galaxy,
    _posed,
    draw_stamps,
    poses_of,
    psf_index,
    psf_profiles,
)
from lensdask.shear.simulation.profiles import (
    BULGE_LENGTH,
    DISC_LENGTH,
    de_vaucouleurs_transform,
    exponential_transform,
    gaussian_transform,
    moffat_reach,
    moffat_transform,
)
from lensdask.shear.simulation.render import render_stamps

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "catsim_sample.fits"
SEED = 3
IDS = np.arange(16)
ROWS = np.repeat(mock_galaxies(SEED, np.arange(8)), 2)
# One along the axes and one across, of the size of the test's and larger: as a square, a stamp hides many a slip.
SHEARS = np.array([[0.02, 0.0], [-0.05, 0.1]])


def drawn_tightly(rows, ids, observation, shears, tight):
    """Draw what `draw_stamps` draws, with GalSim at an accuracy of 1e-6."""
    psfs = [psf.withGSParams(tight) for psf in psf_profiles(observation, SEED)]
    stamps = []
    poses = map(Poses, *poses_of(ids, SEED, observation))
    for row, pose, number in zip(rows, poses, psf_index(ids, observation), strict=True):
        profile = _galaxy(row).withGSParams(tight)
        for shear in shears:
            convolved = galsim.Convolve(_posed(profile, pose, shear, observation), psfs[number])
            size = observation.size
            stamps.append(convolved.drawImage(nx=size, ny=size, scale=observation.pixel_scale, dtype=float).array)
    return np.reshape(stamps, (len(ids), len(shears), size, size))


def error(stamps, expected):
    """Return the largest difference of a pixel over the peak of its stamp."""
    return (np.abs(stamps - expected) / expected.max(axis=(2, 3), keepdims=True)).max()


def error_of(rows, tight, shears=SHEARS, **settings):
    ids, observation = np.arange(len(rows)), Observation(**settings)
    stamps = render_stamps(rows, ids, observation, SEED, shears)
    assert stamps.dtype == np.float32
    return error(stamps, drawn_tightly(rows, ids, observation, shears, tight))


def galaxies(disc=None, bulge=None, nucleus=0.0):
    """Return catalogue rows, one per pair of semi-axes of the disc and of the bulge; both if both are given."""
    rows = np.zeros(len(disc or bulge), ROWS.dtype)
    rows["i_ab"], rows["fluxnorm_agn"] = 22.0, nucleus
    for part, name, axes in (("disk", "d", disc), ("bulge", "b", bulge)):
        if axes:
            rows[f"fluxnorm_{part}"], rows[f"pa_{part}"] = 1.0, 30.0 + 40 * np.arange(len(rows))
            rows[f"a_{name}"], rows[f"b_{name}"] = np.transpose(axes)
    return rows


def test_stamps_of_the_mock_are_those_of_galsim(tight):
    rows = np.repeat(mock_galaxies(SEED, np.arange(30)), 2)
    assert error_of(rows, tight, SHEARS[:1]) < 5e-6
    # What makes the other renderer's pixels differ from these is its own accuracy.
    ids = np.arange(60)
    assert error(draw_stamps(rows, ids, Observation(), SEED), render_stamps(rows, ids, Observation(), SEED)) < 3e-4


@pytest.mark.parametrize(
    "settings",
    [
        {"offset": "after_shear"},
        {"offset": "none"},
        {"psf_e1": 0.2, "psf_e2": -0.3},
        {"psfs": 5, "psf_scatter": 0.1, "psf_e1": 0.02},
        {"psf_beta": 4.765, "psf_fwhm": 0.6},
        {"size": 48, "pixel_scale": 0.263},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_any_observation_is_that_of_galsim(settings, tight):
    assert error_of(ROWS, tight, **settings) < 5e-6


@pytest.mark.parametrize(
    "rows",
    [
        galaxies(disc=[(0.01, 0.005), (0.4, 0.3), (2.0, 0.5), (4.5, 1.0)]),
        galaxies(bulge=[(0.01, 0.008), (0.3, 0.2), (1.0, 0.7), (2.5, 1.6)]),
        galaxies(disc=[(0.8, 0.3)] * 2, bulge=[(0.1, 0.1), (0.5, 0.3)], nucleus=0.5),
        galaxies(disc=[(0.01, 0.01)] * 2, nucleus=1e6),
    ],
    ids=["disc", "bulge", "all parts", "nucleus"],
)
def test_parts_of_all_sizes_are_those_of_galsim(rows, tight):
    assert error_of(rows, tight) < 1e-5


def test_real_galaxies_are_those_of_galsim(tight):
    if not SAMPLE.exists():
        pytest.skip("the CatSim sample is not in ../shared/data")
    assert error_of(read_catsim(SAMPLE, 99.0).rows, tight, SHEARS[:1]) < 5e-6


@pytest.mark.parametrize("beta", [1.5, 2.5, 3.3, 10.0])
def test_moffat_transform_and_its_reach(beta):
    profile = galsim.Moffat(beta=beta, scale_radius=1, gsparams=galsim.GSParams(kvalue_accuracy=1e-9))
    k = np.linspace(0, 15, 31)
    np.testing.assert_allclose(moffat_transform(k, beta), [profile.kValue(q, 0).real for q in k], atol=1e-8)
    z = np.linspace(0, 60, 200_001)
    light = moffat_transform(z, beta) * z
    assert light[z > moffat_reach(beta, 1e-3)].sum() == pytest.approx(1e-3 * light.sum(), rel=4e-2)


@pytest.mark.parametrize(
    ("transform", "profile", "length"),
    [
        (exponential_transform, galsim.Exponential, DISC_LENGTH),
        (de_vaucouleurs_transform, galsim.DeVaucouleurs, BULGE_LENGTH),
        (gaussian_transform, galsim.Gaussian, 1 / np.sqrt(2 * np.log(2))),
    ],
    ids=["exponential", "de Vaucouleurs", "Gaussian"],
)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_transforms_of_half_light_radius(transform, profile, length, precision):
    accuracy = galsim.GSParams(kvalue_accuracy=1e-8, maxk_threshold=1e-6, folding_threshold=1e-4)
    oracle = profile(half_light_radius=1, gsparams=accuracy)
    k = np.append(0.0, np.geomspace(1e-3, 200, 200))
    values = transform(((k * length) ** 2).astype(precision))
    assert values.dtype == precision
    np.testing.assert_allclose(values, [oracle.kValue(q, 0).real for q in k], rtol=0, atol=1e-6)


@pytest.mark.parametrize("psf", [{}, {"psf_e1": 0.1, "psf_e2": 0.05}], ids=["round", "elliptical"])
def test_fpfs_has_the_same_bias_on_both(psf):
    observation, ids = Observation(noise_sigma=0.0, **psf), np.arange(100)
    rows, imaging = np.repeat(mock_galaxies(1, np.arange(50)), 2), imaging_of_observation(observation, ids, SEED)

    def bias(renderer):
        stamps = renderer(rows, ids, observation, SEED)
        table = measure_stamps(stamps, ids, imaging, find_estimator("fpfs"), seed=SEED).mean(axis=0)
        values = []
        for i, (plus, minus) in enumerate(table.reshape(2, 2, -1), 1):
            e, R = COLUMNS.index(f"e{i}"), COLUMNS.index(f"de{i}_dg{i}")
            response = plus[R] + minus[R]
            values += [(plus[e] - minus[e]) / (observation.shear * response) - 1, (plus[e] + minus[e]) / response]
        return values

    np.testing.assert_allclose(bias(render_stamps), bias(draw_stamps), rtol=0, atol=2e-6)


@pytest.mark.parametrize("device", [None, "cpu"], ids=["numpy", "torch"])
@pytest.mark.parametrize("psfs", [1, 3])
def test_bits_do_not_depend_on_what_stands_beside(device, psfs):
    # More stamps than a batch, of several kinds.
    observation, ids = Observation(psfs=psfs, psf_scatter=0.1 * (psfs > 1)), np.arange(40)
    rows = np.repeat(mock_galaxies(SEED, np.arange(20)), 2)
    rows["fluxnorm_agn"][::5] = rows["fluxnorm_disk"][::5]
    drawn = partial(render_stamps, observation=observation, seed=SEED, device=device)
    whole = to_numpy(drawn(rows, ids))
    for step in (1, 7):
        parts = [to_numpy(drawn(rows[i : i + step], ids[i : i + step])) for i in range(0, 40, step)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(to_numpy(drawn(rows[order], ids[order])), whole[order])
    assert drawn(rows[:0], ids[:0]).shape == (0, 4, 64, 64)


def test_torch_draws_what_numpy_draws():
    expected = render_stamps(ROWS, IDS, Observation(), SEED, SHEARS)
    stamps = render_stamps(ROWS, IDS, Observation(), SEED, SHEARS, device="cpu")
    assert str(stamps.dtype) == "torch.float32"
    assert 0 < error(to_numpy(stamps), expected) < 1e-6


def test_the_array_api_is_enough():
    observation = Observation(psfs=3, psf_scatter=0.1)
    scene = render._scene(ROWS[:4], IDS[:4], observation, SEED, SHEARS)
    scene.flux[:] = 1.0
    stamps = []
    for library in (array_api_strict, np):
        basis = render._Basis(*(like(a, library.zeros(1)) for a in render._basis(observation, SEED)))
        drawn = render._synthesis(render._spectrum(scene, (0, 1, 2), basis), scene.offset, basis)
        stamps.append(np.asarray(drawn))
    np.testing.assert_allclose(*stamps, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
def test_a_gpu_draws_what_numpy_draws(cuda):
    expected = render_stamps(ROWS, IDS, Observation(), SEED)
    stamps = render_stamps(ROWS, IDS, Observation(), SEED, device=cuda)
    assert stamps.device.type == "cuda"
    assert error(to_numpy(stamps), expected) < 2e-6
    one_by_one = [render_stamps(ROWS[i : i + 1], IDS[i : i + 1], Observation(), SEED, device=cuda) for i in range(4)]
    np.testing.assert_array_equal(np.concatenate([to_numpy(one) for one in one_by_one]), to_numpy(stamps[:4]))


def test_bad_input_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"^galaxies: 1 rows for 16 ids; expected [^\n]*$"):
        render_stamps(ROWS[:1], IDS, Observation(), SEED)
    with pytest.raises(InputError, match=r"^device: 'tpu'; expected [^\n]*$"):
        render_stamps(ROWS, IDS, Observation(), SEED, device="tpu")
