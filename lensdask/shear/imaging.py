"""What a measurement must know of its images: PSF, pixels, noise."""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.arrays import to_numpy
from lensdask.data import STAMPS
from lensdask.errors import check_choice, check_number
from lensdask.shear.noise import Noise, NoiseOfPairs
from lensdask.shear.pixels import checked_pixel_scale
from lensdask.shear.simulation.observation import Observation, draw_psf, draw_psfs, noise_of, psf_index

__all__ = ["Imaging", "imaging_of_observation", "imaging_of_stamps"]


@dataclass(frozen=True)
class Imaging:
    """What the measurement must know of the images."""

    psf: npt.NDArray[np.float64]
    """PSF including the pixel, shape (n, n); (galaxy, n, n) with one per galaxy; or (psf, n, n), see `psf_index`."""
    pixel_scale: float
    """Arcsec per pixel."""
    noise_sigma: float
    """Standard deviation of the noise per pixel; 0 for noiseless images, which get no renoise."""
    psf_index: npt.NDArray[np.int64] | None = None
    """Which of the PSFs each galaxy has, shape (galaxy,), where galaxies share a few of them."""
    noise_correlation: npt.NDArray[np.float64] | None = None
    """Correlation function of the noise, shape (n, n), lag (0, 0) first; white noise when none."""
    offset: npt.NDArray[np.float64] | None = None
    """Where each galaxy is, (x, y) in pixels from the middle of its stamp, shape (galaxy, 2); there when none."""
    noise_scale: npt.NDArray[np.float64] | None = None
    """Noise of each galaxy over `noise_sigma`, shape (galaxy,); 1 when none."""
    renoise: npt.NDArray[np.float32] | None = None
    """Second realisation of the noise of each galaxy, shape (galaxy, n, n); drawn by its id when none."""
    noise_of_pairs: NoiseOfPairs = "independent"
    """Whether the images were simulated with exchanged noise, which decides what the renoise is."""

    def __post_init__(self) -> None:
        """Refuse what no image has; the noise refuses what is no noise."""
        checked_pixel_scale(self.pixel_scale)
        check_number("noise_sigma", self.noise_sigma, least=0)
        check_choice("noise_of_pairs", self.noise_of_pairs, get_args(NoiseOfPairs))

    @property
    def noise(self) -> Noise:
        """Law of the noise."""
        return Noise(self.noise_sigma, self.noise_correlation, self.noise_of_pairs)


def imaging_of_observation(observation: Observation, ids: npt.NDArray[np.int64] | range, seed: int) -> Imaging:
    """Return what the measurement must know of the simulated images of galaxies."""
    noise, several = noise_of(observation), observation.psfs > 1
    return Imaging(
        psf=draw_psfs(observation, seed) if several else draw_psf(observation),
        pixel_scale=observation.pixel_scale,
        noise_sigma=noise.sigma,
        psf_index=psf_index(np.asarray(ids), observation) if several else None,
        noise_correlation=noise.correlation,
        noise_of_pairs=noise.of_pairs,
    )


def imaging_of_stamps(stamps: xr.Dataset) -> Imaging:
    """Return what the measurement must know of a dataset of stamps."""
    return Imaging(
        psf=_on_host(stamps["psf"]).astype(np.float64, copy=False),
        pixel_scale=float(stamps.attrs["pixel_scale"]),
        noise_sigma=float(stamps.attrs["noise_sigma"]),
        psf_index=_on_host(stamps["psf_index"]) if "psf_index" in stamps.variables else None,
        noise_correlation=_on_host(stamps["noise_correlation"]) if "noise_correlation" in stamps else None,
        offset=_on_host(stamps["offset"]).astype(np.float64) if "offset" in stamps else None,
        noise_scale=_on_host(stamps["noise_scale"]).astype(np.float64) if "noise_scale" in stamps else None,
        renoise=_on_host(stamps["renoise"]) if "renoise" in stamps else None,
        noise_of_pairs=STAMPS.attribute(stamps, "noise_of_pairs"),
    )


def _on_host(variable: xr.DataArray) -> npt.NDArray[Any]:
    """Return the values of a variable, which may be lazy, or CuPy's."""
    return to_numpy(variable.compute().data)
