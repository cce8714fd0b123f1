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
from lensdask.lss.features import BANDS
from lensdask.lss.parameters import LINEAR, PROBES

CHUNK = 256
"""Samples of a task of `lensdask lss predict`."""

FEATURES = PROBES["combined"] * BANDS
"""Powers of the maps of a sample."""

ROW = 4 * (2 * len(LINEAR) + FEATURES)
"""Bytes of a sample: its parameters, their summaries, and these powers, float32."""

PROGRAM = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); from random_rows import main; main()"
"""What `processes.watched` runs. Workers import the task by the name of this file, which a script does not have."""


@dataclass(frozen=True)
class RandomRows(Task):
    """Returns rows like those of `PredictSummaries`, at once."""

    def __call__(self, start, stop, device):  # noqa: ARG002  the signature of tasks
        random, count = np.random.default_rng(start), stop - start
        sizes = {"theta_true": len(LINEAR), "theta_summary": len(LINEAR), "power": FEATURES}
        return {name: random.random((count, size), np.float32) for name, size in sizes.items()}, None


def random_rows(path: Path, samples: int, options: RunOptions) -> None:
    """Write a store of random rows."""
    texts = ("compressor_sha256", "compressor", "probe", "summary", "tiles_hash", "split", "priors")
    attributes = dict.fromkeys(texts, "none") | {"parameters": list(LINEAR), "seed": 0}
    sizes = {"sample": samples, "parameter": len(LINEAR), "feature": FEATURES}
    store = NewStore(path, LSS_SUMMARIES, sizes, {"sample": range(samples)}, attributes, optional=("power",))
    run(RandomRows(), Chunks(samples, CHUNK, "samples"), store, options, label="random rows")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    for name, kind in (("--samples", int), ("--workers", int), ("--device", str)):
        parser.add_argument(name, type=kind, required=True)
    given = parser.parse_args(sys.argv[1:])
    random_rows(given.store, given.samples, RunOptions(cluster="local", workers=given.workers, device=given.device))
