"""The cost of each stage, of whole chunk functions, and of the stages together."""

from pathlib import Path
from typing import Any

from machine import ROUNDS, SECONDS, ceilings, median_and_spread, times_in_turns
from operations import count
from stages import NETWORKS, SHEARS, Stage, chunks, stages

from lensdask.compute.devices import torch_settings


def per_unit(some: list[Stage], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return the microseconds per stamp or galaxy of each stage, its median and spread."""
    times = times_in_turns({stage.name: stage.call for stage in some}, rounds, seconds)
    return {stage.name: [1e6 * value / stage.units for value in median_and_spread(times[stage.name])] for stage in some}


def row(stage: Stage, microseconds: dict[str, list[float]]) -> dict[str, Any]:
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


def parts_of(estimator: str) -> list[str]:
    """Return the stages of a chunk function."""
    shared = ["catalogue", "render, batched", "noise", "renoise", "FPFS", "block sums"]
    own = [] if estimator == "fpfs" else [f"{estimator}: resmooth", f"{estimator}: network with response"]
    return shared + own


def stage_costs(device: str, folder: Path, *, tiny: bool = False) -> dict[str, Any]:
    """Return what the table of stages holds; `tiny` for a try whose numbers mean nothing."""
    networks, galaxies, rounds, seconds = (NETWORKS[:1], 4, 1, 0.0) if tiny else (NETWORKS, None, ROUNDS, SECONDS)
    with torch_settings():
        found, whole = stages(device, folder, networks, galaxies), chunks(device, networks, galaxies)
        microseconds = per_unit([*found, *whole], rounds, seconds)
        rows = [row(stage, microseconds) for stage in found]
    by_name = {r["stage"]: r["ms_per_galaxy"] for r in rows}
    totals = []
    for stage in whole:
        median, spread = (value / 1e3 for value in microseconds[stage.name])
        stages_ms = sum(by_name[name] for name in parts_of(stage.name))
        totals.append({"estimator": stage.name, "ms_per_galaxy": median, "spread": spread, "stages_ms": stages_ms})
    return {"ceilings": ceilings(device, tiny=tiny), "rows": rows, "chunks": totals}
