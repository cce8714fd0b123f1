"""What an experiment is, and how it is carried out: one directory, one ``result.json``, one picture.

An experiment measures rows of numbers and draws its figure from these rows alone. What takes long, comparisons and
trained networks, is kept in the sub-directory ``parts``, so that an interrupted experiment continues where it was. The
marker ``experiment.json`` says what all of this belongs to, down to the networks: one that was replaced is another
experiment.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lensdask.compute import (
    Row,
    RunOptions,
    choose_device,
    cluster_of,
    describe_device,
    refuse_running,
    run_record,
    write_json,
)
from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.places import local_path

__all__ = ["SIZES", "Experiment", "Job", "Outcome", "conduct", "identity", "on_cluster"]

SIZES = ("tiny", "small", "paper")
"""Seconds on one core; minutes on two cores; the numbers of the paper, for a cluster of GPUs."""


@dataclass(frozen=True)
class Job:
    """One execution of an experiment."""

    directory: Path
    """Where everything goes."""
    size: str
    """One of `SIZES`."""
    seed: int = 0
    """Random seed."""
    options: RunOptions = field(default_factory=RunOptions)
    """Cluster, device, resumption."""
    study: Path | None = None
    """Directory of what the experiments of a paper share; each has its own among its parts when none."""

    def __post_init__(self) -> None:
        """Refuse URLs."""
        object.__setattr__(self, "directory", local_path(self.directory, "a directory of results"))
        if self.study is not None:
            object.__setattr__(self, "study", local_path(self.study, "a study"))

    def trains(self, network: Path) -> bool:
        """Whether a network is among what is trained for the experiment, and does not come with the package."""
        return any(network.is_relative_to(place) for place in (self.parts, self.study) if place is not None)

    @property
    def parts(self) -> Path:
        """Directory of what the experiment keeps to be resumed, and removes when it is replaced."""
        return self.directory / "parts"

    @property
    def device_here(self) -> str:
        """Device of what runs in this process whatever the cluster: a training, a measurement of speed.

        Raises
        ------
        InputError
            There is no such device.
        """
        return choose_device(self.options.device if self.options.is_here else "auto")


@dataclass(frozen=True)
class Outcome:
    """What an experiment measured."""

    rows: list[Row]
    """Numbers, in the order in which people read them."""
    objects: int
    """Galaxies measured."""
    quarantined: int = 0
    """Chunks that were given up."""
    device: str | None = None
    """Name of the processor; that of this process when none."""


@dataclass(frozen=True)
class Experiment:
    """A figure or a table of a paper."""

    name: str
    """Identifier: paper and figure or table."""
    what: str
    """What is measured, in a line."""
    source: str
    """Figure or table of the paper."""
    claim: str
    """What the paper says of it, in our words; what is to be learned where the paper says nothing."""
    measure: Callable[[Job], Outcome]
    """Measures the rows."""
    draw: Callable[[dict[str, Any], Path], None]
    """Draws a result file to a picture."""
    networks: Callable[[Job], Sequence[Path]]
    """Weights it measures with: files that ship with the package, or files among its parts or in its study, which it
    trains and whose names contain the recipe."""
    note: str = ""
    """What to expect here, and how the numbers differ from the paper's; sentences."""


@contextmanager
def on_cluster(job: Job) -> Iterator[Job]:
    """Give the job with one cluster for all its runs, and one report on it, started here if it is asked for by name."""
    with cluster_of(job.options) as client:
        yield replace(job, options=replace(job.options, cluster=client, performance_report=None))


def identity(experiment: Experiment, job: Job) -> dict[str, Any]:
    """Return what the marker of an experiment says: only a directory that holds the same can be resumed.

    Parameters
    ----------
    experiment, job
        What is measured, and where.

    Returns
    -------
    dict
        Name, size, seed, and ``networks``: the sha256 of those that ship, by name; null for those that the experiment
        trains, whose names contain the recipe.
    """
    networks = {path.stem: None if job.trains(path) else load_card(path)["sha256"] for path in experiment.networks(job)}
    return {"experiment": experiment.name, "size": job.size, "seed": job.seed, "networks": networks}


