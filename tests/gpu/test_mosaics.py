"""Mosaics of large-scale structure on a GPU: those of the CPU, and summaries and trainings made of them."""

import numpy as np
import pytest
import torch
from forward_tiles import GALAXIES, made_up_tiles

from lensdask.arrays import to_numpy, to_torch
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.forward.observation import observe
from lensdask.lss.forward.samples import Boxes, draw_samples, take_tiles
from lensdask.lss.spectra import power_spectra

pytestmark = pytest.mark.gpu

MODEL = ForwardModel(side=3, ell_max=1500.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_maps_and_spectra_are_those_of_the_cpu(cuda, dtype):
    samples = draw_samples(range(4), Boxes([0.3], [0.8], 20), MODEL, 1)
    tiles = torch.from_numpy(made_up_tiles(1, 20, 64)).to(dtype)
    found = []
    for held in (tiles.numpy(), tiles.to(cuda)):
        maps = observe(take_tiles(held, samples), samples, MODEL, GALAXIES, 1).maps
        found.append((to_numpy(maps), to_numpy(power_spectra(maps, MODEL.pixel_scale))))
    (maps, spectra), (maps_there, spectra_there) = found
    if dtype == torch.float64:
        np.testing.assert_allclose(maps_there, maps, atol=1e-6)
    # In single precision a rounding may cross the threshold of a count in a few pixels of a million.
    assert np.mean(abs(maps_there - maps) > 1e-3) < 2e-3
    np.testing.assert_allclose(spectra_there, spectra, rtol=1e-2, atol=1e-4 * abs(spectra).max())


def test_a_compressor_is_trained_and_gives_the_same_on_the_cpu(cuda, tile_store, tmp_path):
    from lensdask.lss import find_compressor, read_recipe, train
    from lensdask.lss.tiles import open_split, open_tiles

    path = tmp_path / "a.safetensors"
    trained = train(path, read_recipe("lss-tiny"), tiles=tile_store, device=cuda)
    assert np.isfinite(trained.history.validation).all()
    compressor, split = find_compressor(path), open_split(open_tiles(tile_store)[1], "likelihood")
    samples = draw_samples(range(8), split.boxes, compressor.model, 0)
    here, there = (compressor.summaries(split, samples, 0, device) for device in ("cpu", cuda))
    np.testing.assert_allclose(there.summary, here.summary, rtol=2e-2, atol=2e-2)
    np.testing.assert_allclose(there.power, here.power, rtol=1e-2, atol=1e-2)


def test_networks_take_tensors_of_the_device(cuda):
    from lensdask.lss.networks.power import SpectraInputs

    spectra = torch.rand(6, 36, 20) + 1
    scaling = SpectraInputs(8, 20)
    torch.testing.assert_close(
        scaling.to(cuda)(to_torch(spectra, cuda)).cpu(), scaling.cpu()(spectra), rtol=1e-4, atol=1e-4
    )
