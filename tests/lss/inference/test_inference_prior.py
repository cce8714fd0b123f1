"""The prior: a box, a hull in (Ω_m, σ₈), and the Jacobian of S₈."""

import numpy as np
import pytest
from lss_toy import CORNERS, PRIOR

from lensdask.errors import InputError
from lensdask.lss.inference.prior import hull_of, make_prior, sigma8_of
from lensdask.lss.parameters import LINEAR, s8

SQUARE = [(0.2, 0.7), (0.3, 0.7), (0.3, 0.9), (0.2, 0.9)]


def at(omega_m, sigma8, **others):
    theta = np.array([omega_m, s8(omega_m, sigma8), 0.5, 1.5, 0.7, 1.6, 0.5])
    for name, value in others.items():
        theta[LINEAR.index(name)] = value
    return theta


def test_hull_keeps_corners_alone():
    inside = [(0.25, 0.8), (0.22, 0.75), (0.2, 0.7)]
    assert sorted(map(tuple, hull_of(SQUARE + inside))) == sorted(SQUARE)


def test_inside_and_outside():
    prior = make_prior(LINEAR, SQUARE)
    assert prior.contains(at(0.25, 0.8))
    assert not prior.contains(at(0.31, 0.8))
    assert not prior.contains(at(0.25, 0.91))
    assert not prior.contains(at(0.25, 0.8, r_g=1.01))
    # A corner of the hull belongs to it, whatever single precision makes of it.
    assert prior.contains(at(0.3, 0.9).astype(np.float32))
    assert prior.contains(np.stack([at(0.25, 0.8), at(0.1, 0.8)])[None]).tolist() == [[True, False]]


def test_negative_omega_m_is_outside_without_a_warning():
    assert make_prior(LINEAR, SQUARE).log_density(at(0.25, 0.8) - np.eye(7)[0]) == -np.inf


def test_density_is_flat_in_sigma8_not_in_s8():
    prior = make_prior(LINEAR, SQUARE)
    theta = prior.sample(40_000, np.random.default_rng(1))
    omega_m, sigma8 = theta[:, 0], sigma8_of(theta[:, 0], theta[:, 1])
    # Flat on the square: means at its centre, widths of a uniform distribution, no correlation.
    assert omega_m.mean() == pytest.approx(0.25, abs=4 * 0.1 / np.sqrt(12 * 40_000))
    assert sigma8.mean() == pytest.approx(0.8, abs=4 * 0.2 / np.sqrt(12 * 40_000))
    assert sigma8.std() == pytest.approx(0.2 / np.sqrt(12), rel=0.02)
    assert abs(np.corrcoef(omega_m, sigma8)[0, 1]) < 4 / np.sqrt(40_000)
    assert prior.contains(theta).all()


def test_log_density_is_that_of_the_samples():
    """Mean of 1 / density over samples is the volume, in any part of the prior."""
    prior = make_prior(("omega_m", "s8"), SQUARE)
    theta = prior.sample(100_000, np.random.default_rng(2))
    weight = np.exp(-prior.log_density(theta))
    left = theta[:, 0] < 0.25
    # In (Ω_m, S₈) the area between two Ω_m is 0.2 ∫ √(Ω_m / 0.3) dΩ_m.
    area = [0.2 * (b**1.5 - a**1.5) / 1.5 / np.sqrt(0.3) for a, b in ((0.2, 0.25), (0.25, 0.3))]
    assert weight[left].sum() / weight[~left].sum() == pytest.approx(area[0] / area[1], rel=0.02)


def test_without_a_cosmology_there_is_no_hull():
    prior = make_prior(("a_ia", "b_g"))
    assert prior.hull is None
    assert prior.log_density([[0.0, 1.0], [7.0, 1.0]]).tolist() == [0.0, -np.inf]


def test_other_bounds():
    prior = make_prior(LINEAR, CORNERS, {"eta_ia": (-5.0, 7.0)})
    assert prior.low[5] == -5.0
    assert PRIOR.low[5] == -4.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((LINEAR,), "hull of the cosmologies: 0 different ones on a line; expected three or more"),
        ((LINEAR, [(0.2, 0.8), (0.3, 0.9)]), "hull of the cosmologies: 2 different ones"),
        ((LINEAR, [(0.2, 0.7), (0.3, 0.8), (0.4, 0.9)]), "hull of the cosmologies: 3 different ones on a line"),
        ((("omega_l",),), "parameter: 'omega_l'; expected one of omega_m"),
        ((("a_ia",), None, {"a_ia": (1, 1)}), "prior of a_ia: 1 to 1; expected a range of one of a_ia"),
        ((("a_ia",), None, {"b_g": (1, 2)}), "prior of b_g: 1 to 2; expected a range of one of a_ia"),
    ],
)
def test_bad_priors(arguments, message):
    with pytest.raises(InputError) as refused:
        make_prior(*arguments)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_hull_outside_of_the_box():
    prior = make_prior(LINEAR, [(0.9, 0.8), (0.8, 0.9), (0.8, 0.7)])
    with pytest.raises(InputError, match="less than 1/1000 of the hull is inside of the box"):
        prior.sample(10, np.random.default_rng(0))