def _read(marker: Path) -> dict[str, Any]:
    """Return which experiment a directory holds; none if its marker is damaged."""
    try:
        content = json.loads(marker.read_text())
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _finished(experiment: Experiment, job: Job) -> bool:
    """Check the directory against what is to happen to it; return whether a resumed experiment is complete.

    Raises
    ------
    InputError
        The directory is taken, or holds another experiment than the one to resume or replace.
    """
    directory, how = job.directory, job.options.if_exists
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; expected a directory for the results")
    if not directory.exists() or not any(directory.iterdir()):
        return False
    if how == "refuse":
        raise InputError(
            f'{directory} is not empty; continue it with if_exists="resume" or replace it with if_exists="overwrite"'
        )
    refuse_running(job.parts)
    marker, result = directory / "experiment.json", directory / "result.json"
    found = _read(marker) if marker.exists() else {}
    wanted = identity(experiment, job)
    keys = [key for key in (wanted if how == "resume" else ("experiment",)) if found.get(key) != wanted[key]]
    if keys:
        held = " ".join(f"{key} {found.get(key)}" for key in keys) if found else "no experiment"
        raise InputError(f"{directory} holds {held}; expected {' '.join(f'{key} {wanted[key]}' for key in keys)}")
    return how == "resume" and result.exists() and not json.loads(result.read_text())["run"]["quarantined"]


def _files(experiment: Experiment, directory: Path) -> list[Path]:
    """Return marker, result and picture."""
    return [directory / name for name in ("experiment.json", "result.json", f"{experiment.name}.png")]


@contextmanager
def _put_back_if_refused(experiment: Experiment, directory: Path) -> Iterator[None]:
    """Put older results back if the experiment that replaces them is refused: a mistake must not cost them."""
    existed = directory.exists()
    files = _files(experiment, directory)
    before = {file: file.read_bytes() for file in files if file.exists()}
    try:
        yield
    except InputError:
        for file, content in before.items():
            file.write_bytes(content)
        if not before and [path.name for path in directory.iterdir()] == ["experiment.json"]:
            files[0].unlink()
            if not existed:
                directory.rmdir()
        raise


def _prepare(experiment: Experiment, job: Job, known: dict[str, Any]) -> bool:
    """Mark the directory as this experiment's, empty unless it is resumed; return whether there was a marker."""
    marker, *results = _files(experiment, job.directory)
    existed = marker.exists()
    job.directory.mkdir(parents=True, exist_ok=True)
    # An older result does not describe the numbers to come.
    for path in results:
        path.unlink(missing_ok=True)
    # The new marker comes last: what an interruption leaves before it is still of the older experiment.
    if existed and job.options.if_exists == "overwrite" and job.parts.exists():
        shutil.rmtree(job.parts)
    write_json(marker, known)
    return existed


def conduct(experiment: Experiment, job: Job) -> dict[str, Any]:
    """Carry an experiment out and write ``result.json`` and its picture.

    Parameters
    ----------
    experiment
        What to measure.
    job
        Where, how large, and by what means.

    Returns
    -------
    dict
        Content of ``result.json``: what was run, ``networks`` with their sha256, ``claim``, ``note``, ``rows`` and
        ``run``.

    Raises
    ------
    InputError
        Size or device are unknown, or the directory holds something else.
    """
    if job.size not in SIZES:
        raise InputError(f"size {job.size!r} is unknown; expected {', '.join(SIZES)}")
    _ = job.device_here  # refuses a device that is not there, before anything is touched
    target = job.directory / "result.json"
    if not _finished(experiment, job):
        known = identity(experiment, job)
        with _put_back_if_refused(experiment, job.directory):
            resumed = _prepare(experiment, job, known) and job.options.if_exists == "resume"
            write_json(target, known | _measured(experiment, job, known["networks"], resumed))
    result: dict[str, Any] = json.loads(target.read_text())
    experiment.draw(result, job.directory / f"{experiment.name}.png")
    return result


def _measured(experiment: Experiment, job: Job, shipped: dict[str, str | None], resumed: bool) -> dict[str, Any]:
    """Measure and return the content of ``result.json`` beside the identity, with the networks trained meanwhile.

    Time and objects of a resumed experiment are those of its last session: nobody timed what an interruption ended.
    """
    began = time.perf_counter()
    outcome = experiment.measure(job)
    device = outcome.device or describe_device(job.device_here)
    record = run_record(device, time.perf_counter() - began, outcome.objects)
    # A tiny experiment shows that the code runs; its numbers say nothing, whatever their errors.
    rows = [r | {"comparable": r["comparable"] and job.size != "tiny"} for r in outcome.rows]
    networks = {path.stem: shipped[path.stem] or load_card(path)["sha256"] for path in experiment.networks(job)}
    return {
        "networks": networks,
        "what": experiment.what,
        "source": experiment.source,
        "claim": experiment.claim,
        "note": experiment.note,
        "rows": rows,
        "run": record | {"quarantined": outcome.quarantined, "resumed": resumed},
    }
