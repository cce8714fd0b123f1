import dataclasses
import pickle

import pytest

from lensdask.errors import InputError
from lensdask.lss.forward.model import PRIORS, RELEASED, RELEASED_NON_LINEAR, ForwardModel
from lensdask.lss.parameters import LINEAR, NON_LINEAR, PARAMETERS


def test_default_is_the_linear_model_of_the_paper() -> None:
    model = ForwardModel()
    assert model.parameters == LINEAR
    assert model.prior == tuple(PARAMETERS[name] for name in LINEAR)
    assert model.tiles == 36
    assert model.mean_count == pytest.approx(54.93, abs=0.01)
    assert model.scales == "smoothed at 4 | 8 Mpc/h (printed), no limit in ell"
    assert dataclasses.replace(model, ell_max=1500.0).scales.endswith("ell <= 1500")
    assert pickle.loads(pickle.dumps(model)) == model


def test_released_priors() -> None:
    prior = PRIORS["released"]
    changed = {name for name in PARAMETERS if prior[name] != PARAMETERS[name]}
    assert changed == {"eta_ia", "eta_b", "b_g2"}
    assert (prior["eta_ia"].low, prior["eta_ia"].high) == (-5, 7)
    assert (prior["eta_b"].low, prior["eta_b"].high) == (-2, 2)
    assert prior["b_g2"].fiducial == -1
    assert RELEASED.parameters == LINEAR
    assert RELEASED_NON_LINEAR.parameters == NON_LINEAR


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("probe", "shear", "expected lensing, clustering or combined"),
        ("bias", "cubic", "expected linear, printed or released"),
        ("priors", "flat", "table1 or released"),
        ("stochasticity", "none", "printed or exact"),
        ("counts", "gauss", "poisson, anscombe or mean"),
        ("shape_noise", None, "printed, released or none"),
        ("smoothing", "none", "printed or comoving"),
        ("sigma_e", float("nan"), "expected a number"),
        ("density", 0, "expected a number"),
        ("side", 2.5, "whole number"),
        ("ell_max", -1.0, "expected a positive number"),
        ("lensing_scale", 5.0, "expected 4 or 8"),
    ],
)
def test_bad_settings_are_named(setting: str, value: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        dataclasses.replace(ForwardModel(), **{setting: value})
    assert str(raised.value).startswith(setting)
    assert "\n" not in str(raised.value)
