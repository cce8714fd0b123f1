"""N-body boxes on a GPU: every time the same bits, the matter of the CPU, and how long the box of the paper takes."""

import time

import numpy as np
import pytest
import torch

from lensdask.sky import NbodyBox, TileGrid, nbody_tiles, simulate_box, tomography_cosmology

pytestmark = pytest.mark.gpu

COSMOLOGY = tomography_cosmology(0.2915, 0.7835)


def test_tiles_agree(cuda):
    settings = {"box": NbodyBox(particles=32, side=380.0, steps=8), "grid": TileGrid(size=16, pixel_scale=18.75)}
    here = nbody_tiles(range(4), COSMOLOGY, **settings)
    there, again = (nbody_tiles(range(4), COSMOLOGY, device=cuda, **settings) for _ in range(2))
    assert torch.equal(there, again)
    # A particle on the edge of a cell may be counted on its other side, and rounding grows where matter collapses.
    difference = there.cpu().numpy() - here
    assert (difference.std(axis=(0, 3, 4)) < 0.05 * here.std(axis=(0, 3, 4))).all()


def test_the_box_of_the_paper(cuda):
    box = NbodyBox(particles=256, side=500.0, steps=40)
    for _ in range(2):
        start = time.monotonic()
        (position,) = simulate_box(COSMOLOGY, box, [1.0], device=cuda)
        torch.cuda.synchronize()
        seconds = time.monotonic() - start
    print(f"256³ particles, 512³ cells, 40 steps: {seconds:.1f} s")
    assert np.isfinite(position[:, ::1000].cpu().numpy()).all()
