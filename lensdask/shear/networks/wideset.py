"""Training by score on the wide family of galaxies, with neighbours, under several PSFs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from lensdask.conventions import LSST_Y10_NOISE
from lensdask.random import Stream, generator
from lensdask.shear.networks.family import Scenes, draw_scenes, resmoothed_scenes
from lensdask.shear.networks.score import ScoreConfig, noise_factor
from lensdask.shear.shapes.d4cnn import D4CNNConfig
from lensdask.shear.shapes.resmooth import make_resmoother
from lensdask.shear.simulation.observation import Observation, draw_psf
from lensdask.training import Batch

__all__ = ["WideSet", "make_wide_set"]

Float32 = npt.NDArray[np.float32]

PSFS = ((0.5, 0.0, 0.0), (0.6, 0.06, 0.0), (0.7, 0.0, -0.08), (0.8, 0.0, 0.0), (0.8, -0.08, 0.06), (0.95, 0.03, 0.03))
"""FWHM in arcsec and ellipticity of the Moffat PSFs. The image of a galaxy is freed of them; its noise is not."""

AT_ONCE = 100
"""Scenes whose images are made together: 40 MB for each array of theirs."""


@dataclass(frozen=True)
class WideSet:
    """Fresh galaxies in every epoch."""

    galaxies: int
    """In an epoch."""
    network: D4CNNConfig
    """Grid and resmoothing that the network expects."""
    noise: Float32
    """Square root of the covariance of the resmoothed noise under each PSF, shape (psf, n², n²)."""
    config: ScoreConfig
    """Settings."""
    seed: int
    """Of all that is drawn."""
    device: str
    """Where the images are made."""

    def batches(self, epoch: int, batch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, sorted by signal-to-noise as those of `ScoreSet` are.

        A batch holds images, shape (galaxy, 5, n, n), with the same noise, the component under test, 0 or 1, and
        whether the neighbour shares the shear. The first four are under the shears (+s, -s, +S, -S) of one component.
        The fifth is that of +S with the other choice for the neighbour: still if it shares the shear, else sheared too.
        """
        rng = generator(self.seed, Stream.TRAINING, epoch)
        for start in range(0, self.galaxies, batch):
            yield self._batch(rng, min(batch, self.galaxies - start))

    def _batch(self, rng: np.random.Generator, count: int) -> Batch:
        scenes, component = draw_scenes(rng, count), rng.integers(2, size=count)
        strength = np.where(rng.random(count) < self.config.survey_share, 1.0, rng.random(count))
        s, S = self.config.step, self.config.shear
        along = np.eye(2)[component][:, None]
        g = np.array([s, -s, S, -S, S])[:, None] * along
        shares = np.array([[0.0, 0, 0, 0, 1], [1.0, 1, 1, 1, 0]])[scenes.shared.astype(int)]
        images = torch.cat([self._images(scenes, g, g * shares[..., None], part) for part in _parts(count)])
        white = torch.from_numpy(rng.standard_normal((count, self.noise.shape[-1]), dtype=np.float32))
        factor = torch.from_numpy(self.noise[rng.integers(len(self.noise))]).to(self.device)
        weak = torch.from_numpy(strength.astype(np.float32)).to(self.device)[:, None]
        noisy = images + (weak * (white.to(self.device) @ factor.T)).view(count, 1, *images.shape[2:])
        signal = images[:, 0].flatten(1).norm(dim=1) / weak[:, 0].clamp(min=1e-3)
        order = signal.argsort()
        tested, shared = (torch.from_numpy(values).to(self.device)[order] for values in (component, scenes.shared))
        return noisy[order], tested, shared

    def _images(
        self, scenes: Scenes, g: npt.NDArray[np.float64], their_g: npt.NDArray[np.float64], part: slice
    ) -> torch.Tensor:
        some = scenes.pick(part)
        sigma, scale = self.network.kernel_sigma, Observation().pixel_scale
        return resmoothed_scenes(
            some, g[part], their_g[part], grid=self.network.grid, sigma=sigma, pixel_scale=scale, device=self.device
        )


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + AT_ONCE) for start in range(0, count, AT_ONCE))


def make_wide_set(galaxies: int, network: D4CNNConfig, config: ScoreConfig, seed: int, device: str) -> WideSet:
    """Prepare a training by score on the wide family.

    Parameters
    ----------
    galaxies
        In an epoch.
    network
        Architecture, for the grid and the resmoothing that it expects.
    config
        Settings.
    seed
        Of galaxies and noise.
    device
        Where images are made, "cpu" or "cuda".
    """
    factors = []
    for fwhm, e1, e2 in PSFS:
        observation = Observation(psf_fwhm=fwhm, psf_e1=e1, psf_e2=e2)
        scale = observation.pixel_scale
        resmoother = make_resmoother(
            draw_psf(observation), pixel_scale=scale, fwhm=network.kernel_fwhm, grid=network.grid
        )
        factors.append(noise_factor(resmoother, LSST_Y10_NOISE))
    return WideSet(galaxies, network, np.stack(factors), config, seed, device)
