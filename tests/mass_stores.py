"""What several tests of mass maps need: a few small fields, and a network with random weights."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from lensdask.data import SHEAR_MAPS, common_attributes, save_weights
from lensdask.maps.fields import ShearMaps
from lensdask.maps.mock import Survey, observe
from lensdask.massmap.networks.architectures import describe, make_network
from lensdask.massmap.networks.cha import ChaConfig
from lensdask.sky.simulate import SkyConfig, simulate_sky

SIZE, PIXEL_SCALE = 48, 0.82
SKY = SkyConfig(size=SIZE, pixel_scale=PIXEL_SCALE)
NOISE = Survey(mask_fraction=0.1)
NETWORK = ChaConfig(
    channels=2,
    first_kernels=(3, 5, 9),
    large_kernel=9,
    dropout=0.0,
    inputs="weighted+weight",
    input_scale=0.1,
    output_scale=0.02,
)


@cache
def simulated(count: int, seed: int = 0) -> tuple[np.ndarray, ShearMaps]:
    """Return true convergence and masked noisy shear of fields 0, 1, ..., NumPy arrays (field, y, x)."""
    ids = np.arange(count)
    sky = simulate_sky(ids, SKY, seed)
    return np.asarray(sky.kappa), observe(ids, sky.g1, sky.g2, NOISE, PIXEL_SCALE, seed)


def shear_store_dataset(count: int, seed: int = 0) -> xr.Dataset:
    """Return these fields as a dataset of the schema ``shear_maps``, in memory, with the truth."""
    kappa, maps = simulated(count, seed)
    dims = ("field", "y", "x")
    # Copies: tests break them.
    arrays = {name: (dims, np.array(array, dtype=np.float32)) for name, array in maps._asdict().items()}
    arrays |= {"kappa": (dims, kappa.copy()), "count": arrays["weight"], "mask": (dims, maps.mask.astype(np.int8))}
    attributes = common_attributes(SHEAR_MAPS, {"count": count, "seed": seed}) | {
        "pixel_scale": PIXEL_SCALE,
        "density": NOISE.density,
        "sigma_e": NOISE.sigma_e,
        "source": SKY.source,
        "seed": seed,
    }
    return xr.Dataset(arrays, {"field": np.arange(count)}, attributes)


def save_network(path: Path, *, seed: int = 0, **card: object) -> Path:
    """Write a tiny network with random weights, and return its path."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = make_network(NETWORK).state_dict()
    save_weights(path, weights, describe(NETWORK) | {"pixel_scale": PIXEL_SCALE} | card)
    return path
