"""A small store of tiles for the tests of large-scale structure."""

import pytest


@pytest.fixture(scope="session")
def tile_store(tmp_path_factory):
    """Return the path of a store of five cosmologies, with all four sets of simulations."""
    from lensdask.compute import RunOptions
    from lensdask.lss import simulate_run

    path = tmp_path_factory.mktemp("tiles") / "tiles.zarr"
    simulate_run(path, cosmologies=5, seeds=4, tiles=5, options=RunOptions(show_progress=False))
    return path


@pytest.fixture(scope="session")
def tiny_compressor(tile_store, tmp_path_factory):
    """Return the path of a hybrid compressor, hardly trained."""
    from lensdask.lss import read_recipe, train

    path = tmp_path_factory.mktemp("compressor") / "tiny.safetensors"
    train(path, read_recipe("lss-tiny"), tiles=tile_store, device="cpu")
    return path
