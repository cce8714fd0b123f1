"""Torch has one thread and full precision wherever a chunk is computed, and is put back afterwards."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Barrier

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from lensdask.compute import Chunks, RunOptions, Task, run, start_cluster
from lensdask.compute.devices import torch_settings


@pytest.fixture
def two_threads():
    """Have torch use two threads outside of `torch_settings`."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads() -> list[int]:
    """Return the numbers of threads of torch and of its libraries, in the thread that calls."""
    found = re.findall(r"(?:get_num_threads\(\)|_get_max_threads\(\)) : (\d+)", torch.__config__.parallel_info())
    assert found
    return [torch.get_num_threads(), *map(int, found)]


@dataclass(frozen=True)
class Seen(Task):
    def __call__(self, start, stop, device):  # noqa: ARG002  the signature of tasks
        return None, {"threads": np.array(threads()), "tf32": np.array([torch.backends.cuda.matmul.allow_tf32])}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("cluster", [None, "threads", "local"])
def test_a_chunk_has_one_thread_of_every_library(tmp_path, cluster):
    with nullcontext() if cluster is None else start_cluster(cluster, workers=2) as client:
        options = RunOptions(cluster=client, show_progress=False)
        found = run(Seen(), Chunks(6, 1), tmp_path / "journal", options, label="seen").sums
    assert all((sums["threads"] == 1).all() and not sums["tf32"].any() for sums in found)
    assert set(threads()) == {2}


@pytest.mark.usefixtures("two_threads")
def test_only_the_outermost_puts_torch_back():
    with torch_settings():
        with torch_settings():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert set(threads()) == {2}


@pytest.mark.usefixtures("two_threads")
def test_threads_that_come_and_go_at_once_all_get_back_what_they_had():
    inside = Barrier(2)

    def enter() -> tuple[set[int], int]:
        with torch_settings():
            inside.wait(10)
            found = set(threads())
            inside.wait(10)
        return found, torch.get_num_threads()

    # The threads of the pool are new to torch; one of them begins while another is inside.
    with ThreadPoolExecutor(2) as pool:
        found = [future.result() for future in [pool.submit(enter), pool.submit(enter)]]
    assert found == [({1}, 2)] * 2
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2
    assert set(threads()) == {2}


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_blas_has_one_thread_until_the_last_has_left():
    """Whichever thread that is, and whichever came first."""
    inside, left = Barrier(2), Barrier(2)

    def stay() -> tuple[set[int], set[int]]:
        with torch_settings():
            inside.wait(10)
            first = blas_threads()
            left.wait(10)
            return first, blas_threads()

    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(1) as pool:
        with torch_settings():
            there = pool.submit(stay)
            inside.wait(10)
            assert blas_threads() == {1}
        # This one came first and has left; the other is still inside.
        left.wait(10)
        assert there.result() == ({1}, {1})
        assert blas_threads() == {2}
