"""Run a pure function over all chunks of a dataset, anywhere, and survive what goes wrong."""

from lensdask.compute.chunks import Quarantine
from lensdask.compute.clusters import idle_gpus, set_up_workers, start_cluster
from lensdask.compute.devices import choose_device, describe_device, torch_settings
from lensdask.compute.execution import RunOptions, carry_out, cluster_of, write_store
from lensdask.compute.journal import Journal, fingerprint, journal_path
from lensdask.compute.journal_format import Sums
from lensdask.compute.models import cached_model, cached_store, loaded
from lensdask.compute.record import run_record, write_json
from lensdask.compute.report import check_report, performance_reported
from lensdask.compute.run import (
    ChunkFunction,
    IfExists,
    RunResult,
    Table,
    refuse_existing,
    run,
)
from lensdask.compute.status import RunStatus, find_journals, refuse_running, status

__all__ = [
    "ChunkFunction",
    "IfExists",
    "Journal",
    "Quarantine",
    "RunOptions",
    "RunResult",
    "RunStatus",
    "Sums",
    "Table",
    "cached_model",
    "cached_store",
    "carry_out",
    "check_report",
    "choose_device",
    "cluster_of",
    "describe_device",
    "find_journals",
    "fingerprint",
    "idle_gpus",
    "journal_path",
    "loaded",
    "performance_reported",
    "refuse_existing",
    "refuse_running",
    "run",
    "run_record",
    "set_up_workers",
    "start_cluster",
    "status",
    "torch_settings",
    "write_json",
    "write_store",
]
