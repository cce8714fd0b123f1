"""The machine that a benchmark ran on: its name, how busy others kept it, and what it can do at the most."""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import torch
from torch.utils.benchmark import Timer

from lensdask.compute import describe_device, run_record
from lensdask.compute.devices import torch_settings

ROUNDS = 5
"""Measurements of each thing, taken in turns: a disturbance of some seconds then falls on all alike."""

SECONDS = 0.1
"""What one measurement takes at least."""


def busy_cores() -> float:
    """Return how many cores are busy with something else now, while this process waits."""
    return psutil.cpu_percent(interval=1.0) / 100 * (os.cpu_count() or 1)


def machine(device: str) -> dict[str, Any]:
    """Return what a table of numbers says of the machine, its software and the date."""
    record = run_record(describe_device(device), 0.0, 0)
    return {
        "processor": describe_device("cpu"),
        "cores": os.cpu_count(),
        "GPU": describe_device("cuda") if device == "cuda" else None,
        "date": record["date"],
        "versions": record["versions"],
    }


def times_in_turns(
    functions: dict[str, Callable[[], object]], rounds: int = ROUNDS, seconds: float = SECONDS
) -> dict[str, list[float]]:
    """Return the seconds of a call of each function in each round, one CPU thread; a GPU is waited for."""
    timers = {name: Timer("function()", globals={"function": function}) for name, function in functions.items()}
    calls = {name: max(1, int(seconds / timer.timeit(1).median)) for name, timer in timers.items()}
    found: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, timer in timers.items():
            found[name].append(timer.timeit(calls[name]).median)
    return found


def timed(call: Callable[[], object], device: str, calls: int = 8) -> tuple[float, float]:
    """Return the seconds of a call, median and half the distance of the quartiles; the first one is not counted."""
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return median_and_spread(seconds[1:])


def median_and_spread(values: list[float]) -> tuple[float, float]:
    """Return the median, and half the distance between the quartiles."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return float(middle), float(high - low) / 2


def ceilings(device: str, *, tiny: bool = False) -> dict[str, float]:
    """Return the bandwidth of a copy in main memory, bytes/s, and the rate of a float32 matrix product, FLOP/s.

    On a CPU both are of one thread. TF32 is off, as in all of lensdask.
    """
    # Larger than any cache: servers have hundreds of megabytes.
    elements, side = (2**16, 64) if tiny else (2**28, 2048 if device == "cpu" else 8192)
    source = torch.ones(elements, device=device)
    target = torch.empty_like(source)
    a, b = torch.randn(2, side, side, device=device)
    with torch_settings():
        times = times_in_turns({"copy": lambda: target.copy_(source), "product": lambda: a @ b})
    fastest = {name: min(seconds) for name, seconds in times.items()}
    return {"bytes_per_s": 2 * 4 * elements / fastest["copy"], "flops_per_s": 2 * side**3 / fastest["product"]}
