"""Networks of strong lenses on a GPU: what they say is what they say on a CPU, and they train there."""

from dataclasses import replace

import numpy as np
import pytest
from ring_images import ring_lenses, write_rings

import lensdask
from lensdask.compute import RunOptions
from lensdask.stronglens import classify, classify_run, read_recipe, train
from lensdask.stronglens.nets.loss import OUTPUTS

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("task", OUTPUTS)
def test_predictions_are_those_of_the_cpu(cuda, tmp_path, task):
    lenses = write_rings(tmp_path / "lenses.zarr", 90)
    weights = tmp_path / "net.safetensors"
    card = train(weights, replace(read_recipe("lens-tiny"), task=task), lenses=lenses, device=cuda).card
    assert np.isfinite(card["loss"]["validation"]).all()
    on_gpu, on_cpu = (classify(ring_lenses(40, seed=2), weights, device=device).compute() for device in (cuda, "cpu"))
    options = RunOptions(device=cuda, show_progress=False)
    classify_run(lenses, tmp_path / "p.zarr", network=weights, chunk=13, options=options)
    whole = classify(lensdask.open(lenses), weights, device=cuda)
    for name in on_gpu.data_vars:
        np.testing.assert_allclose(on_gpu[name], on_cpu[name], atol=1e-4)
        np.testing.assert_array_equal(lensdask.open(tmp_path / "p.zarr")[name], whole[name])
