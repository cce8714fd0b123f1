"""Run a task over all chunks of a dataset, anywhere, and survive what goes wrong."""

from typing import TYPE_CHECKING

from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask.compute.clusters import idle_gpus, set_up_workers, start_cluster
    from lensdask.compute.devices import Device, choose_device, describe_device, torch_settings
    from lensdask.compute.memory import OutOfMemoryWarning, batches_that_fit
    from lensdask.compute.models import StoreReference, cached_model, refer_to
    from lensdask.compute.report import check_report, performance_reported
    from lensdask.compute.results import Row, number, recorded, row, run_record, write_json, write_result
    from lensdask.compute.runs.chunks import Chunks, Quarantine
    from lensdask.compute.runs.engine import RunResult, run
    from lensdask.compute.runs.journal import Journal, fingerprint, journal_path
    from lensdask.compute.runs.journal_format import Sums
    from lensdask.compute.runs.options import RunOptions, cluster_of
    from lensdask.compute.runs.output import IfExists, NewStore, refuse_existing
    from lensdask.compute.runs.status import RunStatus, find_journals, refuse_running, require_finished, status
    from lensdask.compute.runs.task import NOT_IDENTITY, Table, Task, settings_of
    from lensdask.compute.verification import Verified, verify
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "NOT_IDENTITY",
    "Chunks",
    "Device",
    "IfExists",
    "Journal",
    "NewStore",
    "OutOfMemoryWarning",
    "Quarantine",
    "Row",
    "RunOptions",
    "RunResult",
    "RunStatus",
    "StoreReference",
    "Sums",
    "Table",
    "Task",
    "Verified",
    "batches_that_fit",
    "cached_model",
    "check_report",
    "choose_device",
    "cluster_of",
    "describe_device",
    "find_journals",
    "fingerprint",
    "idle_gpus",
    "journal_path",
    "number",
    "performance_reported",
    "recorded",
    "refer_to",
    "refuse_existing",
    "refuse_running",
    "require_finished",
    "row",
    "run",
    "run_record",
    "set_up_workers",
    "settings_of",
    "start_cluster",
    "status",
    "torch_settings",
    "verify",
    "write_json",
    "write_result",
]
