"""Full precision whatever the user has set, by torch's old flags or its new settings, which come back afterwards."""

import pytest
import torch

from lensdask.compute import devices
from lensdask.compute.devices import full_precision

BACKENDS = torch.backends
OPERATIONS = {
    "matmul": lambda: BACKENDS.cuda.matmul,
    "conv": lambda: BACKENDS.cudnn.conv,
    "rnn": lambda: BACKENDS.cudnn.rnn,
    "matmul on the CPU": lambda: BACKENDS.mkldnn.matmul,
    "conv on the CPU": lambda: BACKENDS.mkldnn.conv,
}
NEW = pytest.mark.skipif(not hasattr(BACKENDS.cudnn, "conv"), reason="torch < 2.9 has flags only")


def readable(read):
    """Return a setting, or None where torch refuses to read it."""
    try:
        return read()
    except RuntimeError:
        return None


def found():
    """Return all settings that decide the precision and the kernels."""
    new = {} if not hasattr(BACKENDS.cudnn, "conv") else {n: o().fp32_precision for n, o in OPERATIONS.items()}
    return new | {
        "all": getattr(BACKENDS, "fp32_precision", None),
        "old matmul": readable(lambda: BACKENDS.cuda.matmul.allow_tf32),
        "old conv": readable(lambda: BACKENDS.cudnn.allow_tf32),
        "products": readable(torch.get_float32_matmul_precision),
        "kernels": (BACKENDS.cudnn.deterministic, BACKENDS.cudnn.benchmark),
    }


@pytest.fixture(autouse=True)
def _as_torch_comes():
    """Put torch's own defaults back after a test."""
    yield
    torch.set_float32_matmul_precision("highest")
    BACKENDS.cudnn.allow_tf32 = True
    BACKENDS.cudnn.deterministic = BACKENDS.cudnn.benchmark = False
    if hasattr(BACKENDS.cudnn, "conv"):
        BACKENDS.fp32_precision = BACKENDS.cudnn.fp32_precision = BACKENDS.mkldnn.fp32_precision = "none"
        for name, operation in OPERATIONS.items():
            operation().fp32_precision = "tf32" if name in ("conv", "rnn") else "none"


def set_by(owner, name, value):
    return lambda: setattr(owner(), name, value)


USERS = {
    "nothing": lambda: None,
    "old flag of products": set_by(lambda: BACKENDS.cuda.matmul, "allow_tf32", True),
    "old flag of convolutions": set_by(lambda: BACKENDS.cudnn, "allow_tf32", False),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "kernels": set_by(lambda: BACKENDS.cudnn, "benchmark", True),
}
USERS_NOW = {
    "products": set_by(OPERATIONS["matmul"], "fp32_precision", "tf32"),
    "convolutions": set_by(OPERATIONS["conv"], "fp32_precision", "ieee"),
    "everything": set_by(lambda: BACKENDS, "fp32_precision", "tf32"),
    "all of cuDNN": set_by(lambda: BACKENDS.cudnn, "fp32_precision", "tf32"),
    "products on the CPU": set_by(OPERATIONS["matmul on the CPU"], "fp32_precision", "bf16"),
}
ALL = [pytest.param(user, id=name) for name, user in USERS.items()] + [
    pytest.param(user, id=name, marks=NEW) for name, user in USERS_NOW.items()
]


@pytest.mark.parametrize("user", ALL)
def test_full_precision_whatever_is_set_and_back_again(user):
    user()
    before = found()
    with full_precision():
        inside = found()
    assert inside["kernels"] == (True, False)
    assert (inside["old matmul"], inside["old conv"], inside["products"]) == (False, False, "highest")
    assert {inside.get(name, "ieee") for name in OPERATIONS} == {"ieee"}
    assert found() == before


@NEW
def test_what_is_inherited_stays_inherited():
    BACKENDS.fp32_precision = "tf32"
    with full_precision():
        pass
    BACKENDS.fp32_precision = "none"
    assert BACKENDS.cuda.matmul.fp32_precision == "none"


@NEW
def test_products_stay_in_tf32_for_the_user_who_asked_for_it():
    BACKENDS.cuda.matmul.fp32_precision = "tf32"
    with full_precision(), full_precision():
        pass
    assert BACKENDS.cuda.matmul.fp32_precision == "tf32"


def test_a_torch_with_flags_only(monkeypatch):
    # Torch 2.8 has no settings for single operations.
    monkeypatch.setattr(devices, "_operations", list)
    torch.set_float32_matmul_precision("high")
    with full_precision():
        assert not BACKENDS.cuda.matmul.allow_tf32
        assert not BACKENDS.cudnn.allow_tf32
    assert BACKENDS.cuda.matmul.allow_tf32
    assert BACKENDS.cudnn.allow_tf32
