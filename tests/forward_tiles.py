"""Small made-up tiles, redshifts and samples for the tests of the forward model."""

import numpy as np
import torch

from lensdask.lss.forward.evolution import Redshifts
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.forward.samples import Boxes, Samples, draw_samples, take_tiles

REDSHIFT = np.linspace(0.01, 1.7, 200)
GALAXIES = Redshifts(REDSHIFT, np.array([np.exp(-((REDSHIFT - m) ** 2) / 0.02) for m in (0.31, 0.48, 0.75, 0.94)]))

BOXES = Boxes([0.3, 0.25, 0.2915], [0.8, 0.9, 0.7835], 9)

LIBRARIES = {"numpy": np.asarray, "torch": torch.from_numpy}
"""What takes NumPy's arrays to each library."""


def red_noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Return Gaussian maps with more power on large scales, of mean 0 and standard deviation 1."""
    ny, nx = shape[-2:]
    k = np.hypot(np.fft.rfftfreq(nx), np.fft.fftfreq(ny)[:, None])
    k[0, 0] = np.inf
    white = np.random.default_rng(seed).standard_normal(shape)
    maps = np.fft.irfft2(np.fft.rfft2(white) * k**-0.7, s=(ny, nx))
    return maps / maps.std()


def made_up_tiles(boxes: int = 3, tiles: int = 9, size: int = 16, seed: int = 0) -> np.ndarray:
    """Return tiles (box, tile, field, bin, y, x), float32, whose alignment follows their lognormal density."""
    delta = np.exp(0.6 * red_noise(boxes, tiles, 1, 4, size, size, seed=seed) - 0.18) - 1
    kappa = 0.01 * red_noise(boxes, tiles, 1, 4, size, size, seed=seed + 1)
    return np.concatenate([kappa, -0.003 * delta, delta], axis=2).astype(np.float32)


def some_samples(model: ForwardModel, ids: tuple[int, ...] = (17, 3), seed: int = 5) -> tuple[np.ndarray, Samples]:
    """Return tiles of samples, and the samples."""
    samples = draw_samples(np.array(ids), BOXES, model, seed)
    return take_tiles(made_up_tiles(), samples), samples
