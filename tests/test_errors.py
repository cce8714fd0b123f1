"""Checks of single values: what they let through, and the one line about the rest."""

from fractions import Fraction

import numpy as np
import pytest

from lensdask.errors import InputError, check_choice, check_number, check_seed


@pytest.mark.parametrize(
    ("value", "ends"),
    [
        (0, {"least": 0}),
        (-5.0, {}),
        (np.float32(0.5), {"above": 0, "below": 1}),
        (np.int64(3), {"least": 3, "most": 3, "whole": True}),
        (Fraction(1, 2), {"above": 0}),
        (2**63 - 1, {"above": 0, "whole": True}),
        (1e307, {"above": 0}),
    ],
)
def test_numbers_in_their_range_pass(value, ends):
    check_number("x", value, **ends)


@pytest.mark.parametrize(
    ("value", "ends", "message"),
    [
        (np.nan, {}, "x: nan; expected a finite number"),
        (np.inf, {"above": 0}, "x: inf; expected a positive number"),
        (0, {"above": 0}, "x: 0; expected a positive number"),
        (-1, {"least": 0}, "x: -1; expected a number of at least 0"),
        (1, {"above": 0, "below": 1}, "x: 1; expected a number above 0 and below 1"),
        (1e300, {"least": 1e-6, "most": 1e12}, "x: 1e+300; expected a number from 1e-06 to 1e+12"),
        (2.0, {"least": 1, "whole": True}, "x: 2.0; expected a whole number of at least 1"),
        (True, {"least": 0}, "x: True; expected a number of at least 0"),
        ("1", {"above": 0, "meaning": "arcmin"}, "x: 1; expected a positive number (arcmin)"),
        (10**23, {"least": 1, "whole": True}, "x: 100000000000000000000000; expected a number below 2^63"),
        (10**400, {}, f"x: {10**400}; expected a number below 2^1023"),
        ([0.8, 0.9], {"above": 0}, "x: [0.8, 0.9]; expected a positive number"),
    ],
)
def test_other_values_are_refused_in_one_line(value, ends, message):
    with pytest.raises(InputError) as refused:
        check_number("x", value, **ends)
    assert str(refused.value) == message


def test_seeds_are_whole_numbers_of_63_bits():
    for seed in (0, np.int64(7), 2**63 - 1):
        check_seed(seed)
    for seed in (-1, 2**63, 1.0, None, True):
        with pytest.raises(InputError, match=r"^seed: .*; expected a whole number from 0 to 2\^63$"):
            check_seed(seed)


def test_choices_are_listed():
    check_choice("loss", "cha", ("cha", "miu2net"))
    with pytest.raises(InputError, match=r"^loss: 'huber'; expected cha, h21 or miu2net$"):
        check_choice("loss", "huber", ("cha", "h21", "miu2net"))
