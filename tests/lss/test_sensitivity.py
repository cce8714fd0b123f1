"""Sensitivity maps against finite differences."""

import numpy as np
import pytest
import torch

from lensdask.lss import find_compressor
from lensdask.lss.forward.samples import draw_samples
from lensdask.lss.sensitivity_maps import compressed, sensitivity
from lensdask.lss.tiles import open_split, open_tiles


@pytest.fixture(scope="module")
def found(tile_store, tiny_compressor):
    compressor, split = find_compressor(tiny_compressor), open_split(open_tiles(tile_store)[1], "likelihood")
    samples = draw_samples(np.arange(2), split.boxes, compressor.model, 0)
    return compressor, split, samples, sensitivity(compressor, split, samples)


def test_summaries_are_those_of_the_compressor(found):
    compressor, split, samples, result = found
    np.testing.assert_allclose(result.summary, compressor.summaries(split, samples, 0).summary, rtol=1e-3, atol=2e-3)
    assert result.gradient.shape == (2, 7, *result.maps.shape[1:])


@pytest.mark.parametrize("channel", [0, 3, 5])
def test_against_finite_differences(found, channel):
    compressor, split, _, result = found
    maps = torch.from_numpy(result.maps).double()
    change = torch.zeros_like(maps)
    change[:, channel] = torch.from_numpy(np.random.default_rng(1).normal(size=tuple(maps.shape[2:])))
    maps.requires_grad_(True)
    summary = compressed(compressor, split, maps)
    slopes = [(torch.autograd.grad(one.sum(), maps, retain_graph=True)[0] * change).sum() for one in summary.unbind(1)]
    with torch.no_grad():
        high, low = (compressed(compressor, split, maps + sign * 1e-4 * change) for sign in (1, -1))
    np.testing.assert_allclose(slopes, ((high - low) / 2e-4).sum(0), rtol=1e-4)
    # The maps that are shown have it in single precision.
    single = np.einsum("spctyx,sctyx->p", result.gradient.astype(np.float64), change.numpy())
    np.testing.assert_allclose(single, slopes, rtol=2e-2, atol=2e-3 * max(map(abs, slopes)))
