"""Training stamps of a D4CNN: simulated galaxies at random signal-to-noise, with fresh noise at every epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lensdask.conventions import LSST_Y10_NOISE
from lensdask.random import Stream, generator
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.shapes.resmooth import Grid, Resmoother, make_resmoother, resmooth
from lensdask.shear.simulation.catsim import CatSim, MockCatSim, galaxies
from lensdask.shear.simulation.observation import Observation, distortion_labels, draw_psf, draw_stamps

__all__ = ["TrainingSet", "make_training_set"]

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrainingSet:
    """Noiseless stamps at the survey's noise level, their labels, and how to resmooth them.

    A stamp is scaled so that noise of `noise_sigma` gives its signal-to-noise. To the network that is the same as
    noise of another level on the original stamp, but brightness keeps the meaning that it has in a survey.
    """

    stamps: Float32
    """Shape (galaxy, n, n)."""
    labels: Float32
    """Shape (galaxy, 2)."""
    resmoother: Resmoother
    """Of the PSF and the network's grid."""
    seed: int
    """Seed of the noise, order and augmentation."""
    noise_sigma: float = LSST_Y10_NOISE
    """Noise per pixel."""

    def batches(self, epoch: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch: new order, new noise, random quarter turns and mirrors."""
        rng = generator(self.seed, Stream.TRAINING, epoch)
        order = rng.permutation(len(self.stamps))
        for start in range(0, len(order), batch):
            members = order[start : start + batch]
            stamps, labels = _turned(self.stamps[members], self.labels[members], rng)
            noise = [rng.standard_normal(stamps.shape, dtype=np.float32) for _ in range(2)]
            image, renoise = (torch.from_numpy(n * np.float32(self.noise_sigma)) for n in noise)
            value = resmooth(torch.from_numpy(stamps) + image, self.resmoother, renoise).value
            yield value, torch.from_numpy(labels)


def _turned(stamps: Float32, labels: Float32, rng: np.random.Generator) -> tuple[Float32, Float32]:
    """Turn a batch by a random quarter turn and mirror it or not, labels with it."""
    quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))
    stamps = np.rot90(stamps, quarter, axes=(-1, -2))
    sign = np.array([1, 1], np.float32) * (-1) ** quarter
    if mirror:
        stamps = np.flip(stamps, -2)
        sign = sign * np.array([1, -1], np.float32)
    return np.ascontiguousarray(stamps), labels * sign


def make_training_set(
    source: MockCatSim | CatSim,
    ids: npt.NDArray[np.int64],
    *,
    grid: Grid,
    kernel_fwhm: float,
    label: Literal["distortion", "fpfs"],
    signal_to_noise: tuple[float, float],
    seed: int,
) -> TrainingSet:
    """Simulate training stamps.

    Parameters
    ----------
    source
        Where the galaxies come from.
    ids
        Galaxy ids; use one member of each orthogonal pair.
    grid, kernel_fwhm
        Resmoothing that the network expects, arcsec.
    label
        ``distortion`` for the luminosity-weighted distortion of the catalogue, ``fpfs`` for the FPFS ellipticity of
        the noiseless stamp.
    signal_to_noise
        Range of the uniform distribution of the matched-filter signal-to-noise.
    seed
        Seed of galaxies, noise and augmentation.
    """
    observation = Observation()
    rows = galaxies(source, seed, ids // 2)
    stamps = draw_stamps(rows, ids, observation, seed, np.zeros((1, 2)))[:, 0]
    target = np.array([generator(seed, Stream.BRIGHTNESS, int(i)).uniform(*signal_to_noise) for i in ids])
    matched = np.sqrt(np.sum(stamps**2, axis=(1, 2), dtype=np.float64)) / observation.noise_sigma
    stamps *= (target / matched).astype(np.float32)[:, None, None]
    psf = draw_psf(observation)
    if label == "fpfs":
        labels = fpfs_shapes(stamps, make_moments(psf, pixel_scale=observation.pixel_scale))[:2].T
    else:
        labels = distortion_labels(rows, ids, observation, seed)
    resmoother = make_resmoother(psf, pixel_scale=observation.pixel_scale, fwhm=kernel_fwhm, grid=grid)
    return TrainingSet(stamps, np.ascontiguousarray(labels, np.float32), resmoother, seed)
