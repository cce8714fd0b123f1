"""What the tests of resilience share: the result nobody disturbed, and a cluster of two processes."""

import dask
import pytest
from faults import result_bytes, start_run

from lensdask.compute import start_cluster


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return result_bytes(folder, start_run(folder).sums)


@pytest.fixture(scope="module")
def cluster():
    # Dask blames a chunk for the first death of its worker, not for the fourth: each costs a restart.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        start_cluster("local", workers=2) as client,
    ):
        yield client
