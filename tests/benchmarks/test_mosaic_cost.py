"""A mosaic of a hundred fields of 512 x 512 pixels through the command: lazily and after a kill the same maps."""

import time

import dask
import pytest
from processes import killed, watched

import lensdask
from lensdask.data import file_sha256
from lensdask.massmap import reconstruct

pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("one_thread")]

FEW, MANY = 25, 100
METHODS = ("ks93", "wiener", "miu2net")
# The pixels that the shipped networks are for.
SKY = ["--size", "512", "--pixel-scale", "0.82", "--density", "33", "--sigma-e", "0.24", "--source", "zs1.0"]


@pytest.fixture(scope="module")
def mosaics(tmp_path_factory):
    """Return the stores of a small and of the large mosaic, and what the simulation took."""
    folder = tmp_path_factory.mktemp("mosaics")
    stores = {fields: folder / f"{fields}.zarr" for fields in (FEW, MANY)}
    command = ["massmap", "simulate"]
    runs = {n: watched([*command, str(store), "--fields", str(n), *SKY]) for n, store in stores.items()}
    return stores, runs


def growth(runs):
    """Return the memory of a worker for the large mosaic over that for the small one."""
    return runs[MANY].worker_peak / runs[FEW].worker_peak


def reconstruct_command(store, mass, method):
    return ["massmap", "reconstruct", str(store), str(mass), "--method", method]


def same_lazily(store, mass, method):
    """Check that every field has the same bits lazily, on two threads; return the seconds."""
    lazily = reconstruct(lensdask.open(store), method, device="cpu")["kappa"]
    began = time.monotonic()
    with dask.config.set(scheduler="threads", num_workers=2):
        assert bool((lazily == lensdask.open(mass)["kappa"]).all())
    return time.monotonic() - began


def same_after_a_kill(store, mass, method):
    """Kill the command half way, resume it, and check that every file is the same; return the fields of each part."""
    other = mass.with_name(f"resumed-{mass.name}")
    command = reconstruct_command(store, other, method)
    done = killed(command, other, MANY // 2)
    assert MANY // 2 <= done < MANY
    watched([*command, "--resume"])
    assert contents(other) == contents(mass)
    return [done, MANY - done]


def contents(store):
    """Return the checksum of every file of a store."""
    files = [file for file in sorted(store.rglob("*")) if file.is_file()]
    return {str(file.relative_to(store)): file_sha256(file) for file in files}


def test_a_mosaic_takes_no_more_memory_than_a_part_of_it(mosaics, record):
    stores, simulated = mosaics
    found, lazily, parts = {"simulate": simulated}, {}, {}
    for method in METHODS:
        outputs = {n: store.with_name(f"{method}-{n}.zarr") for n, store in stores.items()}
        found[method] = {n: watched(reconstruct_command(stores[n], mass, method)) for n, mass in outputs.items()}
        lazily[method] = same_lazily(stores[MANY], outputs[MANY], method)
        parts[method] = same_after_a_kill(stores[MANY], outputs[MANY], method)
    seconds = {way: {n: run.summary() for n, run in runs.items()} for way, runs in found.items()}
    grown = {way: growth(runs) for way, runs in found.items()}
    about = {"fields": [FEW, MANY], "size": 512, "ways": seconds, "growth": grown}
    record("mosaic", about | {"lazily_s": lazily, "fields_before_and_after_a_kill": parts})
    print(seconds, grown, lazily, parts)
    assert max(grown.values()) < 1.1
