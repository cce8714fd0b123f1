"""Cuts: weights and responses against plain loops, and the shear of toy populations whose selection bias is known."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.conventions import flux_from_magnitude
from lensdask.errors import InputError
from lensdask.shear.calibration.estimate import bias, bias_of_sums, calibrate, calibrations
from lensdask.shear.calibration.selection import Selection, magnitude_cut
from lensdask.shear.calibration.shape_sums import SUMS, shape_sums
from lensdask.shear.shapes.measurement import COLUMNS

CUTS = {
    "hard": Selection(above=0.2, gamma0=0.3),
    "hard, below": Selection(below=0.4, gamma0=0.2),
    "hard window of e1": Selection("e1", above=-0.5, below=0.6, gamma0=0.1),
    "smooth": Selection(above=0.1, width=0.7),
    "smooth window of e2": Selection("e2", above=-0.3, below=0.3, width=0.5),
}
FLUX, DFLUX = COLUMNS.index("flux"), slice(COLUMNS.index("dflux_dg1"), COLUMNS.index("dflux_dg2") + 1)


def random_table(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(*shape, len(COLUMNS)))
    table[..., -1] = rng.uniform(0.5, 1.5, shape)
    return table


def dataset(table: np.ndarray, *, g: float | None = None) -> xr.Dataset:
    """Return a dataset of shapes; with g, of galaxies simulated under the four shears or under (g, 0) alone."""
    dims = ("galaxy", "shear")[: table.ndim - 1]
    variables = {name: (dims, table[..., i]) for i, name in enumerate(COLUMNS)}
    coords: dict[str, object] = {"galaxy": np.arange(len(table))}
    if g is not None:
        four = table.ndim == 3
        coords["g1"] = ("shear", [g, -g, 0.0, 0.0]) if four else g
        coords["g2"] = ("shear", [0.0, 0.0, g, -g]) if four else 0.0
    return xr.Dataset(variables, coords)


# Weights and sums against plain loops


def step(x: float, width: float) -> float:
    if width == 0:
        return float(x > 0)
    t = min(max((x + width) / (2 * width), 0.0), 1.0)
    return 6 * t**5 - 15 * t**4 + 10 * t**3


def weight(x: float, cut: Selection) -> float:
    rise = 1.0 if cut.above is None else step(x - cut.above, cut.width)
    return rise * (1.0 if cut.below is None else 1.0 - step(x - cut.below, cut.width))


def looped_sums(rows: np.ndarray, cut: Selection) -> list[float]:
    """Equations 16 and 17, galaxy by galaxy; smooth weights by a finite difference along the response."""
    total = np.zeros(len(SUMS))
    h = cut.gamma0 if cut.width == 0 else 1e-6
    for galaxy in rows:
        row = dict(zip(COLUMNS, galaxy, strict=True))
        w, x = row["weight"] * weight(row[cut.column], cut), row[cut.column]
        dw = [
            row["weight"] * (weight(x + h * d, cut) - weight(x - h * d, cut)) / (2 * h)
            for d in (row[f"d{cut.column}_dg1"], row[f"d{cut.column}_dg2"])
        ]
        e = row["e1"], row["e2"]
        moments = [w * e[0], w * e[1], w * e[0] ** 2, w * e[1] ** 2]
        analytic = [w * row[f"de{i}_dg{j}"] for i in (1, 2) for j in (1, 2)]
        total += [1, w > 0, w, *moments, *analytic, *(e[i] * dw[j] for i in (0, 1) for j in (0, 1))]
    return list(total)


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_sums_are_those_of_plain_loops(cut) -> None:
    table = random_table(30, 2)
    sums = shape_sums(table, 12, cut)
    expected = [[looped_sums(table[b : b + 12, v], cut) for v in (0, 1)] for b in (0, 12, 24)]
    np.testing.assert_allclose(sums, expected, rtol=1e-6, atol=1e-6)
    # Neither nobody nor everybody passes, and some galaxies are moved over the edge.
    assert 0 < sums[..., 1].sum() < 60
    assert np.abs(sums[..., 11:]).max(axis=(0, 1)).min() > 0


def test_without_a_cut_everybody_counts() -> None:
    table = random_table(20)
    sums = shape_sums(table, 20)[0]
    assert sums[0] == sums[1] == 20
    assert (sums[11:] == 0).all()
    np.testing.assert_allclose(sums[2:5], [table[:, 9].sum(), *(table[:, 9] @ table[:, :2])])


def test_smooth_step_and_its_slope() -> None:
    cut = Selection(above=2.0, width=0.5)
    np.testing.assert_allclose(cut.weight(np.array([1.0, 1.5, 2.0, 2.5, 9.0])), [0, 0, 0.5, 1, 1])
    window = Selection(above=2.0, below=2.6, width=0.5)
    x, h = np.linspace(1.2, 3.4, 500), 1e-5
    for c in (cut, window):
        np.testing.assert_allclose(c.slope(x), (c.weight(x + h) - c.weight(x - h)) / (2 * h), atol=1e-8)
    # Two continuous derivatives: the slope and its own slope vanish at the rim of the step.
    rim = np.array([1.5, 2.5])
    assert np.abs(cut.slope(rim)).max() == 0
    assert np.abs(cut.slope(rim - h) - cut.slope(rim + h)).max() < 1e-6


def test_edges_of_a_hard_cut() -> None:
    # One cut begins where another ends, and no galaxy is in both.
    x = np.array([1.0, 2.0, 3.0])
    assert Selection(above=1.0, below=2.0).weight(x).tolist() == [0, 1, 0]
    assert Selection(above=2.0).weight(x).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("width", "gamma0", "accuracy"), [(0.0, 0.02, 2e-3), (0.0, 0.1, 0.05), (0.05, 0.02, 3e-3), (0.01, 0.02, 3e-4)]
)
def test_response_of_a_cut_is_the_flow_of_galaxies_over_it(width, gamma0, accuracy) -> None:
    # X uniform over (0, 2): <e dw/dg> = p(X0) e(X0) dX/dg(X0), to second order in gamma0 or in the width.
    table = np.zeros((100_000, len(COLUMNS)))
    x = (np.arange(len(table)) + 0.5) * 2 / len(table)
    table[:, FLUX], table[:, 0], table[:, 9] = x, np.sin(x), 1
    table[:, DFLUX] = np.stack([np.exp(-x), -(x**2)], axis=-1)
    sums = shape_sums(table, len(table), Selection(above=0.7, width=width, gamma0=gamma0))[0]
    expected = 0.5 * np.sin(0.7) * np.array([np.exp(-0.7), -(0.7**2)])
    np.testing.assert_allclose(sums[11:13] / sums[0], expected, rtol=accuracy)


@pytest.mark.parametrize("width", [0.0, 0.4])
def test_a_cut_and_the_rest_make_the_whole(width) -> None:
    table = random_table(50, 4)
    whole = shape_sums(table, 10)
    parts = [shape_sums(table, 10, Selection(**edge, width=width)) for edge in ({"above": 0.3}, {"below": 0.3})]
    np.testing.assert_allclose(np.delete(sum(parts) - whole, 1, axis=-1)[..., 1:], 0, atol=1e-12)
    assert np.abs(parts[0][..., 11:]).max() > 0.1


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(1e-3, 1e3), width=st.sampled_from([0.0, 0.5]), corrected=st.booleans())
def test_the_unit_of_weight_does_not_matter(factor, width, corrected) -> None:
    table = random_table(40, 4)
    heavy = table.copy()
    heavy[..., 9] *= factor
    found = [
        bias_of_sums(shape_sums(t, 2, Selection(below=1.0, width=width)), 0.02, seed=0, replicas=2, corrected=corrected)
        for t in (table, heavy)
    ]
    for name in ("values", "response", "selection_response", "selected"):
        np.testing.assert_allclose(getattr(found[1], name), getattr(found[0], name), rtol=1e-8, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(margin=st.floats(0.5, 100), width=st.sampled_from([0.0, 0.4]), seed=st.integers(0, 1000))
def test_a_cut_that_keeps_everybody_changes_nothing(margin, width, seed) -> None:
    table = random_table(12, 4, seed=seed)
    low = (table[..., FLUX] - 0.02 * np.abs(table[..., DFLUX]).max(axis=-1)).min()
    sums = shape_sums(table, 2, Selection(above=low - margin, width=width))
    np.testing.assert_array_equal(sums, shape_sums(table, 2))


# Toy populations: e = e0 + R g, X = F (1 + a e0.g) with flux F and e0 independent. A cut X > X0 removes, in the mean,
# a X0 p(X0) Var(e0) g from or adds it to <w e> = P(F > X0) R g, with the density p of F.

A, R, SPREAD, MEDIAN = -1.2, 0.4, 0.3, 10.0


def toy(pairs: int, g: tuple[float, float], seed: int) -> np.ndarray:
    """Return orthogonal pairs of galaxies, e0 and -e0, of lognormal flux with median 10."""
    rng = np.random.default_rng(seed)
    e0 = np.repeat(SPREAD * rng.normal(size=(pairs, 2)), 2, axis=0) * np.tile([[1], [-1]], (pairs, 1))
    flux = np.repeat(MEDIAN * np.exp(rng.normal(size=pairs)), 2)
    table = np.zeros((2 * pairs, len(COLUMNS)))
    table[:, :2] = e0 + R * np.asarray(g)
    table[:, 2] = table[:, 5] = R
    table[:, FLUX] = flux * (1 + A * e0 @ np.asarray(g))
    table[:, DFLUX] = flux[:, None] * A * e0
    table[:, 9] = 1
    return table


def forgotten_response() -> float:
    """Return the selection response over the other one for a hard cut at the median: X0 p(X0) = 1 / sqrt(2 pi)."""
    return A * SPREAD**2 / np.sqrt(2 * np.pi) / (0.5 * R)


@pytest.mark.parametrize("width", [0.0, 2.0], ids=["hard", "smooth"])
def test_calibration_with_a_cut_recovers_the_shear(width) -> None:
    truth = np.array([0.03, -0.012])
    cut = Selection(above=MEDIAN, width=width)
    pulls, forgotten = [], []
    for seed in range(8):
        result = calibrate(dataset(toy(40_000, truth, seed), g=0.0), cut, seed=seed, replicas=100)
        pulls.append((result.g - truth) / result.errors)
        analytic = np.diag(result.response - result.selection_response)
        forgotten.append(result.g * np.diag(result.response) / analytic)
        assert result.galaxies == 80_000
        assert abs(result.selected - 40_000) < (800 if width == 0 else 8000)
        np.testing.assert_allclose(analytic, R, rtol=1e-9)
        np.testing.assert_allclose(result.errors, result.delta_errors, rtol=0.4)
    # Sixteen numbers: their mean is known to a quarter of an error.
    assert abs(np.mean(pulls)) < 3 / 4
    assert np.abs(pulls).max() < 3.5
    # Whoever forgets the selection response is wrong by much more than the errors, and by as much as predicted.
    loss = np.mean(np.array(forgotten) / truth, axis=0) - 1
    np.testing.assert_allclose(loss, forgotten_response(), atol=0.03)
    assert forgotten_response() < -0.2


@pytest.mark.parametrize("width", [0.0, 2.0], ids=["hard", "smooth"])
def test_bias_with_a_cut_is_none_when_corrected(width) -> None:
    g, cut = 0.02, Selection(above=MEDIAN, width=width)
    shears = ((g, 0), (-g, 0), (0, g), (0, -g))
    table = np.stack([toy(20_000, shear, 3) for shear in shears], axis=1)
    result = bias(dataset(table, g=g), cut, replicas=100)
    assert (np.abs(result.values[:4] / result.errors[:4]) < 3).all()
    assert (result.errors[:2] < 0.03).all()
    uncorrected = bias_of_sums(shape_sums(table, 100, cut), g, seed=0, replicas=100, corrected=False)
    np.testing.assert_allclose(uncorrected.values[:2], forgotten_response(), atol=0.05)
    np.testing.assert_allclose(np.diag(uncorrected.response), R, rtol=1e-9)
    np.testing.assert_allclose(result.response - result.selection_response, uncorrected.response, atol=1e-12, rtol=1e-9)
    assert result.galaxies == 40_000
    assert abs(result.selected / 40_000 - 0.5) < (0.01 if width == 0 else 0.1)


def test_shape_noise_is_that_of_the_selected() -> None:
    table = random_table(4000)
    table[:, 2], table[:, 5] = 0.5, 0.8
    table[:, 0:2] *= np.where(table[:, FLUX] > 0.3, 1.0, 3.0)[:, None]
    table[:, DFLUX] = 0
    kept = table[table[:, FLUX] > 0.3]
    spread = [np.sqrt(np.cov(kept[:, i], aweights=kept[:, 9], ddof=0)) for i in (0, 1)]
    result = calibrate(dataset(table), Selection(above=0.3), replicas=20)
    np.testing.assert_allclose(result.shape_noise, np.array(spread) / [0.5, 0.8], rtol=1e-9)
    assert result.selected == len(kept)


# Datasets


def test_orthogonal_pairs_are_one_unit() -> None:
    # Shapes that cancel in each pair leave no error of the mean; taken for independent they would.
    table = toy(600, (0.02, 0.0), 1)
    assert calibrate(dataset(table, g=0.02), replicas=50).errors.max() < 1e-12
    # Three galaxies a block: every other pair is torn apart.
    torn = calibrate(dataset(table), replicas=50)
    np.testing.assert_allclose(torn.errors, SPREAD / R * np.sqrt(2 / 3 / 1200), rtol=0.4)


def test_broken_pairs_are_refused() -> None:
    shapes = dataset(toy(20, (0.02, 0.0), 1), g=0.02)
    for broken in (shapes.isel(galaxy=slice(1, 39)), shapes.isel(galaxy=slice(0, 39)), shapes.isel(galaxy=[0, 2])):
        with pytest.raises(InputError, match=r"^shapes: galaxies are not in orthogonal pairs .* cuts as a selection$"):
            calibrate(broken)


def test_several_cuts_read_a_lazy_dataset_once() -> None:
    table = random_table(600)
    table[:, 2], table[:, 5] = 0.5, 0.8
    reads = []

    def measured(block: np.ndarray) -> np.ndarray:
        reads.append(len(block))
        return block

    packed = da.from_array(table, chunks=(100, len(COLUMNS))).map_blocks(measured, meta=np.empty((0, 0)))
    lazy = xr.Dataset({name: (("galaxy",), packed[:, i]) for i, name in enumerate(COLUMNS)}, {"galaxy": np.arange(600)})
    cuts = [None, Selection(above=0.0), Selection(below=0.5, width=0.4)]
    found = calibrations(lazy, cuts, replicas=20)
    assert reads == [100] * 6
    for result, cut in zip(found, cuts, strict=True):
        alone = calibrate(dataset(table), cut, replicas=20)
        np.testing.assert_array_equal(result.g, alone.g)
        np.testing.assert_array_equal(result.errors, alone.errors)
    assert len({result.selected for result in found}) == 3


def test_too_few_selected_galaxies_are_refused() -> None:
    table = random_table(4000)
    top = Selection(above=float(np.sort(table[:, FLUX])[-4]))
    with pytest.raises(InputError, match=r"^selection: 3 of 4000 galaxies are kept, in 3 of 400 blocks; expected"):
        calibrate(dataset(table), top)
    with pytest.raises(InputError, match=r"^selection: 0 of 12 galaxies are kept, in 0 of 6 blocks; expected [^\n]*$"):
        bias(dataset(random_table(12, 4), g=0.02), Selection(above=99.0))


# Settings


def test_magnitude_cut() -> None:
    cut = magnitude_cut(24.5)
    assert (cut.column, cut.below, cut.width) == ("flux", None, 0.0)
    assert cut.above == pytest.approx(10 ** (0.4 * 5.5))
    h = 1e-4
    per_magnitude = (flux_from_magnitude(24.5 - h) - flux_from_magnitude(24.5 + h)) / (2 * h)
    assert magnitude_cut(24.5, 0.3).width == pytest.approx(0.3 * per_magnitude, rel=1e-6)


@pytest.mark.parametrize(
    "mistake",
    [
        {"column": "weight", "above": 1.0},
        {},
        {"above": np.nan},
        {"below": np.inf},
        {"above": 2.0, "below": 1.0},
        {"above": 1.0, "below": 1.0},
        {"above": 1.0, "width": -0.1},
        {"above": 1.0, "width": np.inf},
        {"above": 1.0, "gamma0": 0.0},
    ],
)
def test_impossible_selections_are_refused(mistake) -> None:
    with pytest.raises(InputError, match=r"^selection: [^\n]*; expected [^\n]*$"):
        Selection(**mistake)


@pytest.mark.parametrize("mistake", [(np.nan, 0.0), (np.inf, 0.0), (24.0, -1.0), (24.0, np.nan), (24.0, 1.5)])
def test_impossible_magnitude_cuts_are_refused(mistake) -> None:
    with pytest.raises(InputError, match=r"^magnitude cut: [^\n]*; expected [^\n]*$"):
        magnitude_cut(*mistake)
