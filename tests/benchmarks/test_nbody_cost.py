"""Cost of N-body boxes: scatter and gather compiled and in array operations, and a light cone of 200 tiles."""

import sys
import time

import numpy as np
import pytest

from lensdask.sky import NbodyBox, nbody_tiles, simulate_box, tomography_cosmology
from lensdask.sky.nbody import loops, mesh

pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("one_thread")]

COSMOLOGY, BOX, REPEATS, TILES = tomography_cosmology(0.2915, 0.7835), NbodyBox(), 3, 200


def seconds(function):
    """Return the best CPU time of some calls."""
    best = np.inf
    for _ in range(REPEATS):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best


def test_compiled_loops_are_faster(record, monkeypatch):
    pytest.importorskip("numba")
    # Particles as they are today, where neighbours are no longer neighbours in memory.
    (position,) = simulate_box(COSMOLOGY, NbodyBox(particles=BOX.particles, steps=5), [1.0])
    field = mesh.paint(position, BOX.mesh)
    ways = {"scatter": lambda: mesh.paint(position, BOX.mesh), "gather": lambda: mesh.read(field, position)}
    compiled = {name: seconds(function) for name, function in ways.items()}
    monkeypatch.setitem(sys.modules, "numba", None)
    loops.compiled_loops.cache_clear()
    arrays = {name: seconds(function) for name, function in ways.items()}
    loops.compiled_loops.cache_clear()
    ratio = {name: arrays[name] / compiled[name] for name in ways}
    print(compiled, arrays, ratio)
    record("nbody_loops", {"particles": BOX.particles, "compiled_s": compiled, "arrays_s": arrays, "ratio": ratio})
    assert ratio["scatter"] >= 5
    assert ratio["gather"] >= 3


def test_a_light_cone(record):
    # Loops are compiled before the clock starts.
    nbody_tiles([0], COSMOLOGY, box=NbodyBox(particles=8, steps=2))
    start = time.process_time()
    nbody_tiles(range(TILES), COSMOLOGY, box=BOX)
    taken = time.process_time() - start
    print(f"{taken:.1f} s of CPU for {TILES} tiles")
    record("nbody_light_cone", {"particles": BOX.particles, "steps": BOX.steps, "tiles": TILES, "cpu_s": taken})
    assert taken < 180
