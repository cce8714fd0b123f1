from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from lensdask.errors import InputError
from lensdask.shear.calibration.estimate import BIAS_QUANTITIES, bias, bias_of_sums, calibrate
from lensdask.shear.calibration.selection import Selection
from lensdask.shear.calibration.shape_sums import shape_sums
from lensdask.shear.imaging import Imaging
from lensdask.shear.shapes.estimator import Estimator, find_estimator
from lensdask.shear.shapes.measurement import COLUMNS, measure_stamps
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import Observation, draw_psf, draw_stamps

ROUND, ELLIPTICAL = (0.0, 0.0), (0.02, -0.02)
FPFS = Estimator("fpfs")


def random_table(galaxies: int, seed: int = 0, g: float = 0.02) -> np.ndarray:
    """Return shapes (galaxy, 4, column) of galaxies that obey e = R g with a known bias, and with weights."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(galaxies, 4, len(COLUMNS)))
    shears = np.array([[g, 0], [-g, 0], [0, g], [0, -g]])
    intrinsic, response = 0.2 * rng.normal(size=(galaxies, 1, 2)), 0.8 + 0.1 * rng.normal(size=(galaxies, 4, 2))
    table[..., 0:2] = intrinsic + response * shears * 1.03 + 0.001
    table[..., 2], table[..., 5] = response[..., 0], response[..., 1]
    table[..., 9] = rng.uniform(0.5, 1.5, (galaxies, 4))
    return table


def dataset(table: np.ndarray, g: float = 0.02) -> xr.Dataset:
    dims = ("galaxy", "shear") if table.ndim == 3 else ("galaxy",)
    variables = {name: (dims, table[..., i]) for i, name in enumerate(COLUMNS)}
    coords = {"galaxy": np.arange(len(table))}
    if table.ndim == 3:
        coords |= {"g1": ("shear", [g, -g, 0.0, 0.0]), "g2": ("shear", [0.0, 0.0, g, -g])}
    return xr.Dataset(variables, coords)


def looped(table: np.ndarray, g: float) -> list[float]:
    """Equations 20, 22 and 23 in plain loops; m and c from means over all galaxies, Std(e) weighted."""
    m, c, noise = [], [], []
    for i in range(2):
        means = []
        for version in range(4):
            rows = [dict(zip(COLUMNS, galaxy, strict=True)) for galaxy in table[:, version]]
            weight = sum(row["weight"] for row in rows)
            e = sum(row["weight"] * row[f"e{i + 1}"] for row in rows) / weight
            R = sum(row["weight"] * row[f"de{i + 1}_dg{i + 1}"] for row in rows) / weight
            variance = sum(row["weight"] * (row[f"e{i + 1}"] - e) ** 2 for row in rows) / weight
            means.append((e, R, variance, weight / len(rows)))
        (e_plus, e_minus), (R_plus, R_minus) = (
            [mean[k] * mean[3] for mean in means[2 * i : 2 * i + 2]] for k in (0, 1)
        )
        m.append((e_plus - e_minus) / (g * (R_plus + R_minus)) - 1)
        c.append((e_plus + e_minus) / (R_plus + R_minus))
        noise.append((sum(mean[2] for mean in means) / 4) ** 0.5 / (sum(mean[1] for mean in means) / 4))
    return [*m, *c, *noise]


@pytest.mark.parametrize("galaxies", [4, 38, 900])
def test_biases_are_those_of_plain_loops(galaxies) -> None:
    table = random_table(galaxies)
    result = bias(dataset(table), replicas=20)
    assert BIAS_QUANTITIES == ("m1", "m2", "c1", "c2", "shape_noise_1", "shape_noise_2")
    np.testing.assert_allclose(result.values, looped(table, 0.02), rtol=1e-9, atol=1e-12)


def test_amplitude_of_the_shear_is_read_from_the_dataset() -> None:
    table = random_table(20)
    np.testing.assert_allclose(bias(dataset(table, 0.005), replicas=20).values, looped(table, 0.005), rtol=1e-9)


def test_biases_do_not_depend_on_the_blocks() -> None:
    table = random_table(60)
    values = [bias_of_sums(shape_sums(table, k), 0.02, seed=0, replicas=20).values for k in (1, 7, 30)]
    np.testing.assert_allclose(values, np.broadcast_to(values[0], (3, 6)), rtol=1e-10)


def test_bias_is_found_with_its_error() -> None:
    # The table has m = 0.03 and c = 0.001 / 0.8; intrinsic shapes are common to ±g, and drop out of m.
    results = [bias(dataset(random_table(2000, seed)), seed=seed, replicas=100) for seed in range(12)]
    values = np.array([r.values[:4] for r in results])
    truth = np.array([0.03, 0.03, 0.00125, 0.00125])
    pulls = (values - truth) / [r.errors[:4] for r in results]
    assert np.abs(pulls).max() < 4
    assert (pulls**2).mean() == pytest.approx(1, abs=5 * np.sqrt(2 / pulls.size))
    ratio = np.array([r.errors / r.delta_errors for r in results])
    # 100 replicas know an error to 7 %, twelve of them to 2 %; 9 % is four times that.
    np.testing.assert_allclose(ratio.mean(axis=0), 1, atol=0.09)
    assert results[0].blocks == 500  # 1000 pairs, two a block


def test_members_of_a_pair_lie_in_one_block() -> None:
    # Shapes that cancel in each pair leave no scatter of c; split pairs would.
    table = random_table(1600)
    table[..., 9] = 1
    table[..., 0:2] = np.repeat(np.random.default_rng(1).normal(size=(800, 1, 2)), 2, axis=0)
    table[1::2, :, 0:2] *= -1
    result = bias(dataset(table), replicas=50)
    # c = <e>/<R> with <e> = 0 in every block; only rounding is left of errors of order 1/40.
    assert result.errors[2:4].max() < 1e-12
    assert result.values[4:].min() > 0.5


@pytest.mark.parametrize("change", [lambda s: s.isel(shear=0), lambda s: s.isel(shear=[0, 1])], ids=["none", "two"])
def test_bias_needs_the_four_shears(change) -> None:
    with pytest.raises(InputError, match=r"^shapes: no dimension 'shear' of length 4; expected"):
        bias(change(dataset(random_table(4))))


def test_calibration_recovers_the_shear() -> None:
    rng = np.random.default_rng(8)
    truth = np.array([0.03, -0.012])
    pulls = []
    for _ in range(8):
        table = np.zeros((6000, len(COLUMNS)))
        R = np.array([[0.8, 0.1], [-0.2, 0.9]]) + 0.05 * rng.normal(size=(6000, 2, 2))
        table[:, 2:6] = R.reshape(-1, 4)
        table[:, :2] = np.einsum("gij,j->gi", R, truth) + 0.2 * rng.normal(size=(6000, 2))
        table[:, 9] = rng.uniform(0.5, 1.5, 6000)
        result = calibrate(dataset(table), replicas=200)
        pulls.append((result.g - truth) / result.errors)
        weight = table[:, 9] / table[:, 9].sum()
        np.testing.assert_allclose(result.response.ravel(), weight @ table[:, 2:6], rtol=1e-10)
        R11, R12, R21, R22 = weight @ table[:, 2:6]
        e1, e2 = weight @ table[:, :2]
        cramer = np.array([R22 * e1 - R12 * e2, R11 * e2 - R21 * e1]) / (R11 * R22 - R12 * R21)
        np.testing.assert_allclose(result.g, cramer, rtol=1e-10)
        np.testing.assert_allclose(result.errors, result.delta_errors, rtol=0.25)
        np.testing.assert_allclose(result.shape_noise, 0.2 / np.array([0.8, 0.9]), rtol=0.05)
        assert result.galaxies == 6000
    assert np.abs(pulls).max() < 4
    assert np.std(pulls) == pytest.approx(1, abs=0.7)


def test_calibration_refuses_several_shears_and_single_galaxies() -> None:
    with pytest.raises(InputError, match=r"^shapes: dimension 'shear'; expected one shear"):
        calibrate(dataset(random_table(4)))
    with pytest.raises(InputError, match=r"^shapes: 1 galaxies; expected at least 2"):
        calibrate(dataset(random_table(1)[:, 0]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("selection", [None, Selection(above=-1.0, width=0.5)])
def test_galaxies_of_weight_0_are_not_looked_at(value, selection) -> None:
    table = random_table(60)
    weight = COLUMNS.index("weight")
    table[[4, 5, 40, 41], :, :] = 0
    nothing = calibrate(dataset(table[:, 0]), selection, replicas=20), bias(dataset(table), selection, replicas=20)
    table[[4, 5, 40, 41], :, :weight] = value
    found = calibrate(dataset(table[:, 0]), selection, replicas=20), bias(dataset(table), selection, replicas=20)
    np.testing.assert_array_equal(found[0].g, nothing[0].g)
    np.testing.assert_array_equal(found[1].values, nothing[1].values)
    table[4, 0, weight] = 1e-9
    with pytest.raises(InputError, match="shapes: 1 of 60 galaxies are not finite; drop them"):
        calibrate(dataset(table[:, 0]), selection)


def test_negative_weights_are_refused() -> None:
    table = random_table(20)
    table[3, 0, COLUMNS.index("weight")] = -0.5
    for of in (lambda: calibrate(dataset(table[:, 0])), lambda: bias(dataset(table))):
        with pytest.raises(InputError, match=r"^shapes: weight of -0\.5 for a galaxy; expected 0 or more$"):
            of()


def test_shapes_that_do_not_respond_to_shear_are_refused() -> None:
    table = random_table(40)[:, 0]
    table[:, 2:6] = 0
    with pytest.raises(InputError, match=r"^shapes: the mean response has no inverse; expected"):
        calibrate(dataset(table))


@pytest.mark.parametrize("name", ["fpfs", "d4cnn"])
def test_few_galaxies_leave_no_shear_in_the_other_component(name) -> None:
    # Few galaxies have a mean response that is not diagonal: by its diagonal alone g2 is -2e-4 and -1.2e-3 for 0.
    # Orthogonal pairs leave no mean shape, and what is left of g is of third order.
    ids, observation = np.arange(24), Observation(noise_sigma=0.0)
    stamps = draw_stamps(np.repeat(mock_galaxies(1, np.arange(12)), 2), ids, observation, 1)
    table = measure_stamps(stamps, ids, Imaging(draw_psf(observation), 0.2, 0.0), find_estimator(name), seed=1)
    for version, truth in enumerate([(0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02)]):
        result = calibrate(dataset(table[:, version]), replicas=20)
        np.testing.assert_allclose(result.g, truth, atol=3e-5)


# Shear without noise: what is left of m is of third order, m ~ g², and c vanishes for an elliptical PSF too


def noiseless_bias(table: np.ndarray, g: float) -> tuple[np.ndarray, np.ndarray]:
    """Return m and c, two components each, of 200 orthogonal pairs."""
    values = bias_of_sums(shape_sums(table, 2), g, seed=0, replicas=20).values
    return values[:2], values[2:4]


@pytest.mark.parametrize("g", [0.02, 0.005])
@pytest.mark.parametrize("e", [ROUND, ELLIPTICAL], ids=["round", "elliptical"])
def test_fpfs_is_unbiased_to_third_order(noiseless_table: Callable, e, g) -> None:
    # Measured: m = (0.676 ± 0.013) g² for the mock and (0.65 ± 0.06) g² for 100 CatSim galaxies.
    m, c = noiseless_bias(noiseless_table(FPFS, psf_e1=e[0], psf_e2=e[1], shear=g), g)
    assert (m / g**2 > 0.5).all()
    assert (m / g**2 < 1.0).all()
    assert np.abs(c).max() < 1e-6


def reference_population() -> np.ndarray:
    """Return 200 galaxies that anybody can write down: CatSim-like discs, four in ten with a bulge of a third.

    Half-light radii 0.3 to 0.6 arcsec, the bulge's 0.6 times as large, axis ratios of randomly inclined discs of
    thickness 0.2, i = 22 to 24.5.
    """
    rng = np.random.default_rng(22245)
    rows = np.zeros(200, mock_galaxies(1, np.arange(1)).dtype)
    size, cosine = rng.uniform(0.3, 0.6, 200), rng.uniform(0, 1, 200)
    q = np.sqrt(0.2**2 + (1 - 0.2**2) * cosine**2)
    rows["fluxnorm_bulge"] = np.where(rng.random(200) < 0.4, 1 / 3, 0)
    rows["fluxnorm_disk"] = 1 - rows["fluxnorm_bulge"]
    rows["a_d"], rows["b_d"] = size / np.sqrt(q), size * np.sqrt(q)
    rows["a_b"] = rows["b_b"] = np.where(rows["fluxnorm_bulge"] > 0, 0.6 * size, 0)
    rows["i_ab"] = rng.uniform(22, 24.5, 200)
    return rows


@pytest.mark.parametrize("e", [ROUND, ELLIPTICAL], ids=["round", "elliptical"])
def test_third_order_bias_of_a_reference_population(noiseless_table: Callable, e) -> None:
    g = 0.02
    m, c = noiseless_bias(noiseless_table(FPFS, reference_population(), psf_e1=e[0], psf_e2=e[1], shear=g), g)
    assert (m / g**2 > 0.7).all()
    assert (m / g**2 < 0.9).all()
    assert np.abs(c).max() < 1e-6


def test_offset_before_shear_does_no_harm_and_after_shear_does(noiseless_table: Callable) -> None:
    # Lensing moves light that is off the origin, too; FPFS at the fixed centre relies on it.
    g = 0.02
    before, centred, after = (
        noiseless_bias(noiseless_table(FPFS, offset=offset), g)[0] for offset in ("before_shear", "none", "after_shear")
    )
    assert np.abs(before - centred).max() < 5e-5
    assert (np.abs(after) > 0.02).all()


@pytest.mark.parametrize(("g", "largest"), [(0.02, 5e-4), (0.005, 5e-5)])
@pytest.mark.parametrize("e", [ROUND, ELLIPTICAL], ids=["round", "elliptical"])
def test_d4cnn_is_unbiased(noiseless_table: Callable, e, g, largest) -> None:
    chosen = find_estimator("d4cnn")
    m, c = noiseless_bias(noiseless_table(chosen, psf_e1=e[0], psf_e2=e[1], shear=g), g)
    assert np.abs(m).max() < largest
    assert np.abs(c).max() < 1e-6
