"""Time of each stage beside its operations and what the machine can do, one thread; and that stages make the whole."""

import pytest
from machine import ceilings, median_and_spread, times_in_turns
from operations import count
from stages import SHEARS, chunks, stages

from lensdask.compute import choose_device
from lensdask.compute.devices import torch_settings

pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("one_thread")]

DEVICES = ["cpu", "cuda"] if choose_device() == "cuda" else ["cpu"]


def per_unit(some):
    """Return the microseconds per stamp or galaxy of each stage, its median and spread."""
    times = times_in_turns({stage.name: stage.call for stage in some})
    return {stage.name: [1e6 * value / stage.units for value in median_and_spread(times[stage.name])] for stage in some}


def row(stage, microseconds):
    """Return what is kept of a stage."""
    median, spread = microseconds[stage.name]
    operations = None if stage.in_torch is None else count(stage.in_torch)
    return {
        "stage": stage.name,
        "unit": stage.unit,
        "microseconds": median,
        "spread": spread,
        "ms_per_galaxy": median * (SHEARS if stage.unit == "stamp" else 1) / 1e3,
        "flops": operations and operations.flops / stage.units,
        "bytes": operations and operations.bytes / stage.units,
    }


def parts_of(estimator):
    """Return the stages of a chunk function."""
    shared = ["catalogue", "render, batched", "noise", "renoise", "FPFS", "block sums"]
    own = [] if estimator == "fpfs" else [f"{estimator}: resmooth", f"{estimator}: network with response"]
    return shared + own


@pytest.mark.parametrize("device", DEVICES)
def test_stages_make_the_whole(device, tmp_path, record):
    with torch_settings():
        found, whole = stages(device, tmp_path), chunks(device)
        microseconds = per_unit([*found, *whole])
        rows = [row(stage, microseconds) for stage in found]
    by_name = {r["stage"]: r["ms_per_galaxy"] for r in rows}
    totals = []
    for stage in whole:
        median, spread = (value / 1e3 for value in microseconds[stage.name])
        stages_ms = sum(by_name[name] for name in parts_of(stage.name))
        totals.append({"estimator": stage.name, "ms_per_galaxy": median, "spread": spread, "stages_ms": stages_ms})
    record("stages", {"ceilings": ceilings(device), "rows": rows, "chunks": totals}, device)
    for r in rows + totals:
        print(r)
    # Moving between stages, joining tables and the like are the rest; on a GPU stages also overlap.
    for total in totals:
        assert device == "cuda" or 0.75 < total["stages_ms"] / total["ms_per_galaxy"] < 1.2, total
