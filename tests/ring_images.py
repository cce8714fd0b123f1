"""Images of rings with bright dots: smooth, noiseless, known at any angle, and of three classes."""

import math

import numpy as np
import torch
import xarray as xr

from lensdask.data import LENSES, common_attributes, write


def ring_images(count, turn=0.0, seed=0, size=64, dots=None):
    """Return images (lens, 1, y, x), float32, turned by an angle; `dots` of each lens, 4 by default."""
    random = torch.Generator().manual_seed(seed)
    draw = lambda: torch.rand(count, 1, 1, generator=random, dtype=torch.float64)  # noqa: E731
    along = (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) * 64 / size
    y, x = torch.meshgrid(along, along, indexing="ij")
    x, y = math.cos(turn) * x + math.sin(turn) * y, math.cos(turn) * y - math.sin(turn) * x
    radius, width, ratio, angle = 8 + 8 * draw(), 1.5 + 1.5 * draw(), 0.8 + 0.2 * draw(), 2 * math.pi * draw()
    major, minor = torch.cos(angle) * x + torch.sin(angle) * y, torch.cos(angle) * y - torch.sin(angle) * x
    images = torch.exp(-(((torch.hypot(major * ratio, minor / ratio) - radius) / width) ** 2) / 2)
    images = images * (1 + 0.6 * torch.cos(2 * torch.atan2(minor, major) + 2 * math.pi * draw()))
    number = torch.full((count,), 4) if dots is None else dots
    for dot in range(4):
        place_x, place_y, bright, wide = 24 * draw() - 12, 24 * draw() - 12, 0.5 * draw(), 1.5 + draw()
        shown = (number > dot)[:, None, None]
        images = images + shown * bright * torch.exp(-((x - place_x) ** 2 + (y - place_y) ** 2) / (2 * wide**2))
    return images[:, None].float()


def ring_store(count, seed=0, size=32):
    """Return a dataset like one of the schema `lenses`: the class is the number of dots, 0, 2 or 4."""
    label = np.arange(count) % 3
    images = ring_images(count, seed=seed, size=size, dots=torch.from_numpy(2 * label))
    random = np.random.default_rng(seed)
    noisy = images[:, 0].numpy() + 0.05 * random.standard_normal((count, size, size), dtype=np.float32)
    mass = np.where(label == 2, random.uniform(-24, -22, count), np.nan)
    return xr.Dataset(
        {"image": (("lens", "y", "x"), noisy), "label": ("lens", label.astype(np.int8)), "log10_mass": ("lens", mass)},
        coords={"lens": np.arange(count, dtype=np.int64)},
        attrs={"schema": "lenses", "configuration_hash": "of-rings", "pixel_scale": 0.1}
        | {"survey": "euclid", "preset": "rings", "signal": "dots", "noise": "survey"},
    )


def ring_lenses(count, seed=0, **attributes):
    """Return the same as a dataset of the schema `lenses`, which may be written."""
    dataset = ring_store(count, seed)
    own = {"angle": 0.0, "seed": seed} | attributes
    mass = dataset["log10_mass"].astype(np.float32)
    return dataset.assign(log10_mass=mass).assign_attrs(common_attributes(LENSES, {"rings": seed}) | own)


def write_rings(path, count, seed=0, chunk=20, **attributes):
    """Write such lenses into a store, and return its path."""
    write(ring_lenses(count, seed, **attributes), path, chunk=chunk)
    return path
