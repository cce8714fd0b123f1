"""A run that stores rows of summaries which cost nothing: what is left is the engine. A program of its own, to watch.

python random_rows.py STORE --samples N --workers N --device cpu
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lensdask.compute import Chunks, NewStore, RunOptions, Task, run
from lensdask.data import LSS_SUMMARIES
from lensdask.lss.parameters import LINEAR

CHUNK = 256
"""Samples of a task of `lensdask lss predict`."""

PROGRAM = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); from random_rows import main; main()"
"""What `processes.watched` runs. Workers import the task by the name of this file, which a script does not have."""


@dataclass(frozen=True)
class RandomRows(Task):
    """Returns rows like those of `PredictSummaries`, at once."""

    def __call__(self, start, stop, device):  # noqa: ARG002  the signature of tasks
        rows = np.random.default_rng(start).random((2, stop - start, len(LINEAR)), np.float32)
        return {"theta_true": rows[0], "theta_summary": rows[1]}, None


def random_rows(path: Path, samples: int, options: RunOptions) -> None:
    """Write a store of random rows."""
    texts = ("compressor_sha256", "compressor", "probe", "summary", "tiles_hash", "split", "priors")
    attributes = dict.fromkeys(texts, "none") | {"parameters": list(LINEAR), "seed": 0}
    sizes = {"sample": samples, "parameter": len(LINEAR)}
    store = NewStore(path, LSS_SUMMARIES, sizes, {"sample": range(samples)}, attributes)
    run(RandomRows(), Chunks(samples, CHUNK, "samples"), store, options, label="random rows")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    for name, kind in (("--samples", int), ("--workers", int), ("--device", str)):
        parser.add_argument(name, type=kind, required=True)
    given = parser.parse_args(sys.argv[1:])
    random_rows(given.store, given.samples, RunOptions(cluster="local", workers=given.workers, device=given.device))
