"""Runs of one and of two workers beside a plain loop over a task, and what Dask costs a task."""

import os
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from loops import ROUNDS, in_turns, options, plain_loop, ratio
from machine import median_and_spread
from stages import bias_task, bounds_of_tasks

from lensdask.compute import Chunks, Task, run, start_cluster
from lensdask.shear.runs import run_bias

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers need two cores"),
]

WORK = {"fpfs": (48_000, 1_000), "d4cnn": (4_000, 60)}
"""Galaxies, and how many of them make a task: half a minute of one core in tasks of half a second or more, and so many
of them that it hardly matters who gets the last one."""
SURVEY = 65_536
"""The fewest galaxies in tasks of the default length of large runs."""
EMPTY_TASKS = 400


@dataclass(frozen=True)
class Empty(Task):
    """Returns sums of the size that `MeasureBias` returns, at once."""

    def __call__(self, start, stop, device):  # noqa: ARG002  the signature of tasks
        return None, {"shapes": np.zeros((20, 4, 15))}


def with_store(folder, name, galaxies, per_task, client):
    """Return the seconds of a run, from the template of its store to its last journal line."""
    plan = {"galaxies": galaxies, "galaxies_per_task": per_task, "options": options(client)}
    return run_bias(folder, estimator=name, **plan).run.wall_s


def for_sums(folder, galaxies, client):
    """Return the seconds of a run of FPFS that keeps no store."""
    per_block, bounds = bounds_of_tasks(galaxies)
    task, journal = bias_task("fpfs", per_block), folder / "sums.journal.jsonl"
    return run(task, Chunks(galaxies, bounds[0][1]), journal, options(client), label="bias").wall_s


def loop(name, galaxies, per_task, processes):
    """Return the seconds of the same chunks without Dask, store and journal."""
    per_block, bounds = bounds_of_tasks(galaxies, per_task)
    return plain_loop(bias_task(name, per_block), bounds, processes, per_block).wall_s


def cost_of_a_task(folder, client):
    """Return the seconds that an empty task takes, from the window to the journal."""
    chunks, how = Chunks(EMPTY_TASKS, 1), options(client)
    times = [run(Empty(), chunks, folder / "empty", how, label="empty").wall_s for _ in range(ROUNDS)]
    return median_and_spread([seconds / EMPTY_TASKS for seconds in times])


@pytest.mark.parametrize("name", WORK)
def test_two_workers_are_twice_as_fast_as_one(name, tmp_path, record):
    galaxies, per_task = WORK[name]
    with start_cluster(workers=1) as one, start_cluster(workers=2) as two:
        ways = {
            "1 worker": partial(with_store, tmp_path, name, galaxies, per_task, one),
            "2 workers": partial(with_store, tmp_path, name, galaxies, per_task, two),
            "1 process, no Dask": partial(loop, name, galaxies, per_task, 1),
            "2 processes, no Dask": partial(loop, name, galaxies, per_task, 2),
        }
        for client in (one, two):
            with_store(tmp_path, name, galaxies // 8, per_task // 8, client)  # workers import and prepare
        seconds = in_turns(ways)
    speedup = ratio(seconds["1 worker"], seconds["2 workers"])
    limit = ratio(seconds["1 process, no Dask"], seconds["2 processes, no Dask"])
    tasks = len(bounds_of_tasks(galaxies, per_task)[1])
    content = {"galaxies": galaxies, "tasks": tasks, "seconds": seconds}
    record(f"runs-{name}", content | {"speedup": speedup, "speedup_of_processes": limit})
    print(seconds, speedup, limit)
    assert speedup[0] >= 1.8


def test_dask_takes_a_twentieth_at_the_most(tmp_path, record):
    bounds = bounds_of_tasks(SURVEY)[1]
    with start_cluster(workers=2) as client:
        for_sums(tmp_path, SURVEY // 16, client)
        ways = {
            "2 workers, sums only": partial(for_sums, tmp_path, SURVEY, client),
            "2 processes, no Dask": partial(loop, "fpfs", SURVEY, None, 2),
        }
        seconds = in_turns(ways)
        task = cost_of_a_task(tmp_path, client)
    plain = ratio(seconds["2 processes, no Dask"], seconds["2 workers, sums only"])
    by_task = len(bounds) * task[0] / float(np.median(seconds["2 workers, sums only"]))
    content = {"galaxies": SURVEY, "tasks": len(bounds), "per_task": bounds[0][1], "seconds": seconds}
    shares = {"share": (1 - plain[0], plain[1]), "s_per_empty_task": task, "share_by_task": by_task}
    record("dask", content | shares)
    print(seconds, shares)
    assert shares["share"][0] < 0.05
    assert by_task < 0.05
