"""`lensdask lss predict`: workers beside a plain loop, the speed of each stage, and memory at growing numbers."""

import os
from dataclasses import replace
from functools import partial
from inspect import signature

import numpy as np
import pytest
from loops import compared, in_turns, options, plain_loop
from mosaic_stages import mosaic_costs
from processes import disk_bytes, watched
from random_rows import CHUNK, PROGRAM, ROW

import lensdask
from lensdask.compute import RunOptions, start_cluster
from lensdask.lss import find_compressor, predict_run, read_recipe, simulate_run, train
from lensdask.lss.prediction import PredictSummaries
from lensdask.lss.tiles import open_tiles

pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("one_thread")]

SAMPLES, PER_TASK = 512, 8
"""Half a minute of one core in tasks of half a second: a whole mosaic is 6 x 6 tiles."""
FIRST = 32
"""Samples of a first call, after which a process has read all tiles of the store."""
FEW, MANY = 1024, 4096
"""Samples of the command: two default tasks for each of two workers, for a worker keeps the memory that it frees and
takes new for 400 samples until what it keeps fits what comes; and four times as many."""
PAPER = 7_615_200
"""Samples of Kacprzak & Fluri 2022."""
GB = 10**9


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the paths of a small store of tiles, and of the default network of full size, hardly trained."""
    folder = tmp_path_factory.mktemp("predict")
    tiles, compressor = folder / "tiles.zarr", folder / "hybrid.safetensors"
    # Three seeds are one for training, one for validation and one for the likelihood.
    simulate_run(tiles, cosmologies=3, seeds=3, tiles=64, options=RunOptions(show_progress=False))
    recipe = read_recipe("lss-hybrid")
    short = replace(recipe.training, epochs=1, validate_every=1)
    train(compressor, replace(recipe, mosaics=32, validation=8, training=short), tiles=tiles, device="cpu")
    return tiles, compressor


def with_store(trained, folder, client, samples=SAMPLES):
    """Return the seconds of a run, from the template of its store to its last journal line."""
    path = folder / "summaries.zarr"
    return predict_run(*trained, path, samples=samples, chunk=PER_TASK, options=options(client)).wall_s


def loop(trained, processes):
    """Return the seconds of the same chunks without Dask, store and journal."""
    task = PredictSummaries(open_tiles(trained[0])[1], "likelihood", find_compressor(trained[1]), 0)
    bounds = [(start, start + PER_TASK) for start in range(0, SAMPLES, PER_TASK)]
    return plain_loop(task, bounds, processes, FIRST).wall_s


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers need two cores")
def test_two_workers_gain_what_two_processes_gain(trained, tmp_path, record):
    with start_cluster(workers=1) as one, start_cluster(workers=2) as two:
        ways = {
            "1 worker": partial(with_store, trained, tmp_path, one),
            "2 workers": partial(with_store, trained, tmp_path, two),
            "1 process, no Dask": partial(loop, trained, 1),
            "2 processes, no Dask": partial(loop, trained, 2),
        }
        for client in (one, two):
            with_store(trained, tmp_path, client, 2 * FIRST)  # workers import, and read the tiles
        seconds = in_turns(ways)
    found = {"samples": SAMPLES, "tasks": SAMPLES // PER_TASK, "seconds": seconds} | compared(*seconds.values())
    record("predict", found)
    print(found)
    assert found["of_limit"][0] >= 0.95
    assert found["share"][0] < 0.05


def test_stages_of_a_mosaic_make_the_whole(record):
    found = mosaic_costs("cpu")
    record("mosaics", found)
    cost = {row["stage"]: row["ms"] for row in found["rows"]}
    print(cost)
    parts = sum(cost[name] for name in ("tiles of a mosaic", "noisy maps", "smoothing"))
    assert parts == pytest.approx(cost["forward model"], rel=0.2)


def growing(folder, sizes, command, program):
    """Return what a program took for a small and a large number of samples, and what each left on the disk."""
    runs = {}
    for samples in sizes:
        store = folder / f"{samples}.zarr"
        run = watched([*command, str(store), "--samples", str(samples)], **program)
        runs[samples] = run.summary() | {
            "store_bytes": disk_bytes(store),
            "journal_bytes": store.with_name(f"{store.name}.journal.jsonl").stat().st_size,
        }
        shown = lensdask.open(store)
        assert set(shown.data_vars) == {"theta_true", "theta_summary", "power"}
        assert shown.sizes["sample"] == samples
        assert bool(np.isfinite(shown["theta_summary"][-1]).all())
    return runs


def grown(runs):
    """Return the largest memory of a worker in the large run over that in the small one."""
    small, large = (max(run["worker_peaks"]) for run in runs.values())
    return large / small


def test_memory_of_a_worker_does_not_grow(trained, tmp_path, record):
    assert signature(predict_run).parameters["chunk"].default == CHUNK
    command = ["lss", "predict", *map(str, trained)]
    runs = growing(tmp_path, (FEW, MANY), command, {})
    record("predict_memory", {"runs": runs, "growth": grown(runs)})
    print(runs, grown(runs))
    assert grown(runs) < 1.1


def test_the_samples_of_the_paper(tmp_path, record):
    runs = growing(tmp_path, (PAPER // 8, PAPER), [], {"program": PROGRAM})
    record("summaries", {"chunk": CHUNK, "row": ROW, "runs": runs, "growth": grown(runs)})
    print(runs)
    assert runs[PAPER]["driver_peak"] < GB
    assert grown(runs) < 1.1
    # Beside the rows there are their ids, and what is left over of the blocks of the disk.
    assert runs[PAPER]["store_bytes"] < 2 * ROW * PAPER
