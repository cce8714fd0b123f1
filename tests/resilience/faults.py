"""Chunk functions that fail on purpose, at chosen attempts, in whatever process they run."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import distributed
import numpy as np

from lensdask import data
from lensdask.compute import NOT_IDENTITY, Chunks, NewStore, RunOptions, Task, journal_path, run
from lensdask.data import SHAPES
from lensdask.errors import InputError
from lensdask.random import Stream, generator

SIZE, CHUNK = 96, 4

SIGNALS = {"kill": signal.SIGKILL, "hang": signal.SIGSTOP}


def attempt(folder: Path, start: int) -> int:
    """Count the attempts at a chunk across processes, from 0."""
    number = 0
    while True:
        try:
            (folder / f"{start}-{number}").touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return number


def fill_memory() -> None:
    """Take 5 GB, so slowly that a nanny sees it."""
    taken = []
    for _ in range(40):
        taken.append(np.ones(2**24))
        time.sleep(0.2)


def fail_if_sick(config: dict) -> None:
    """Fail in the first process that came here, in all that it does; or on a worker whatever its process."""
    mark, worker = Path(config["sick"]), distributed.get_worker()
    who = str(os.getpid()) if config["until"] == "restart" else str(worker.name)
    try:
        with mark.open("x") as file:
            file.write(who)
    except FileExistsError:
        # The other one may have made the file, and not written yet.
        while not mark.read_text():
            time.sleep(0.01)
    if mark.read_text() == who:
        raise InputError("no CUDA device here") if config["error"] == "input" else RuntimeError("CUDA error")


def compute(start, stop, config):
    """Compute rows and sums, after what the plan has for this attempt.

    ``config["plan"]`` maps the start of a chunk to a word per attempt, "raise", "input", "kill", "hang", "fill", "full"
    or "pass"; the last one holds for all later attempts too.
    """
    if "sick" in config:
        fail_if_sick(config)
    plan = config.get("plan", {}).get(str(start), ["pass"])
    number = attempt(Path(config["attempts"]), start) if "attempts" in config else 0
    action = plan[min(number, len(plan) - 1)]
    if action == "raise":
        raise RuntimeError(f"attempt {number}")
    if action in SIGNALS:
        os.kill(os.getpid(), SIGNALS[action])
    if action == "fill":
        fill_memory()
    if action == "full":
        # As a write leaves it that was not even able to clear up.
        (Path(config["store"]) / "e1" / f"{start}.partial").write_bytes(b"half")
        raise OSError(config["errno"], os.strerror(config["errno"]))
    if action == "input":
        raise InputError("catalogue.fits: row 13 has no flux; expected a number")
    time.sleep(config.get("sleep", 0))
    draws = np.stack([generator(1, Stream.NOISE, i).normal(size=len(SHAPES.variables)) for i in range(start, stop)])
    table = {name: draws[:, k].astype("float32") for k, name in enumerate(SHAPES.variables)}
    return table, {"sum": draws.sum(0), "count": np.array(stop - start)}


@dataclass(frozen=True)
class Faulty(Task):
    """Computes with faults, which are no part of what it is: they must not change the result."""

    config: dict = field(default_factory=dict, metadata=NOT_IDENTITY)
    seed: int = 1

    def __call__(self, start, stop, device):  # noqa: ARG002  the signature of tasks
        return compute(start, stop, self.config)


def start_run(folder: Path, config=None, client=None, chunk=CHUNK, task=None, **options):
    """Run `compute` into ``folder/shapes.zarr``."""
    sizes, coords = {"galaxy": SIZE}, {"galaxy": np.arange(SIZE)}
    store = NewStore(folder / "shapes.zarr", SHAPES, sizes, coords, {"estimator": "fpfs"})
    settings = RunOptions(cluster=client, **({"show_progress": False} | options))
    return run(task or Faulty(config or {}), Chunks(SIZE, chunk, "galaxies"), store, settings, label="compute")


def result_bytes(folder: Path, sums) -> tuple[bytes, bytes]:
    """Return the rows and the sums of a run, to the bit."""
    dataset = data.open(folder / "shapes.zarr").load()
    rows = b"".join(dataset[name].values.tobytes() for name in SHAPES.variables)
    return rows, b"".join(v.tobytes() for chunk in sums if chunk for v in chunk.values())


def start_driver(folder: Path, cluster: str) -> subprocess.Popen:
    """Start `driver.py` with a process group of its own."""
    driver = Path(__file__).with_name("driver.py")
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        [sys.executable, str(driver), str(folder), cluster],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until_done(folder: Path, chunks: int, driver: subprocess.Popen) -> None:
    """Wait until a driver has finished so many chunks."""
    journal = journal_path(folder / "shapes.zarr")
    for _ in range(600):
        text = journal.read_bytes() if journal.exists() else b""
        if b'"session"' in text and text.count(b'"done"') >= chunks:
            return
        assert driver.poll() is None, driver.stderr.read()
        time.sleep(0.05)
    raise TimeoutError(f"{journal} has not reached {chunks} chunks")
