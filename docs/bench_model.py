"""What 40 million galaxies would cost, from what was measured of fewer."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lensdask.shear.runs import blocks_and_tasks

GALAXIES = 40_000_000


def model_rows(found: dict[str, dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield a row of cells per estimator and device.

    Parameters
    ----------
    found
        Results by the names of their files without suffix.
    """
    disk = _bytes_per_galaxy(found["survey.cpu"])
    task_s = found["dask.cpu"]["s_per_empty_task"][0]
    tasks = -(-GALAXIES // blocks_and_tasks(GALAXIES)[1])
    for name, (seconds, error), processors, on_gpu in _seconds_per_galaxy(found):
        total = GALAXIES * np.array([seconds, error]) / 3600
        hours = total / processors
        yield (
            name,
            f"{hours[0]:,.1f} ± {hours[1]:.1f}",
            "–" if on_gpu else f"{total[0]:,.0f} ± {total[1]:.0f}",
            f"{GALAXIES * disk[0] / 1e9:.1f}",
            f"{GALAXIES * disk[1] / 1e6:.0f}",
            f"{tasks:,}",
            f"{tasks * task_s:,.0f}",
        )


def _seconds_per_galaxy(found: dict[str, dict[str, Any]]) -> Iterator[tuple[str, tuple[float, float], int, bool]]:
    """Yield estimator and source, core seconds per galaxy with their spread, processors, and whether it is a GPU."""
    runs = {name.partition(".")[0][5:]: part for name, part in found.items() if name.startswith("runs-")}
    for name, part in runs.items():
        each = 2 * np.array(part["seconds"]["2 workers"]) / part["galaxies"]
        yield f"{name}, runs of two workers", (float(np.median(each)), float(np.ptp(each)) / 2), 2, False
    for part in (found[name] for name in ("stages.cpu", "stages.cuda") if name in found):
        on_gpu = part["device"] == "cuda"
        for whole in part["chunks"]:
            if on_gpu or whole["estimator"] not in runs:
                cost = whole["ms_per_galaxy"] / 1e3, whole["spread"] / 1e3
                where = part["machine"]["GPU"] or "one core"
                processors = 1 if on_gpu else part["machine"]["cores"]
                yield f"{whole['estimator']}, chunk function on {where}", cost, processors, on_gpu


def _bytes_per_galaxy(survey: dict[str, Any]) -> tuple[float, float]:
    """Return bytes of store and journal per galaxy of the largest run, whose blocks are as long as they get."""
    size = max(map(int, survey["commands"]))
    last = survey["commands"][str(size)][-1]
    return last["store_bytes"] / size, last["journal_bytes"] / size
