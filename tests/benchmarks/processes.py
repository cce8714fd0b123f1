"""The command, and other programs that run tasks on workers, with the peak memory of their processes.

Linux only: the peak of a process is ``VmHWM`` in /proc, which the kernel keeps; polling it misses nothing but what a
process does after the last look.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from lensdask.compute import status
from lensdask.errors import InputError

LOOK_SECONDS = 0.2
COMMAND = "from lensdask.cli import main; main()"
"""The program of the command ``lensdask``."""


@dataclass(frozen=True)
class Finished:
    """What a command did."""

    wall_s: float
    """From the start of Python to its end."""
    result: dict[str, Any]
    """Content of its ``result.json``."""
    driver_peak: int
    """Largest resident memory of the process of the command, in bytes."""
    worker_peaks: list[int]
    """The same of each worker."""
    driver_cpu_s: float
    """CPU time of the process of the command, which holds client and scheduler."""
    worker_cpu_s: list[float]
    """CPU time of each worker, with its start and imports."""
    store_bytes: int
    """Size of the files of the store of shapes, as the disk counts them."""
    journal_bytes: int
    """Size of its journal."""


@dataclass(frozen=True)
class Watched:
    """What a command took."""

    wall_s: float
    """From the start of Python to its end."""
    driver: "Seen"
    """The process of the command, which holds client and scheduler."""
    workers: "list[Seen]"
    """Its workers."""

    @property
    def worker_peak(self) -> int:
        """Largest resident memory that any worker had, in bytes."""
        return max(worker.peak for worker in self.workers)

    def summary(self) -> dict[str, Any]:
        """Return what is kept of it: seconds, and memory in bytes."""
        peaks = [worker.peak for worker in self.workers]
        return {"wall_s": self.wall_s, "worker_peaks": peaks, "driver_peak": self.driver.peak}


def watched(arguments: list[str], workers: int = 2, program: str = COMMAND) -> Watched:
    """Run a ``lensdask`` command with so many workers on the CPU, and watch its processes.

    Parameters
    ----------
    arguments
        Of the command.
    workers
        How many.
    program
        Python program to run in the place of the command; it takes ``--workers`` and ``--device`` as well.
    """
    began = time.monotonic()
    seen: dict[int, Seen] = {}
    with _started(arguments, workers, program) as command:
        while command.poll() is None:
            _look(command.pid, seen)
            time.sleep(LOOK_SECONDS)
    wall_s = time.monotonic() - began
    assert command.returncode == 0, arguments
    driver = seen.pop(command.pid)
    # The other children, such as the resource tracker, are a few megabytes.
    return Watched(wall_s, driver, sorted(seen.values())[-workers:])


def _started(arguments: list[str], workers: int, program: str = COMMAND) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", program, *arguments, "--workers", str(workers), "--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def killed(arguments: list[str], store: Path, objects: int, workers: int = 2) -> int:
    """Kill a ``lensdask`` command when a part of its store is written; return the objects that are on record.

    Parameters
    ----------
    arguments
        Of the command.
    store
        That it writes.
    objects
        How many must be done before it is killed.
    workers
        How many; they end with it.
    """
    with _started(arguments, workers) as command:
        while _done(store) < objects:
            assert command.poll() is None, f"{arguments}: ended before it was killed"
            time.sleep(LOOK_SECONDS)
        family = psutil.Process(command.pid).children(recursive=True)
        command.kill()
    assert not psutil.wait_procs(family, timeout=20)[1], "orphans"
    return _done(store)


def _done(store: Path) -> int:
    """Return how many objects of a store are done."""
    try:
        return status(store).objects_done
    except InputError:
        return 0


def bias_command(folder: Path, galaxies: int, estimator: str, workers: int = 2) -> Finished:
    """Run ``lensdask shear bias`` and watch its memory.

    Parameters
    ----------
    folder
        Directory of the results.
    galaxies, estimator, workers
        Of the command.
    """
    command = ["shear", "bias", str(folder), "--galaxies", str(galaxies), "--estimator", estimator]
    run = watched(command, workers)
    return Finished(
        wall_s=run.wall_s,
        result=json.loads((folder / "result.json").read_text()),
        driver_peak=run.driver.peak,
        worker_peaks=[worker.peak for worker in run.workers],
        driver_cpu_s=run.driver.cpu_s,
        worker_cpu_s=[worker.cpu_s for worker in run.workers],
        store_bytes=disk_bytes(folder / "shapes.zarr"),
        journal_bytes=(folder / "shapes.zarr.journal.jsonl").stat().st_size,
    )


class Seen(NamedTuple):
    """The last that was seen of a process."""

    peak: int
    """Largest resident memory, in bytes."""
    cpu_s: float
    """CPU time."""


def _look(pid: int, seen: dict[int, Seen]) -> None:
    """Note peak and CPU time of a process and of all that it started."""
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            times = process.cpu_times()
            seen[process.pid] = Seen(peak_memory(process.pid), times.user + times.system)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError, KeyError):
        pass  # it ended meanwhile


def peak_memory(pid: int) -> int:
    """Return the largest resident memory that a process has had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = dict(line.split(":", 1) for line in lines)["VmHWM"].split()[0]
    return 1024 * int(kilobytes)


def disk_bytes(folder: Path) -> int:
    """Return the size of the files in a folder, as the disk counts them."""
    return sum(512 * file.stat().st_blocks for file in folder.rglob("*") if file.is_file())
