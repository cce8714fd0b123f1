"""The same work in several ways: a plain loop over a task in some processes, and what compares it with a run."""

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

import distributed
from machine import median_and_spread

from lensdask.compute import RunOptions, Task
from lensdask.compute.devices import torch_settings

ROUNDS = 3
"""How often each way is taken, in turns."""

MEMORY = {f"MALLOC_{name}_THRESHOLD_": str(2**30) for name in ("TRIM", "MMAP")}
"""Settings of the C library that lensdask's workers have."""


@dataclass(frozen=True)
class Loop:
    """What a plain loop took."""

    wall_s: float
    """From the first call of the task to the end of the last, everything loaded."""
    cold_s: float
    """With the start of Python, imports and a first call of few objects."""
    cpu_s: float
    """CPU time of all processes in ``wall_s``, which other load hardly changes."""


def plain_loop(task: Task, bounds: list[tuple[int, int]], processes: int, first: int) -> Loop:
    """Call a task on all chunks, dealt out to processes: no Dask, no store, no journal.

    Parameters
    ----------
    task
        What to compute.
    bounds
        Start and stop of each chunk.
    processes
        How many; each begins when all are ready.
    first
        Objects of a call before the clock starts, for which a process loads and prepares what it keeps.
    """
    spawned = multiprocessing.get_context("spawn")
    barrier, spans = spawned.Barrier(processes), spawned.Queue()
    began = time.monotonic()
    with _environment(MEMORY):
        workers = [
            spawned.Process(target=_loop, args=(task, bounds[i::processes], first, barrier, spans))
            for i in range(processes)
        ]
        for worker in workers:
            worker.start()
    starts, stops, cpu_s = zip(*(spans.get(timeout=600) for _ in workers), strict=True)
    for worker in workers:
        worker.join()
    return Loop(max(stops) - min(starts), time.monotonic() - began, sum(cpu_s))


def _loop(task: Task, bounds: list[tuple[int, int]], first: int, barrier: Barrier, spans: "Queue[Any]") -> None:
    with torch_settings():
        task(0, first, "cpu")
        barrier.wait()
        began, cpu_s = time.monotonic(), time.process_time()
        for start, stop in bounds:
            task(start, stop, "cpu")
        spans.put((began, time.monotonic(), time.process_time() - cpu_s))


@contextmanager
def _environment(changes: Mapping[str, str]):
    """Set variables for the processes started meanwhile."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def options(client: distributed.Client) -> RunOptions:
    """Return how a run is carried out that is compared: on workers that are there, quietly, one run over another."""
    return RunOptions(cluster=client, device="cpu", if_exists="overwrite", show_progress=False)


def in_turns(ways: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Return the seconds of each way to do the same work, in each round."""
    rounds = [{way: function() for way, function in ways.items()} for _ in range(ROUNDS)]
    return {way: [found[way] for found in rounds] for way in ways}


def ratio(first: list[float], second: list[float]) -> tuple[float, float]:
    """Return the median over rounds of a ratio of times, and its spread."""
    return median_and_spread([a / b for a, b in zip(first, second, strict=True)])


def compared(
    one: list[float], two: list[float], plain_one: list[float], plain_two: list[float]
) -> dict[str, tuple[float, float]]:
    """Return what two workers gain, two processes too, and what Dask takes of the time; medians and spreads."""
    gained, limit = ([a / b for a, b in zip(*pair, strict=True)] for pair in ((one, two), (plain_one, plain_two)))
    plain = ratio(plain_two, two)
    return {
        "speedup": median_and_spread(gained),
        "speedup_of_processes": median_and_spread(limit),
        "of_limit": ratio(gained, limit),
        "share": (1 - plain[0], plain[1]),
    }
