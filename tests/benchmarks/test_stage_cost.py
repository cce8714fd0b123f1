"""Time of each stage beside its operations and what the machine can do, one thread; and that stages make the whole."""

import pytest
from stage_cost import stage_costs

from lensdask.compute import choose_device

pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("one_thread")]

DEVICES = ["cpu", "cuda"] if choose_device() == "cuda" else ["cpu"]


@pytest.mark.parametrize("device", DEVICES)
def test_stages_make_the_whole(device, tmp_path, record):
    found = stage_costs(device, tmp_path)
    record("stages", found, device)
    for r in found["rows"] + found["chunks"]:
        print(r)
    # Moving between stages, joining tables and the like are the rest; on a GPU stages also overlap.
    for total in found["chunks"]:
        assert device == "cuda" or 0.75 < total["stages_ms"] / total["ms_per_galaxy"] < 1.2, total
