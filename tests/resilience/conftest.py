"""What the tests of resilience share: the result nobody disturbed, and a cluster of two processes."""

import pytest
from faults import result_bytes, start_run

from lensdask.compute import start_cluster


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return result_bytes(folder, start_run(folder).sums)


@pytest.fixture(scope="module")
def cluster():
    with start_cluster("local", workers=2) as client:
        assert client.cluster.scheduler.allowed_failures == 1
        # A chunk is blamed for the first death of its worker: each costs a restart.
        client.cluster.scheduler.allowed_failures = 0
        yield client
