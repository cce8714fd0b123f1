"""Numbers of lenses that take long, each kept in a file, as many made at once as the cluster has workers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.compute import NOT_IDENTITY, Chunks, Device, Task, run, write_json
from lensdask.errors import InputError
from lensdask.reproduce.experiment import Job

__all__ = ["make_parts", "values_of"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MakeParts(Task):
    """Makes numbers and keeps them, each in its file."""

    files: tuple[str, ...]
    """Where they go."""
    makes: tuple[Callable[[], Any], ...] = field(metadata=NOT_IDENTITY)
    """What makes them."""

    def __call__(self, start: int, stop: int, _device: Device) -> tuple[None, None]:
        """Make some of them."""
        for file, make in zip(self.files[start:stop], self.makes[start:stop], strict=True):
            write_json(Path(file), {"values": np.asarray(make()).tolist()})
        return None, None


def make_parts(job: Job, makes: Mapping[str, Callable[[], Any]]) -> None:
    """Make those numbers that are not among the parts of an experiment.

    Parameters
    ----------
    job
        Cluster, and where the parts are.
    makes
        Functions that pickle from nothing to numbers, by name.

    Raises
    ------
    InputError
        Some were given up.
    """
    job.parts.mkdir(parents=True, exist_ok=True)
    missing = {name: make for name, make in makes.items() if not _file(job, name).exists()}
    if not missing:
        return
    task = MakeParts(tuple(str(_file(job, name).resolve()) for name in missing), tuple(missing.values()))
    # The files say what is left to do.
    journal, anew = job.parts / "numbers.journal.jsonl", replace(job.options, if_exists="overwrite")
    done = run(task, Chunks(len(missing), 1, "numbers"), journal, anew, label="make numbers of lenses")
    for one in done.quarantined:
        raise InputError(f"{list(missing)[one.chunk]}: given up, {one.reason}; expected numbers")


def values_of(job: Job, name: str) -> Float64:
    """Return numbers that are among the parts."""
    return np.asarray(json.loads(_file(job, name).read_text())["values"], dtype=np.float64)


def _file(job: Job, name: str) -> Path:
    return job.parts / f"{name}.json"
