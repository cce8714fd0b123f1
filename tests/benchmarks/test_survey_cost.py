"""The command on ten thousand to a million galaxies: speed beside a plain loop, memory of driver and workers, disk."""

from dataclasses import asdict

import numpy as np
import pytest
from loops import plain_loop
from machine import median_and_spread
from processes import bias_command
from stages import bias_task, bounds_of_tasks

pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("one_thread")]

ESTIMATOR, GALAXIES, ROUNDS = "fpfs", 100_000, 2
SIZES = {10_000: 1, GALAXIES: ROUNDS, 1_000_000: 1}
"""Galaxies of a command, and how often it runs."""


def loop_of(galaxies):
    """Return what the same work takes without Dask, store and journal."""
    per_block, chunks = bounds_of_tasks(galaxies)
    return plain_loop(bias_task(ESTIMATOR, per_block), chunks, processes=2, first=per_block)


def summary(finished):
    """Return what is kept of a command."""
    kept = asdict(finished)
    kept["run_s"] = kept.pop("result")["run"]["wall_s"]
    return kept


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Run everything once, command and loop in turns."""
    found = {"loops": [], "commands": {size: [] for size in SIZES}}
    for size, times in SIZES.items():
        for number in range(times):
            folder = tmp_path_factory.mktemp("survey") / f"{size}-{number}"
            found["commands"][size].append(summary(bias_command(folder, size, ESTIMATOR)))
            if size == GALAXIES:
                found["loops"].append(asdict(loop_of(size)))
    return found


def shares(survey, of_command, of_loop):
    """Return the speed of the command over that of the loop, its median and spread."""
    pairs = zip(survey["commands"][GALAXIES], survey["loops"], strict=True)
    return median_and_spread([loop[of_loop] / command[of_command] for command, loop in pairs])


def largest(survey, size, who):
    return max(np.max(command[who]) for command in survey["commands"][size])


def test_the_command_is_as_fast_as_a_plain_loop(survey, record):
    running, whole = shares(survey, "run_s", "wall_s"), shares(survey, "wall_s", "cold_s")
    record("survey", {"estimator": ESTIMATOR, "running": running, "whole": whole, **survey})
    print(running, whole, survey)
    assert running[0] >= 0.9


def test_memory_of_a_worker_does_not_grow(survey):
    peaks = [largest(survey, size, "worker_peaks") for size in (GALAXIES, max(SIZES))]
    assert peaks[1] / peaks[0] == pytest.approx(1, abs=0.1)
