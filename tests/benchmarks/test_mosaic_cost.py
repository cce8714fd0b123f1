"""A mosaic of a hundred fields of 512 x 512 pixels through the command: seconds and memory, as a run and lazily."""

import numpy as np
import pytest
from processes import watched

import lensdask
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


def summary(run):
    return {
        "wall_s": run.wall_s,
        "worker_peaks": [worker.peak for worker in run.workers],
        "driver_peak": run.driver.peak,
    }


def growth(runs):
    """Return the memory of a worker for the large mosaic over that for the small one."""
    peaks = [max(worker.peak for worker in runs[fields].workers) for fields in (FEW, MANY)]
    return peaks[1] / peaks[0]


def test_a_mosaic_takes_no_more_memory_than_a_part_of_it(mosaics, record):
    stores, simulated = mosaics
    found = {"simulate": simulated}
    for method in METHODS:
        outputs = {n: store.with_name(f"{method}-{n}.zarr") for n, store in stores.items()}
        found[method] = {
            n: watched(["massmap", "reconstruct", str(stores[n]), str(mass), "--method", method])
            for n, mass in outputs.items()
        }
        # The same bits lazily, from the middle of the mosaic.
        middle = slice(MANY // 2, MANY // 2 + 2)
        lazily = reconstruct(lensdask.open(stores[MANY]).isel(field=middle), method, device="cpu")["kappa"]
        written = lensdask.open(outputs[MANY])["kappa"].isel(field=middle)
        np.testing.assert_array_equal(lazily.values, written.values)
    seconds = {way: {n: summary(run) for n, run in runs.items()} for way, runs in found.items()}
    grown = {way: growth(runs) for way, runs in found.items()}
    record("mosaic", {"fields": [FEW, MANY], "size": 512, "ways": seconds, "growth": grown})
    print(seconds, grown)
    assert max(grown.values()) < 1.1
