"""Images of strong lenses on a GPU: those of the CPU, whatever the chunks."""

import numpy as np
import pytest

from lensdask.stronglens.lenses import SimulateLenses
from lensdask.stronglens.simulation.presets import CLASSES, PRESETS, SURVEYS, Signal

pytestmark = pytest.mark.gpu


def lenses(preset, noise):
    signal = Signal(fraction=5e-4) if preset == "physical" else Signal(number=25, profile="point", vortex="points")
    return SimulateLenses(PRESETS[preset], signal, SURVEYS["euclid"], CLASSES, 64, noise, 0.0, 3)


@pytest.mark.parametrize("preset", PRESETS)
def test_images_are_those_of_the_cpu(cuda, preset):
    ids = np.arange(90)
    for noise in (False, True):
        task = lenses(preset, noise)
        on_gpu, on_cpu = task.images(ids, cuda), task.images(ids, "cpu")
        # A count of electrons may turn over where its mean differs in the last digit.
        assert np.median(abs(on_gpu - on_cpu)) < 1e-5 * on_cpu.max()
        if not noise:
            assert abs(on_gpu - on_cpu).max() < 3e-5 * on_cpu.max()
        np.testing.assert_array_equal(task.images(ids[7:31], cuda), on_gpu[7:31])
