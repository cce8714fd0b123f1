"""Where a test of a GPU runs: there, or, to keep its lines right, on the CPU with all arrays in torch."""

import pytest

from lensdask.arrays import to_torch


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """Return "cuda"; or "cpu", where torch then holds what it holds on a GPU."""
    if request.param == "cuda":
        return request.getfixturevalue("cuda")
    from lensdask.shear.shapes import measurement
    from lensdask.shear.simulation import simulated

    for module in (simulated, measurement):
        monkeypatch.setattr(module, "held_on", to_torch)
    render = simulated.render_stamps
    monkeypatch.setattr(simulated, "render_stamps", lambda *given, **_: render(*given, device="cpu"))
    monkeypatch.setattr(measurement, "_repeated", lambda own, n, where: to_torch(own, where).repeat_interleave(n, 0))
    return request.param
