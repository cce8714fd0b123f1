"""Run a pure function over all chunks of a dataset, anywhere, and survive what goes wrong."""

from lensdask.compute.clusters import start_cluster
from lensdask.compute.devices import choose_device, describe_device
from lensdask.compute.journal import Journal, fingerprint, journal_path
from lensdask.compute.models import cached_model
from lensdask.compute.run import (
    ChunkFunction,
    Quarantine,
    RunResult,
    Sums,
    Table,
    refuse_existing,
    run,
    run_record,
)

__all__ = [
    "ChunkFunction",
    "Journal",
    "Quarantine",
    "RunResult",
    "Sums",
    "Table",
    "cached_model",
    "choose_device",
    "describe_device",
    "fingerprint",
    "journal_path",
    "refuse_existing",
    "run",
    "run_record",
    "start_cluster",
]
