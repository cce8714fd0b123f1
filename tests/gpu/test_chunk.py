"""A whole chunk on a GPU: the same numbers as on the CPU, whatever the chunks, and CuPy arrays without a copy."""

import numpy as np
import pytest
import torch

from lensdask.arrays import to_torch
from lensdask.random import Stream, normals
from lensdask.shear import Observation, RunOptions, run_bias
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.simulation.simulated import galaxy_source
from lensdask.shear.tasks import MeasureBias

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("estimator", ["d4cnn", "d4cnn-paper", "fpfs"])
@pytest.mark.parametrize("noise", ["independent", "exchanged"])
def test_a_chunk_gives_the_same_table(cuda, estimator, noise):
    source, chosen = galaxy_source(None, 25.3), find_estimator(estimator)
    task = MeasureBias(Observation(noise=noise), source, 0, chosen, None, galaxies_per_block=8)
    (here, _), (there, sums) = (task(0, 32, device) for device in ("cpu", cuda))
    for name, column in here.items():
        np.testing.assert_allclose(
            there[name], column, rtol=1e-4, atol=3e-5 * max(1, np.abs(column).max()), err_msg=name
        )
    assert sums["shapes"].shape[0] == 4


def test_chunks_and_restarts_give_the_same_bits(cuda, tmp_path):
    options = RunOptions(device=cuda, show_progress=False)
    runs = [
        run_bias(tmp_path / str(n), galaxies=96, estimator="d4cnn", galaxies_per_task=n, options=options)
        for n in (8, 96)
    ]
    np.testing.assert_array_equal(runs[0].bias.values, runs[1].bias.values)


def test_cupy_arrays_become_tensors_where_they_lie(cuda):
    cupy = pytest.importorskip("cupy")
    array = cupy.arange(6, dtype=cupy.float32)
    tensor = to_torch(array, cuda)
    assert tensor.data_ptr() == array.data.ptr


def test_noise_is_that_of_the_cpu(cuda):
    ids = torch.arange(20)
    there = normals(ids.to(cuda), 4096, 3, Stream.NOISE).cpu()
    np.testing.assert_allclose(there, normals(ids.numpy(), 4096, 3, Stream.NOISE), atol=1e-5)
