"""Weights that follow the flux: their response against differences, the error that the best ones leave, and no bias."""

import numpy as np
import pytest
import xarray as xr

from lensdask.errors import InputError
from lensdask.shear import FluxWeights, Selection, bias, calibrate, optimal_weights
from lensdask.shear.calibration.estimate import bias_of_sums
from lensdask.shear.calibration.shape_sums import shape_sums
from lensdask.shear.shapes.measurement import COLUMNS

FLUX, DFLUX = COLUMNS.index("flux"), slice(COLUMNS.index("dflux_dg1"), COLUMNS.index("dflux_dg2") + 1)
RISING = FluxWeights((0.0, 1.0, 2.0, 3.0), (0.1, 0.3, 0.9, 1.0))
MEDIAN, A = 30.0, -1.2


def toy(pairs: int, g, seed: int) -> np.ndarray:
    """Return pairs e0 and -e0 whose flux is F (1 + A e0.g), and whose response and spread follow F."""
    rng = np.random.default_rng(seed)
    flux = np.repeat(MEDIAN * np.exp(rng.normal(size=pairs)), 2)
    e0 = np.repeat(rng.normal(size=(pairs, 2)), 2, axis=0) * np.tile([[1], [-1]], (pairs, 1)) * spread(flux)[:, None]
    table = np.zeros((2 * pairs, len(COLUMNS)))
    table[:, :2] = e0 + response(flux)[:, None] * np.asarray(g)
    table[:, 2] = table[:, 5] = response(flux)
    table[:, FLUX] = flux * (1 + A * e0 @ np.asarray(g))
    table[:, DFLUX] = flux[:, None] * A * e0
    table[:, 9] = 1
    return table


def response(flux):
    return flux / (flux + 20)


def spread(flux):
    return 0.2 + 4 / flux


def dataset(table: np.ndarray, g: float | None = None) -> xr.Dataset:
    dims = ("galaxy", "shear")[: table.ndim - 1]
    coords: dict[str, object] = {"galaxy": np.arange(len(table))}
    if g is not None:
        coords |= {"g1": ("shear", [g, -g, 0.0, 0.0]), "g2": ("shear", [0.0, 0.0, g, -g])}
    return xr.Dataset({name: (dims, table[..., i]) for i, name in enumerate(COLUMNS)}, coords)


def test_responses_are_derivatives_and_weights_end_as_constants():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(300, len(COLUMNS)))
    table[:, FLUX] *= 60
    w, dw_dg = RISING.weights(table)
    for j in range(2):
        moved = [table.copy(), table.copy()]
        for sign, copy in zip((1, -1), moved, strict=True):
            copy[:, FLUX] += sign * 1e-5 * table[:, DFLUX][:, j]
        plus, minus = (RISING.weights(copy)[0] for copy in moved)
        np.testing.assert_allclose(dw_dg[:, j], (plus - minus) / 2e-5, atol=1e-7)
    assert (w[table[:, FLUX] < 0] == 0.1).all()
    assert w[table[:, FLUX] > 10 * np.sinh(3)] == pytest.approx(1.0)
    assert np.abs(dw_dg).max() > 1e-3


def test_a_cut_and_weights_multiply():
    table = toy(500, (0, 0), 2)
    cut = Selection(above=20.0, width=10.0)
    together = shape_sums(table, 1000, cut, RISING)[0]
    (w_cut, d_cut), (w, d) = cut.weights(table), RISING.weights(table)
    np.testing.assert_allclose(together[2], (w_cut * w).sum())
    product_rule = d_cut * w[:, None] + w_cut[:, None] * d
    np.testing.assert_allclose(together[11:13], table[:, 0] @ product_rule, rtol=1e-9, atol=1e-12)


def test_the_best_weights_follow_response_and_spread():
    table = toy(60_000, (0, 0), 3)
    found, flux = optimal_weights(dataset(table)), np.geomspace(5, 150, 12)
    rows = np.zeros((12, len(COLUMNS)))
    rows[:, FLUX] = flux
    w = found.weights(rows)[0]
    expected = response(flux) / spread(flux) ** 2
    np.testing.assert_allclose(w / w[-1], expected / expected[-1], rtol=0.1)
    plain, best = (calibrate(dataset(table), weights=weights, replicas=200) for weights in (None, "optimal"))
    # The least error of the mean: 1 / sqrt(sum R² / σ²).
    flux = table[:, FLUX]
    least = 1 / np.sqrt((response(flux) ** 2 / spread(flux) ** 2).sum())
    # Pairs cancel; what they would leave alone is what is compared.
    alone = [
        np.sqrt((k.weights(table)[0] ** 2 * spread(flux) ** 2).sum()) / (k.weights(table)[0] * response(flux)).sum()
        for k in (found, FluxWeights((0.0, 1.0), (1.0, 1.0)))
    ]
    assert alone[0] < 1.01 * least
    assert alone[1] > 1.3 * least
    assert plain.g == pytest.approx([0, 0], abs=1e-3)
    assert best.g == pytest.approx([0, 0], abs=1e-3)


def test_weights_leave_no_bias_unless_their_response_is_forgotten():
    g = 0.02
    shears = ((g, 0), (-g, 0), (0, g), (0, -g))
    table = np.stack([toy(60_000, shear, 5) for shear in shears], axis=1)
    for weights in (RISING, "optimal"):
        result = bias(dataset(table, g), weights=weights, replicas=100)
        assert (np.abs(result.values[:4]) < 3 * result.errors[:4] + 1e-4).all()
        assert (result.errors[:2] < 1e-3).all()
    forgotten = bias_of_sums(shape_sums(table, 100, RISING), g, seed=0, replicas=100, corrected=False)
    assert (np.abs(forgotten.values[:2]) > 5 * forgotten.errors[:2]).all()


def test_lazy_shapes_get_the_same_weights():
    table = toy(4000, (0, 0), 7)
    shapes = dataset(table)
    whole, lazy = optimal_weights(shapes), optimal_weights(shapes.chunk(galaxy=700))
    assert whole == lazy


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimal_weights(dataset(toy(100, (0, 0), 0))), "200 galaxies; expected 400 or more"),
        (lambda: calibrate(dataset(toy(100, (0, 0), 0)), weights="best"), "weights: 'best'; expected optimal"),
        (lambda: FluxWeights((0.0,), (1.0,)), "1 places, 1 values"),
        (lambda: FluxWeights((0.0, 0.0), (1.0, 1.0)), "places that rise"),
        (lambda: FluxWeights((0.0, 1.0), (1.0, -1.0)), "values of at least 0"),
    ],
)
def test_what_is_no_weight(call, message):
    with pytest.raises(InputError, match=message):
        call()
