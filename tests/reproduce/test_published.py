"""The paper's numbers as it prints them, and which of ours can be held against them."""

import numpy as np
import pytest

from lensdask.reproduce.d4cnn.biases import rows_of_variant
from lensdask.reproduce.d4cnn.precision import training_row
from lensdask.reproduce.d4cnn.published import TABLE2, TABLE3
from lensdask.shear.calibration.estimate import BIAS_QUANTITIES, Bias
from lensdask.stats import MINIMUM_BLOCKS

GELU = "-0.092 0.286 0.183 0.272 -0.17 2.48 1.96 2.93 0.272 0.272"
PRINTED_2 = {
    "d4cnn-fpfs": GELU,
    "d4cnn-relu": "-0.224 0.320 0.176 0.326 -0.37 2.64 1.66 3.24 0.271 0.273",
    "cnn": "-0.531 0.295 -1.388 0.292 6100.06 3.59 3700.44 3.54 0.277 0.275",
}
PRINTED_3 = {
    1_000: "-0.537 0.377 0.423 0.353 -1.20 2.76 1.50 2.95 0.277 0.274",
    5_000: "-0.472 0.355 0.310 0.327 4.84 2.47 1.99 3.05 0.274 0.274",
    10_000: GELU,
    20_000: "-0.021 0.277 0.052 0.277 0.03 2.44 1.19 2.99 0.271 0.270",
}
UNITS = np.array([1e-3] * 4 + [1e-5] * 4 + [1, 1])
"""Of a line of the tables: m and error, of both components; c and error; shape noise."""


@pytest.mark.parametrize(("table", "printed"), [(TABLE2, PRINTED_2), (TABLE3, PRINTED_3)])
def test_tables_are_copied_right(table, printed):
    assert table.keys() == printed.keys()
    for name, line in printed.items():
        numbers = np.array(line.split(), float) * UNITS
        values, errors = numbers[[0, 2, 4, 6, 8, 9]], numbers[[1, 3, 5, 7]]
        assert tuple(table[name]) == BIAS_QUANTITIES
        np.testing.assert_allclose([value for value, _ in table[name].values()], values, rtol=1e-12)
        np.testing.assert_allclose([error for _, error in table[name].values()][:4], errors, rtol=1e-12)
        assert [error for _, error in table[name].values()][4:] == [None, None]


def bias_with(errors, blocks=MINIMUM_BLOCKS):
    zeros = np.zeros(6)
    return Bias(zeros, np.array(errors), zeros, np.eye(2), np.zeros((2, 2)), 4000, 4000.0, blocks)


SMALL = [1e-5, 1e-5, 1e-6, 1e-6, 1e-4, 1e-4]
LARGE = [2e-3, 1e-5, 1e-6, 2e-4, 1e-4, 1e-4]


@pytest.mark.parametrize(
    ("name", "errors", "comparable"),
    [
        ("d4cnn-fpfs", SMALL, {"m1", "m2", "c1", "c2"}),
        ("d4cnn-relu", SMALL, {"m1", "m2", "c1", "c2"}),
        ("d4cnn-fpfs", LARGE, {"m2", "c1"}),
        ("d4cnn-relu", LARGE, {"m2", "c1"}),
        ("cnn", SMALL, set()),
        ("cnn", LARGE, set()),
    ],
)
def test_only_small_errors_of_networks_with_the_symmetry_are_comparable(name, errors, comparable):
    rows = rows_of_variant(name, bias_with(errors))
    assert {row["quantity"] for row in rows if row["comparable"]} == comparable
    assert {row["quantity"]: (row["published"], row["published_error"]) for row in rows} == TABLE2[name]


def test_errors_from_few_blocks_are_not_comparable():
    assert not any(row["comparable"] for row in rows_of_variant("d4cnn-fpfs", bias_with(SMALL, MINIMUM_BLOCKS - 1)))


def test_training_in_stages_takes_the_sum_of_their_times():
    first = {"wall_s": 100.0, "machine": "A", "recipe": {"galaxies": 5000}, "started_from": None}
    last = {"wall_s": 20.0, "machine": "B", "recipe": {"galaxies": 1000}, "started_from": first}
    found = training_row(last)
    assert (found["measured"], found["n"], found["device"]) == (120.0, 5000, "B, A")
    assert training_row(first)["measured"] == 100.0
